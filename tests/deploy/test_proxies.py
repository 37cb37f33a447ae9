"""The service behind the proxies of deploy/, as they are there but for ports and paths.

run.sh says which of them are on this machine. Requests are curl's, by HTTP/1.1 and HTTP/2, with TLS."""

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ["SIAMESE_BINARY"]
MODEL = ROOT / "crates/encoder/tests/fixtures/models/roberta"
CADDY = os.environ.get("CADDY", "caddy")
NAME = "search.example.org"
DEADLINE_S = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_port(port, process):
    for _ in range(DEADLINE_S * 20):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"{process.args} does not listen on {port}")


def replaced(text, *changes):
    """The text with each pattern replaced, all of which have to be there."""
    for pattern, by in changes:
        text, count = re.subn(pattern, by, text, flags=re.MULTILINE)
        assert count, f"{pattern!r} is not in the file"
    return text


class Service:
    """The service with the settings of deploy/systemd/siamese.toml, and a key."""

    def __init__(self, folder):
        self.port = free_port()
        self.audit = folder / "audit.jsonl"
        text = (ROOT / "deploy/systemd/siamese.toml").read_text()
        (folder / "siamese.toml").write_text(replaced(
            text,
            (r"127\.0\.0\.1:8080", f"127.0.0.1:{self.port}"),
            (r"/var/lib/siamese", str(folder / "state")),
            (r"/var/log/siamese", str(folder)),
        ))
        (folder / "state").mkdir()
        config = ["--config", str(folder / "siamese.toml")]
        create = [BINARY, "key", "create", "ops", "--scope", "admin", *config]
        self.key = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
        self.log = open(folder / "log", "w")
        serve = [BINARY, "serve", *config, "--model", str(MODEL)]
        self.process = subprocess.Popen(serve, stderr=self.log)
        wait_for_port(self.port, self.process)
        check = [BINARY, "healthcheck", "--listen", f"127.0.0.1:{self.port}"]
        for _ in range(DEADLINE_S * 5):
            if subprocess.run(check, capture_output=True).returncode == 0:
                return
            time.sleep(0.2)
        raise AssertionError("the service does not become ready")

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE_S)
        self.log.close()


