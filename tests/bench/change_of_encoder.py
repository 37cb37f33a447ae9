"""Changes the encoder of a collection under load, there and back, and looks at every document afterwards.

    cargo build --profile dist
    siamese model pull                                        # or --first FOLDER
    python3 tests/bench/change_of_encoder.py --second FOLDER  # such as all-mpnet-base-v2

Starts a service of its own in a temporary folder, with the texts of the demo corpus, or of --texts (JSON lines with
`text`), until there are --documents. One client searches and one writes, each once in --every-ms: it stores new documents,
replaces and deletes. That should be well within what the slower encoder does, or its queue grows without end. Meanwhile a generation with the second encoder is made, filled and activated, and then one with the
first. Afterwards each generation is compared with what was acknowledged, document by document, and the vectors of a
sample with those that its encoder makes of the same texts alone.

Prints p50 and p99 of searches in each phase, measured from when a search was due (a search that waits for the one before
it counts that waiting), and while a generation is filled their ratio to the phase before, which has the same load and encoder. Exits with 1 if a request failed, or a
document or a vector is not what it should be. --no-writes leaves the writer out.
"""

import argparse
import array
import base64
import http.client
import json
import math
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SAMPLE = 30

parser = argparse.ArgumentParser(description="Changes the encoder of a collection under load.")
parser.add_argument("--siamese", default=str(ROOT / "target/dist/siamese"))
parser.add_argument("--first", help="model folder of the first encoder; the default model without it")
parser.add_argument("--second", required=True, help="model folder of the second encoder")
parser.add_argument("--texts", default=str(ROOT / "crates/cli/demo/corpus.jsonl"))
parser.add_argument("--documents", type=int, default=2000)
parser.add_argument("--seconds", type=float, default=15, help="of each phase in which nothing is filled")
parser.add_argument("--every-ms", type=float, default=20, help="between two searches, and between two writes")
parser.add_argument("--no-writes", action="store_true")
parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
options = parser.parse_args()


