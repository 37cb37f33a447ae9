"""Encodes the same texts with siamese and with ONNX Runtime, in turns, and prints the ratios.

    python3 -m venv .venv && .venv/bin/pip install -r tests/bench/requirements.txt
    cargo build --profile dist
    .venv/bin/python tests/bench/compare_encoder.py

Both sides tokenise inside the time, sort texts by length before batching, and use the same weights
and number of threads. ONNX Runtime gets a graph of fused operators (onnx_graph.py). A round runs
one side after the other; the medians over all rounds are compared. Each side's vectors are
compared once: the smallest cosine is printed.

Cells: `ten` (ten tokens) and `query` (about twenty) with batch 1, by their median latency; `short`,
`mixed` (5 to 256 tokens) and `long` (256 tokens) with batch 32, by tokens a second. Their texts come
from the demo corpus, or from a folder of CELL.jsonl files with {"text": ..} on each line.
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BATCH_OF_CELL = {"ten": 1, "query": 1, "short": 32, "mixed": 32, "long": 32}


def make_cells(folder):
    """Cells from the demo corpus; the same ones every time."""
    with open(ROOT / "crates/cli/demo/corpus.jsonl", encoding="utf-8") as corpus:
        documents = [json.loads(line)["text"] for line in corpus]
    chance = random.Random(7)
    words = "water house music train night city people paper market science river garden".split()
    endless = " ".join(documents).split()

    def some(count):
        start = chance.randrange(len(endless) - count)
        return " ".join(endless[start : start + count])

    cells = {
        "ten": [" ".join(chance.choice(words) for _ in range(8)) for _ in range(200)],
        "query": [some(chance.randint(12, 18)) for _ in range(300)],
        "short": [some(chance.randint(6, 22)) for _ in range(1500)],
        "mixed": [some(chance.choice([5, 12, 25, 60, 120, 180])) for _ in range(600)],
        "long": [some(300) for _ in range(256)],
    }
    for name, texts in cells.items():
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as out:
            out.writelines(json.dumps({"text": text}) + "\n" for text in texts)


def run(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def vectors(path, texts):
    matrix = np.fromfile(path, "<f4").reshape(texts, -1)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def compare(cell, options, folder):
    texts = options.cells / f"{cell}.jsonl"
    shared = ["--texts", texts, "--batch", BATCH_OF_CELL[cell], "--threads", options.threads, "--repeat", options.repeat]
    ours = [options.siamese, "bench", "encoder", "--model", options.model, "--precision", options.precision, "--json"]
    theirs = [sys.executable, HERE / "onnxruntime_encoder.py", "--model", options.model, "--onnx", folder / "graph.onnx"]
    figures = {"ours": [], "theirs": []}
    for _ in range(options.rounds):
        for side, command in (("ours", ours), ("theirs", theirs)):
            report = run([*command, *shared, "--vectors", folder / side])
            figures[side].append(report.get("p50_ms") or report["tokens_per_second"])
    cosines = (vectors(folder / "ours", report["texts"]) * vectors(folder / "theirs", report["texts"])).sum(1)
    ours, theirs = (statistics.median(figures[side]) for side in ("ours", "theirs"))
    unit = "ms (p50)" if BATCH_OF_CELL[cell] == 1 else "tokens/s"
    return {"cell": cell, "unit": unit, "siamese": ours, "onnxruntime": theirs,
            "ratio": ours / theirs, "smallest_cosine": float(cosines.min())}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--siamese", type=pathlib.Path, default=ROOT / "target/dist/siamese")
    arguments.add_argument("--model", type=pathlib.Path, help="model folder; the default model, pulled, without it")
    arguments.add_argument("--cells", type=pathlib.Path, help="folder of CELL.jsonl")
    arguments.add_argument("--only", nargs="*", default=list(BATCH_OF_CELL), choices=list(BATCH_OF_CELL))
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--precision", default="int16", choices=["f32", "int16", "bf16", "int8"])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--repeat", type=int, default=3, help="passes over all texts in a round")
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    if options.model is None:
        pulled = subprocess.run([options.siamese, "model", "pull"], stdout=subprocess.PIPE, text=True, check=True)
        options.model = pathlib.Path(pulled.stdout.strip())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([sys.executable, HERE / "onnx_graph.py", "--model", options.model, "--out", folder / "graph.onnx"], check=True)
        if options.cells is None:
            options.cells = folder
            make_cells(folder)
        for cell in options.only:
            figures = compare(cell, options, folder)
            if options.json:
                print(json.dumps(figures), flush=True)
            else:
                print("{cell:6} siamese {siamese:9.2f}, ONNX Runtime {onnxruntime:9.2f} {unit}: {ratio:.2f} x, "
                      "cosine >= {smallest_cosine:.6f}".format(**figures), flush=True)


if __name__ == "__main__":
    main()
