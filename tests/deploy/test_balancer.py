"""The balancer of deploy/cluster, as it is there but for its addresses, before two processes that only say who they are.

CADDY names the program, which run.sh looks for."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from test_proxies import CADDY, DEADLINE_S, ROOT, free_port, replaced, wait_for_port

# health_interval of the Caddyfile, a few times.
NOTICED_S = 5


class Process:
    """Answers every request with its name, and /readyz as it is told."""

    def __init__(self, name, port=0):
        process = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                body = json.dumps({"name": name, "host": self.headers["host"]}).encode()
                self.send_response(503 if self.path == "/readyz" and not process.is_ready else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            connections = []

            def process_request(self, request, client_address):
                self.connections.append(request)
                super().process_request(request, client_address)

        self.is_ready = True
        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        """Closes the port and, as a process that is gone, all connections."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.server.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(2)


class Balancer(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.processes = {name: Process(name) for name in ["siamese-1", "siamese-2"]}
        self.addCleanup(lambda: [process.end() for process in self.processes.values()])
        self.port = free_port()
        site = replaced(
            (ROOT / "deploy/cluster/Caddyfile").read_text(),
            (r"^:8080 \{", f":{self.port} {{\n\tbind 127.0.0.1"),
            *((f"{name}:8080", f"127.0.0.1:{process.port}") for name, process in self.processes.items()),
        )
        (self.folder / "Caddyfile").write_text(site)
        log = self.enterContext(open(self.folder / "log", "w"))
        self.caddy = subprocess.Popen(
            [CADDY, "run", "--config", str(self.folder / "Caddyfile"), "--adapter", "caddyfile"], stdout=log, stderr=log,
            env={**os.environ, "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)})
        self.addCleanup(self.stop)
        wait_for_port(self.port, self.caddy)

    def stop(self):
        self.caddy.terminate()
        self.caddy.wait(DEADLINE_S)

    def ask(self, path="/search", body=b"{}"):
        """Status and answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        request.add_header("host", "search.example.org")
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def who_answers(self):
        """Names of those that answer, none of the requests failing."""
        names = set()
        for _ in range(20):
            status, answer = self.ask()
            self.assertEqual(status, 200)
            names.add(json.loads(answer)["name"])
        return names

    def wait_until_answered_by(self, *names):
        deadline = time.monotonic() + NOTICED_S
        while self.who_answers() != set(names):
            self.assertLess(time.monotonic(), deadline, f"not answered by {names}")
            time.sleep(0.1)

    def test_a_process_that_is_not_ready_gets_no_requests_until_it_is(self):
        self.wait_until_answered_by("siamese-1", "siamese-2")
        self.processes["siamese-1"].is_ready = False
        self.wait_until_answered_by("siamese-2")
        self.processes["siamese-1"].is_ready = True
        self.wait_until_answered_by("siamese-1", "siamese-2")

    def test_requests_are_answered_while_a_process_is_gone(self):
        self.wait_until_answered_by("siamese-1", "siamese-2")
        gone = self.processes["siamese-2"]
        gone.end()
        # A request on a connection that is being closed at that moment may fail, as there is no knowing whether it was done.
        time.sleep(0.2)
        self.assertEqual(self.who_answers(), {"siamese-1"})
        self.processes["siamese-2"] = Process("siamese-2", gone.port)
        # It is back no sooner than fail_duration of the Caddyfile says.
        time.sleep(NOTICED_S)
        self.wait_until_answered_by("siamese-1", "siamese-2")

    def test_the_host_is_passed_on_and_metrics_are_not_published(self):
        self.assertEqual(json.loads(self.ask()[1])["host"], "search.example.org")
        self.assertEqual(self.ask("/metrics", None)[0], 404)


if __name__ == "__main__":
    unittest.main()