class BehindAProxy:
    """What holds behind each of them."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.service = Service(cls.folder)
        cls.addClassCleanup(cls.service.stop)
        cls.certificate, cls.key_file = cls.folder / "tls.crt", cls.folder / "tls.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", cls.key_file, "-out", cls.certificate],
            check=True, capture_output=True)
        cls.port = free_port()
        cls.plain_port = free_port()
        cls.proxy_log = open(cls.folder / "proxy.log", "w")
        cls.addClassCleanup(cls.proxy_log.close)
        cls.proxy = subprocess.Popen(
            cls.command(), stdout=cls.proxy_log, stderr=cls.proxy_log,
            env={**os.environ, "XDG_DATA_HOME": str(cls.folder), "XDG_CONFIG_HOME": str(cls.folder)})
        cls.addClassCleanup(cls.stop_proxy)
        wait_for_port(cls.port, cls.proxy)

    @classmethod
    def stop_proxy(cls):
        cls.proxy.terminate()
        cls.proxy.wait(DEADLINE_S)

    def curl(self, path, *arguments, host=NAME, key=True):
        """The command for a request."""
        authorization = ["-H", f"authorization: Bearer {self.service.key}"] if key else []
        return ["curl", "-sS", "--max-time", str(DEADLINE_S), "--cacert", str(self.certificate),
                "--resolve", f"{host}:{self.port}:127.0.0.1", "-N", *authorization, *arguments,
                f"https://{host}:{self.port}{path}"]

    def ask(self, path, *arguments, body=None, **options):
        """Status, headers and body of an answer."""
        if body is not None:
            arguments = [*arguments, "-H", "content-type: application/json", "--data-binary", "@-"]
            body = json.dumps(body)
        done = subprocess.run(self.curl(path, "-D", "-", *arguments, **options), input=body, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        head, _, rest = done.stdout.replace("\r\n", "\n").partition("\n\n")
        return int(head.split()[1]), head.lower(), rest

    def test_a_search_finds_what_was_stored_and_needs_a_key(self):
        document = {"id": "t-1", "text": "My password is refused since yesterday."}
        for version in ["--http1.1", "--http2"]:
            with self.subTest(version):
                collection = f"/collections/http{version[6]}"
                self.assertEqual(self.ask(collection, version, "-X", "PUT", body={})[0], 201)
                status, _, answer = self.ask(f"{collection}/documents", version, body={"documents": [document]})
                self.assertEqual(status, 200, answer)
                path = f"{collection}/search"
                status, _, answer = self.ask(path, version, body={"query": "I cannot log in"})
                self.assertEqual((status, json.loads(answer)["hits"][0]["id"]), (200, "t-1"))
                status, head, _ = self.ask(path, version, body={"query": "I cannot log in"}, key=False)
                self.assertEqual(status, 401)
                self.assertIn("www-authenticate", head)

    def test_each_line_of_a_stream_is_answered_before_the_next_is_sent(self):
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        with context.wrap_socket(plain, server_hostname=NAME) as stream:
            stream.sendall(
                f"POST /documents HTTP/1.1\r\nhost: {NAME}\r\nauthorization: Bearer {self.service.key}\r\n"
                "content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            received = ""
            for number in range(6):
                line = json.dumps({"id": f"s-{number}", "text": f"Line {number} of a stream"}) + "\n"
                stream.sendall(f"{len(line):x}\r\n{line}\r\n".encode())
                while f'"s-{number}"' not in received:
                    received += stream.recv(65536).decode()
            stream.sendall(b"0\r\n\r\n")
            while "summary" not in received:
                received += stream.recv(65536).decode()
        self.assertIn('"created":6', received)

    def test_lines_of_a_slow_stream_are_answered_in_http_2_as_well(self):
        lines = "".join(f'echo \'{{"id":"h-{number}","text":"Line {number}"}}\'; sleep 1; ' for number in range(5))
        request = shlex.join(self.curl("/documents", "--http2", "--no-progress-meter", "-X", "POST", "-T", ".", "-H",
                                       "content-type: application/x-ndjson"))
        stream = subprocess.Popen(f"({lines}) | {request}", shell=True, stdout=subprocess.PIPE, text=True)
        arrived = [(time.monotonic(), json.loads(line)) for line in stream.stdout]
        stream.stdout.close()
        self.assertEqual(stream.wait(DEADLINE_S), 0)
        self.assertEqual([line.get("id") for _, line in arrived], ["h-0", "h-1", "h-2", "h-3", "h-4", None])
        # The first answer came while the stream, which takes five seconds, went on.
        self.assertGreater(arrived[-1][0] - arrived[0][0], 1)

    def test_large_bodies_go_up_and_an_export_comes_down_whole(self):
        count = 20_000
        lines = "".join(
            json.dumps({"id": str(number), "text": f"Document {number}", "metadata": {"filling": "x" * 400}}) + "\n"
            for number in range(count))
        file = self.folder / "documents.ndjson"
        file.write_text(lines)
        self.assertEqual(self.ask("/collections/large", "-X", "PUT", body={})[0], 201)
        for version, status in [("--http1.1", "created"), ("--http2", "unchanged")]:
            done = subprocess.run(
                self.curl("/collections/large/documents", version, "-X", "POST", "-T", str(file), "-H",
                          "content-type: application/x-ndjson", "-H", "expect:"), capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.count(f'"status":"{status}"'), count, done.stdout[-300:])
        status, _, export = self.ask("/collections/large/export")
        # The lines before and after the documents say what they are of, and how many.
        self.assertEqual((status, export.count("\n")), (200, count + 2), export[-300:])
        # Beyond what proxies allow unless told (1 MB): refused by the service, with its own words.
        status, _, answer = self.ask("/search", body={"query": "a" * 2_000_000})
        self.assertEqual(status, 422, answer)
        self.assertIn("max_query_bytes", answer)

    def test_the_page_is_there_and_may_write_while_pages_of_others_may_not(self):
        status, head, page = self.ask("/", key=False)
        self.assertEqual(status, 200)
        self.assertIn("content-security-policy", head)
        part = re.search(r'src="(page/[^"]+)"', page)
        self.assertIsNotNone(part)
        self.assertEqual(self.ask(f"/{part[1]}", key=False)[0], 200)
        body = {"documents": [{"id": "p-1", "text": "From the page"}]}
        for version in ["--http1.1", "--http2"]:
            own = ["-H", f"origin: https://{NAME}:{self.port}", "-H", "sec-fetch-site: same-origin"]
            self.assertEqual(self.ask("/documents", version, *own, body=body)[0], 200)
            other = ["-H", "origin: https://elsewhere.example", "-H", "sec-fetch-site: cross-site"]
            self.assertEqual(self.ask("/documents", version, *other, body=body)[0], 403)

    def test_metrics_are_not_published_and_probes_are(self):
        self.assertEqual(self.ask("/metrics")[0], 404)
        self.assertEqual(self.ask("/readyz", key=False)[0], 200)

    def test_the_audit_log_has_what_was_written(self):
        self.ask("/documents", body={"documents": [{"id": "audited", "text": "Written down"}]})
        lines = [json.loads(line) for line in self.service.audit.read_text().splitlines()]
        self.assertIn(("ops", "POST", "/documents", 200),
                      [(line["name"], line["method"], line["path"], line["status"]) for line in lines])


class Nginx(BehindAProxy, unittest.TestCase):
    @classmethod
    def command(cls):
        site = (ROOT / "deploy/nginx/siamese.conf").read_text()
        (cls.folder / "site.conf").write_text(replaced(
            site,
            (r"^.*listen \[::\].*\n", ""),
            (r"listen 80;", f"listen 127.0.0.1:{cls.plain_port};"),
            (r"listen 443 ", f"listen 127.0.0.1:{cls.port} "),
            (r"server 127\.0\.0\.1:8080;", f"server 127.0.0.1:{cls.service.port};"),
            (r"/etc/nginx/tls/search\.example\.org\.crt", str(cls.certificate)),
            (r"/etc/nginx/tls/search\.example\.org\.key", str(cls.key_file)),
        ))
        temporary = "".join(
            f"{kind}_temp_path {cls.folder}/{kind};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        (cls.folder / "nginx.conf").write_text(
            f"daemon off;\nuser root;\npid {cls.folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}include {cls.folder}/site.conf;\n}}\n")
        return ["nginx", "-p", str(cls.folder), "-c", str(cls.folder / "nginx.conf")]

    def test_other_names_are_refused_by_the_service(self):
        status, _, answer = self.ask("/search?q=lamp", "-k", host="other.example.org")
        self.assertEqual((status, json.loads(answer)["code"]), (421, "host_not_allowed"))

    def test_plain_requests_are_sent_to_tls(self):
        done = subprocess.run(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-H", f"host: {NAME}",
             f"http://127.0.0.1:{self.plain_port}/search?q=lamp"], capture_output=True, text=True)
        self.assertEqual(done.stdout, f"301 https://{NAME}/search?q=lamp")


class Caddy(BehindAProxy, unittest.TestCase):
    @classmethod
    def command(cls):
        site = (ROOT / "deploy/caddy/Caddyfile").read_text()
        site = replaced(
            site,
            (r"^\tservers \{", "\tadmin off\n\tauto_https disable_redirects\n\tservers {"),
            (r"^search\.example\.org \{", f"{NAME}:{cls.port} {{\n\ttls {cls.certificate} {cls.key_file}"),
            (r"127\.0\.0\.1:8080", f"127.0.0.1:{cls.service.port}"),
        )
        (cls.folder / "Caddyfile").write_text(site)
        return [CADDY, "run", "--config", str(cls.folder / "Caddyfile"), "--adapter", "caddyfile"]


def load_tests(loader, _tests, _pattern):
    """Those of the proxies that are here."""
    here = [case for case, program in [(Nginx, "nginx"), (Caddy, CADDY)] if program and shutil.which(program)]
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in here)


if __name__ == "__main__":
    unittest.main()
