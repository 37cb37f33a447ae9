"""A training here beside sentence-transformers' own, on the same pairs.

    python tests/bench/compare_training.py PAIRS.jsonl --model FOLDER [--siamese target/dist/siamese]

The file has the columns anchor and positive, and may have negative and label. A tenth of the anchors is kept
aside by this script and seen by neither: what belongs to an anchor among all positives (its own, and those of its label) is
looked for with the model as it was and with both that were trained. Needs sentence-transformers, datasets and
accelerate. Both use two threads (--threads), the same batch size, epochs, learning rate and loss; the order of examples
differs.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("pairs")
parser.add_argument("--model", required=True)
parser.add_argument("--siamese", default="target/dist/siamese")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=2e-5)
parser.add_argument("--max-pairs", type=int, default=0)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--control", help="CSV of sentence1, sentence2, score")
parser.add_argument("--only-ours", action="store_true")
options = parser.parse_args()

os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(options.threads)
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

torch.set_num_threads(options.threads)


def split(rows):
    """Rows to learn from and rows to measure by, without an anchor of these in any place of those."""
    anchors = sorted({row["anchor"] for row in rows})
    random.Random(1).shuffle(anchors)
    aside = set(anchors[: max(1, len(anchors) // 10)])
    held_out = [row for row in rows if row["anchor"] in aside]
    texts = lambda row: [row["anchor"], row["positive"], row.get("negative")]
    return [row for row in rows if not aside.intersection(texts(row))], held_out


def figures(folder, rows, held_out):
    """accuracy@1 and nDCG@10 of finding positives."""
    model = SentenceTransformer(str(folder), device="cpu")
    candidates = sorted({row["positive"] for row in rows + held_out})
    place = {text: number for number, text in enumerate(candidates)}
    of_label, relevant = {}, {}
    for row in rows + held_out:
        if "label" in row:
            of_label.setdefault(row["label"], set()).add(place[row["positive"]])
    for row in held_out:
        own = relevant.setdefault(row["anchor"], set())
        own.add(place[row["positive"]])
        own |= of_label.get(row.get("label"), set())
    anchors = sorted(relevant)
    encode = lambda texts: model.encode(texts, batch_size=64, normalize_embeddings=True)
    scores = encode(anchors) @ encode(candidates).T
    accuracy = ndcg = 0.0
    for anchor, row in zip(anchors, scores):
        if anchor in place:
            row[place[anchor]] = -2
        own = relevant[anchor] - {place.get(anchor)}
        best = np.argsort(-row)[:10]
        gains = [1 / np.log2(rank + 2) for rank, text in enumerate(best) if text in own]
        accuracy += best[0] in own
        ndcg += sum(gains) / sum(1 / np.log2(rank + 2) for rank in range(min(10, len(own)) or 1))
    return accuracy / len(anchors), ndcg / len(anchors)


def spearman(folder):
    import csv

    from scipy.stats import spearmanr

    rows = list(csv.DictReader(open(options.control)))
    model = SentenceTransformer(str(folder), device="cpu")
    left, right = (model.encode([row[name] for row in rows], normalize_embeddings=True) for name in ("sentence1", "sentence2"))
    return spearmanr((left * right).sum(1), [float(row["score"]) for row in rows]).statistic


def ours(rows, folder):
    with open(folder + ".jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    command = [options.siamese, "train", "--data", folder + ".jsonl", "--output", folder, "--model", options.model]
    command += ["--held-out", "0", "--epochs", str(options.epochs), "--batch-size", str(options.batch_size)]
    command += ["--learning-rate", str(options.learning_rate), "--device", "cpu", "--json"]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    return sum(epoch["seconds"] for epoch in report["epochs"])


def theirs(rows, folder):
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses

    columns = ["anchor", "positive"] + (["negative"] if all("negative" in row for row in rows) else [])
    model = SentenceTransformer(options.model, device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=folder + ".tmp",
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        warmup_ratio=0.1,
        weight_decay=0.01,
        seed=42,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({name: [row[name] for row in rows] for name in columns}),
        loss=losses.MultipleNegativesRankingLoss(model),
    )
    begun = time.time()
    trainer.train()
    seconds = time.time() - begun
    model.save(folder)
    return seconds


rows = [json.loads(line) for line in open(options.pairs)]
if options.max_pairs:
    random.Random(2).shuffle(rows)
    rows = rows[: options.max_pairs]
rows, held_out = split(rows)
print(f"{len(rows)} to learn from, {len(held_out)} to measure by")
with tempfile.TemporaryDirectory() as scratch:
    models = [("before", options.model, None)]
    for name, train in [("siamese", ours), ("sentence-transformers", theirs)][: 1 if options.only_ours else 2]:
        folder = os.path.join(scratch, name)
        models.append((name, folder, train(rows, folder)))
    for name, folder, seconds in models:
        accuracy, ndcg = figures(folder, rows, held_out)
        control = f"  control {spearman(folder):.4f}" if options.control else ""
        took = f"  {seconds:.1f} s" if seconds else ""
        print(f"{name:22} accuracy@1 {accuracy:.4f}  nDCG@10 {ndcg:.4f}{control}{took}", flush=True)
