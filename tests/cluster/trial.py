#!/usr/bin/env python3
"""Kills a node of a cluster while documents are written and searched through two services, and looks for what was acknowledged.

    tests/cluster/run.sh PATH_OF_QDRANT tests/cluster/trial.py BINARY [--seconds 45] [--documents 2000]

BINARY is built with `--features qdrant`. Before that, it prints what searches take, and stops a node that has the only copy of a
shard. Ends with 1 when a service does not say that such a shard is missing, or that it is there again; when an acknowledged write is
lost; or when requests fail for longer than `storage.qdrant.retry_for_ms` says.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

PORTS = (18081, 18082)
LONE_PORT = 18083
WORDS = "lamp chair table window door garden river stone bread winter paper copper letter bridge candle forest".split()
IDS = 400
DOCUMENTS_PER_WRITE = 5


def call(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"})
    started = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, said = answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        status, said = error.code, error.read().decode()
    except OSError as error:
        status, said = 0, str(error)
    return status, said, time.monotonic() - started


def sentence(dice, length):
    return " ".join(dice.choice(WORDS) for _ in range(length))


def start(binary, folder, ports, settings):
    urls = json.dumps(os.environ["SIAMESE_QDRANT_URLS"].split(","))
    file = os.path.join(folder, f"{ports[0]}.toml")
    with open(file, "w") as written:
        written.write(f'[storage]\nbackend = "qdrant"\n[storage.qdrant]\nurls = {urls}\n{settings}\n')
    services = []
    for port in ports:
        command = [binary, "serve", "--config", file, "--listen", f"127.0.0.1:{port}", "--data", os.path.join(folder, str(port))]
        services.append(subprocess.Popen(command, stderr=open(os.path.join(folder, f"{port}.log"), "w")))
    for port in ports:
        if ready_after(port, 200, 120) is None:
            sys.exit("a service is not ready")
    return services


def ready_after(port, status, seconds):
    """Seconds until /readyz has this status; None when it has not in time."""
    started = time.monotonic()
    while call(port, "/readyz")[0] != status:
        if time.monotonic() - started > seconds:
            return None
        time.sleep(0.2)
    return time.monotonic() - started


def node_without_the_list():
    """The process of a node that has no copy of the list of collections, which each service reads all the time anyway."""
    nodes = zip(os.environ["SIAMESE_QDRANT_URLS"].split(","), os.environ["SIAMESE_QDRANT_PIDS"].split())
    for url, process in nodes:
        # As run.sh starts them.
        rest = int(url.rsplit(":", 1)[1]) - 1
        if not call(rest, "/collections/lone-collections/cluster")[1]["result"]["local_shards"]:
            return int(process)
    sys.exit("each node has a copy of the list")


def stop_the_only_copy():
    """Nobody asks anything: the service finds out by itself."""
    node = node_without_the_list()
    os.kill(node, signal.SIGSTOP)
    missing = ready_after(LONE_PORT, 503, 30)
    said = call(LONE_PORT, "/readyz")[1]
    os.kill(node, signal.SIGCONT)
    there = ready_after(LONE_PORT, 200, 30)
    print(f"the only copy of a shard stopped: /readyz 503 after {missing and round(missing, 1)} s ({str(said)[:160]}), 200 after {there and round(there, 1)} s")
    return missing is not None and there is not None


def quantiles(seconds):
    ordered = sorted(seconds)
    return f"p50 {ordered[len(ordered) // 2] * 1000:.1f} ms, p99 {ordered[int(len(ordered) * 0.99)] * 1000:.1f} ms, most {ordered[-1]:.2f} s"


def fill_and_search(documents):
    dice = random.Random(1)
    for first in range(0, documents, 100):
        batch = [{"id": f"f{n}", "text": sentence(dice, 40), "metadata": {"n": n % 100}} for n in range(first, min(first + 100, documents))]
        assert call(PORTS[0], "/documents", {"documents": batch})[0] == 200
    for mode in ("semantic", "lexical", "hybrid"):
        taken = [call(PORTS[0], "/search", {"query": sentence(dice, 4), "mode": mode})[2] for _ in range(200)]
        print(f"{mode}: {quantiles(taken)} of {len(taken)}")


class Load:
    """Writers and searchers, what they were told, and what was acknowledged."""

    def __init__(self, seconds):
        self.until = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.acknowledged = {}
        self.answers = {"write": [], "search": []}

    def note(self, kind, status, said, taken):
        with self.lock:
            self.answers[kind].append((status, taken, time.monotonic(), str(said)[:200]))

    def write(self, nth):
        dice, turn = random.Random(nth), 0
        while time.monotonic() < self.until:
            ids = [f"w{nth}-{(turn * DOCUMENTS_PER_WRITE + place) % IDS}" for place in range(DOCUMENTS_PER_WRITE)]
            texts = {id: f"{sentence(dice, 10)} {turn} {dice.random()}" for id in ids}
            status, said, taken = call(PORTS[nth % 2], "/documents", {"documents": [{"id": id, "text": text} for id, text in texts.items()]})
            self.note("write", status, said, taken)
            with self.lock:
                for id, text in texts.items():
                    # What was not acknowledged may be there or not.
                    self.acknowledged[id] = text if status == 200 else None
            turn += 1

    def search(self, nth):
        dice = random.Random(1000 + nth)
        while time.monotonic() < self.until:
            self.note("search", *call(PORTS[nth % 2], "/search", {"query": sentence(dice, 3), "top_k": 5}))


def kill_a_node(seconds):
    load = Load(seconds)
    threads = [threading.Thread(target=work, args=(nth,)) for nth in range(3) for work in (load.write, load.search)]
    [thread.start() for thread in threads]
    time.sleep(seconds / 3)
    os.kill(int(os.environ["SIAMESE_QDRANT_PIDS"].split()[-1]), signal.SIGKILL)
    [thread.join() for thread in threads]
    longest_trouble = 0.0
    for kind, answers in load.answers.items():
        failed = [answer for answer in answers if answer[0] != 200]
        print(f"{kind}: {len(answers) - len(failed)} answered, {len(failed)} failed; {quantiles([answer[1] for answer in answers])}")
        for said in sorted({answer[3] for answer in failed})[:3]:
            print("   ", said)
        if failed:
            ends = [answer[2] for answer in failed]
            longest_trouble = max(longest_trouble, max(ends) - min(ends))
    lost = 0
    for id, text in load.acknowledged.items():
        status, said, _ = call(PORTS[0], f"/documents/{id}")
        lost += text is not None and (status != 200 or said["text"] != text)
    known = sum(text is not None for text in load.acknowledged.values())
    print(f"acknowledged {known} documents, lost {lost}; requests failed during {longest_trouble:.1f} s")
    return lost == 0 and longest_trouble < 10


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary")
    arguments.add_argument("--seconds", type=float, default=45)
    arguments.add_argument("--documents", type=int, default=2000)
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        services = start(arguments.binary, folder, PORTS, "shards = 2\nreplicas = 2")
        services += start(arguments.binary, folder, [LONE_PORT], 'prefix = "lone"\nshards = 3\nreplicas = 1')
        try:
            fill_and_search(arguments.documents)
            is_good = stop_the_only_copy()
            is_good &= kill_a_node(arguments.seconds)
        finally:
            for service in services:
                service.terminate()
            for service in services:
                service.wait()
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
