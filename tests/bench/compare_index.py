"""Indexes the same vectors with siamese, hnswlib and faiss, in turns, and prints the ratios.

    python3 -m venv .venv && .venv/bin/pip install -r tests/bench/requirements.txt
    cargo build --profile dist
    .venv/bin/python tests/bench/compare_index.py

Compared are queries a second of one thread at the first ef that reaches a recall@10, the time to
build with two threads, and bytes of memory for each vector, vectors included. All sides have the
same m and ef_construction. A round runs one side after the other; the medians over all rounds are
compared.

The vectors are made: unit vectors in clusters of few dimensions, as embeddings of texts are. Others
come in the files of ann-benchmarks: --base, --query (fvecs), and --truth (ivecs), the nearest by cosine.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from vector_files import make_files

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENGINES = ["siamese", "hnswlib", "faiss"]
# Close together where a recall of 0.99 is reached: the ef that is chosen should be about the one that is needed.
EFS = "16,24,32,36,40,44,48,56,64,72,80,96,112,128,160,200,320"


def run(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def sweep(engine, options):
    files = ["--base", options.base, "--query", options.query, "--truth", options.truth]
    shared = [*files, "--ef", options.ef, "--threads", options.threads]
    if engine == "siamese":
        return run([options.siamese, "bench", "index", "--json", *shared])
    return run([sys.executable, HERE / "index_peer.py", "--engine", engine, *shared])


def figures(lines, recall):
    """What is compared; `None` for the speed of a sweep that does not reach the recall."""
    reaching = [line for line in lines if line["recall_at_10"] >= recall and not line.get("widens")]
    first = min(reaching, key=lambda line: line["ef"], default={})
    return {key: first.get(key) for key in ("ef", "recall_at_10", "qps")} | {key: lines[0][key] for key in ("build_s", "bytes_per_vector")}


def median(rounds):
    """Of each figure; none where a round has none."""
    values = {key: [figures[key] for figures in rounds] for key in rounds[0]}
    return {key: None if None in value else statistics.median(value) for key, value in values.items()}


def report(name, figures, siamese, options):
    ratio = {key: figures[key] and siamese[key] and siamese[key] / figures[key] for key in ("qps", "build_s", "bytes_per_vector")}
    if options.json:
        print(json.dumps({"engine": name, **figures, "siamese_times": ratio}), flush=True)
        return
    if figures["qps"] is None:
        print(f"{name:8} does not reach recall@10 {options.recall}", flush=True)
        return
    print("{:8} ef {ef:3.0f}, recall@10 {recall_at_10:.4f}: {qps:6.0f} queries/s; built in {build_s:.1f} s, "
          "{bytes_per_vector:.0f} bytes a vector".format(name, **figures), flush=True)
    if name != "siamese" and ratio["qps"]:
        print("         siamese has {qps:.2f} x the queries/s, {build_s:.2f} x the build time, "
              "{bytes_per_vector:.2f} x the bytes".format(**ratio), flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--siamese", type=pathlib.Path, default=ROOT / "target/dist/siamese")
    for name in ("base", "query", "truth"):
        arguments.add_argument("--" + name, type=pathlib.Path)
    arguments.add_argument("--count", type=int, default=100_000, help="vectors to make")
    arguments.add_argument("--dimensions", type=int, default=384)
    arguments.add_argument("--queries", type=int, default=1000)
    arguments.add_argument("--only", nargs="*", default=ENGINES, choices=ENGINES)
    arguments.add_argument("--recall", type=float, default=0.99)
    arguments.add_argument("--ef", default=EFS)
    arguments.add_argument("--threads", type=int, default=2, help="threads that build")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", type=pathlib.Path, help="where files are made; a folder that is removed, without it")
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    given = [path is not None for path in (options.base, options.query, options.truth)]
    if any(given) and not all(given):
        arguments.error("--base, --query and --truth go together")
    with tempfile.TemporaryDirectory() as name:
        if not all(given):
            folder = options.folder or pathlib.Path(name)
            make_files(folder, options.count, options.queries, options.dimensions)
            options.base, options.query, options.truth = (folder / file for file in ("base.fvecs", "query.fvecs", "truth.ivecs"))
        rounds = {engine: [] for engine in options.only}
        for _ in range(options.rounds):
            for engine in options.only:
                rounds[engine].append(figures(sweep(engine, options), options.recall))
    medians = {engine: median(rounds[engine]) for engine in options.only}
    for engine in options.only:
        report(engine, medians[engine], medians.get("siamese", dict.fromkeys(medians[engine])), options)


if __name__ == "__main__":
    main()
