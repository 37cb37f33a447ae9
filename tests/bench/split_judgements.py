"""Splits a folder of judgements into pairs to learn from and queries to measure by.

    python3 tests/bench/split_judgements.py scifact --output split --held-out 300
    siamese train --data split/pairs.jsonl --output ours --max-tokens 256
    siamese eval retrieval split/held-out --chunking off        # a service with the model before, and one with ours

The folder has the layout of BEIR (corpus.jsonl, queries.jsonl, qrels/*.tsv). --held-out queries, drawn by --seed, are measured by:
`held-out` is such a folder with them and the whole corpus. `pairs.jsonl` has a line for each query of the others and each text that
is relevant to it: `anchor`, `positive` (title and text). No query is on both sides; texts may be, as in use.
"""

import argparse
import csv
import json
import pathlib
import random
import shutil
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def judgements(folder):
    """Rows of query, text and grade."""
    rows = []
    for path in sorted((folder / "qrels").glob("*.tsv")):
        with open(path, encoding="utf-8", newline="") as file:
            table = csv.reader(file, delimiter="\t")
            next(table)
            rows += [(query, text, int(grade)) for query, text, grade in table]
    return rows


def main():
    arguments = argparse.ArgumentParser(description="Splits a folder of judgements into pairs and held-out queries.")
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--output", type=pathlib.Path, required=True, help="must not be there yet")
    arguments.add_argument("--held-out", type=int, default=300, help="queries to measure by")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    rows = judgements(options.folder)
    queries = sorted({query for query, _, _ in rows})
    if not 0 < options.held_out < len(queries):
        sys.exit(f"--held-out may be 1 to {len(queries) - 1}: so many queries have judgements, less one to learn from")
    random.Random(options.seed).shuffle(queries)
    aside = set(queries[: options.held_out])
    held_out = options.output / "held-out"
    (held_out / "qrels").mkdir(parents=True)
    shutil.copy(options.folder / "corpus.jsonl", held_out / "corpus.jsonl")
    texts = {one["_id"]: f"{one.get('title', '')} {one['text']}".strip() for one in lines(options.folder / "corpus.jsonl")}
    asked = {one["_id"]: one["text"] for one in lines(options.folder / "queries.jsonl")}
    with open(held_out / "queries.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"_id": query, "text": asked[query]}) + "\n" for query in sorted(aside))
    with open(held_out / "qrels" / "test.tsv", "w", encoding="utf-8") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"{query}\t{text}\t{grade}\n" for query, text, grade in rows if query in aside)
    pairs = [(query, text) for query, text, grade in rows if query not in aside and grade > 0]
    with open(options.output / "pairs.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"anchor": asked[query], "positive": texts[text]}) + "\n" for query, text in pairs)
    print(f"{len(pairs)} pairs to learn from, {len(aside)} queries to measure by")


if __name__ == "__main__":
    main()