class Client:
    """One connection, kept open."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def __call__(self, method, path, body=None, expect=(200, 201, 202, 204)):
        headers = {} if body is None else {"content-type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in expect:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def json(self, *arguments, **more):
        return json.loads(self(*arguments, **more) or b"null")


class Load(threading.Thread):
    """Does something every so often until it is stopped, and notes how long after it was due it was done."""

    def __init__(self, step):
        super().__init__(daemon=True)
        self.step, self.stopping, self.phase = step, False, None
        self.latencies, self.failures, self.count = {}, [], 0

    def run(self):
        due = time.perf_counter()
        while not self.stopping:
            due += options.every_ms / 1000
            time.sleep(max(0.0, due - time.perf_counter()))
            phase = self.phase
            try:
                self.step()
                self.count += 1
            except Exception as error:  # noqa: BLE001: whatever it is, it is counted
                self.failures.append(repr(error))
            self.latencies.setdefault(phase, []).append(time.perf_counter() - due)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(folder, port):
    environment = dict(os.environ, SIAMESE__ENCODERS__SECOND__MODEL=options.second, SIAMESE__LOG__FILTER="warn")
    command = [options.siamese, "serve", "--listen", f"127.0.0.1:{port}", "--data", folder]
    command += ["--model", options.first] if options.first else []
    process = subprocess.Popen(command, env=environment)
    for _ in range(600):
        try:
            Client(port)("GET", "/readyz")
            return process
        except (OSError, RuntimeError, http.client.HTTPException):
            if process.poll() is not None:
                sys.exit("the service has ended")
            time.sleep(0.1)
    sys.exit("the service does not get ready")


def texts():
    with open(options.texts, encoding="utf-8") as lines:
        found = [json.loads(line)["text"] for line in lines if line.strip()]
    # Fewer texts than documents: each further round says which one it is, so that all differ.
    return [text if n < len(found) else f"{n // len(found)}. {text}" for n, text in ((n, found[n % len(found)]) for n in range(options.documents))]


def writer(client, acknowledged, corpus):
    """Stores, replaces and deletes; `acknowledged` has what must be there."""
    chance, count = random.Random(1), 0

    def step():
        nonlocal count
        count += 1
        kind = chance.random()
        text = f"{chance.choice(corpus)} Written {count}."
        if kind < 0.4:
            document = f"new-{count}"
        else:
            document = chance.choice(list(acknowledged)[-400:] if kind < 0.6 else list(acknowledged))
        if kind > 0.85:
            client("DELETE", f"/documents/{document}")
            del acknowledged[document]
        else:
            client("POST", "/documents", {"documents": [{"id": document, "text": text}]})
            acknowledged[document] = text

    return step


def fill(client, encoder):
    made = client.json("POST", "/collections/default/generations", {"encoder": encoder, "chunking": {"mode": "off"}})
    started, number = time.perf_counter(), made["generation"]
    while (now := client.json("GET", f"/collections/default/generations/{number}"))["state"] == "filling":
        time.sleep(0.2)
    if now["state"] not in ("ready", "retired"):
        raise RuntimeError(f"generation {number} is {now['state']}")
    return number, time.perf_counter() - started


def cosine(left, right):
    dot = math.fsum(a * b for a, b in zip(left, right, strict=True))
    return dot / math.sqrt(math.fsum(a * a for a in left) * math.fsum(b * b for b in right))


def check(client, number, model, acknowledged):
    """What is wrong with a generation, and the smallest cosine of stored and recomputed vectors."""
    client("POST", f"/collections/default/generations/{number}/activate")
    lines = [json.loads(line) for line in client("GET", "/export?include=vectors").splitlines()]
    if "end" not in lines[-1]:
        raise RuntimeError("the export broke off")
    found = {line["id"]: line for line in lines if "id" in line}
    wrong = [document for document, text in acknowledged.items() if found.get(document, {}).get("text") != text]
    wrong += [document for document in found if document not in acknowledged]
    smallest = 1.0
    for document in random.Random(2).sample(sorted(found), min(SAMPLE, len(found))):
        line = found[document]
        answer = client.json("POST", "/v1/embeddings", {"input": line["text"], "model": model, "encoding_format": "base64"})
        vector = array.array("f", base64.b64decode(answer["data"][0]["embedding"]))
        smallest = min(smallest, cosine(line["passages"][0]["vector"], vector))
    return len(found), wrong, smallest


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def main():
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        process = start(folder, port)
        try:
            return measure(port)
        finally:
            process.terminate()
            process.wait()


def measure(port):
    client = Client(port)
    corpus = texts()
    acknowledged = {f"d{n}": text for n, text in enumerate(corpus)}
    client("PUT", "/collections/default", {"chunking": {"mode": "off"}})
    for first in range(0, len(corpus), 64):
        some = [{"id": f"d{n}", "text": corpus[n]} for n in range(first, min(first + 64, len(corpus)))]
        client("POST", "/documents", {"documents": some})
    queries = random.Random(3)
    search_client = Client(port)
    words = lambda: " ".join(queries.choice(corpus).split()[:8])
    searches = Load(lambda: search_client("POST", "/search", {"query": f"{words()} {queries.random():.6f}", "top_k": 10}))
    writes = Load(writer(Client(port), acknowledged, corpus))
    loads = [searches] if options.no_writes else [searches, writes]
    filled = {}

    def phase(name):
        for load in loads:
            load.phase = name

    phase("idle, first encoder")
    searches.start()
    time.sleep(options.seconds)
    if not options.no_writes:
        writes.phase = searches.phase = "writes, first encoder"
        writes.start()
        time.sleep(options.seconds)
    phase("filling, second encoder")
    second, filled["second"] = fill(client, "second")
    phase("activating")
    client("POST", f"/collections/default/generations/{second}/activate")
    phase("after activating, second encoder")
    time.sleep(options.seconds)
    client("DELETE", "/collections/default/generations/1")
    phase("filling, first encoder")
    first, filled["first"] = fill(client, "default")
    phase("activating back")
    client("POST", f"/collections/default/generations/{first}/activate")
    phase("after activating back")
    time.sleep(options.seconds)
    for load in loads:
        load.stopping = True
        load.join()
    return report(client, loads, filled, [(second, "second"), (first, "default")], acknowledged)


def report(client, loads, filled, generations, acknowledged):
    searches = loads[0]
    phases = {
        name: {"searches": len(values), "p50_ms": percentile(values, 0.5), "p99_ms": percentile(values, 0.99)}
        for name, values in searches.latencies.items()
        if len(values) >= 100
    }
    result = {"requests": sum(load.count for load in loads), "failed": sum(len(load.failures) for load in loads)}
    result |= {"filled_s": filled, "phases": phases, "generations": []}
    is_right = not result["failed"]
    for number, model in generations:
        documents, wrong, smallest = check(client, number, model, acknowledged)
        is_right = is_right and not wrong and smallest > 0.9999
        result["generations"].append({"generation": number, "encoder": model, "documents": documents, "wrong": len(wrong), "smallest_cosine": smallest})
    if options.json:
        print(json.dumps(result))
    else:
        show(result)
    for load in loads:
        for failure in load.failures[:5]:
            print("failed:", failure, file=sys.stderr)
    return 0 if is_right else 1


def show(result):
    print(f"{result['requests']} requests, {result['failed']} failed")
    before = None
    for name, figures in result["phases"].items():
        line = f"{name:34} {figures['searches']:6} searches  p50 {figures['p50_ms']:6.2f} ms  p99 {figures['p99_ms']:6.2f} ms"
        if name.startswith("filling"):
            line += f"  {figures['p99_ms'] / before:5.2f} x the phase before"
        print(line)
        before = figures["p99_ms"]
    for model, seconds in result["filled_s"].items():
        print(f"filled with the {model} encoder in {seconds:.1f} s")
    for one in result["generations"]:
        print(f"generation {one['generation']} ({one['encoder']}): {one['documents']} documents, {one['wrong']} wrong, smallest cosine {one['smallest_cosine']:.9f}")


if __name__ == "__main__":
    sys.exit(main())
