"""Encodes the same texts with siamese, with torch and with ONNX Runtime, for backbones of several families, and prints the ratios.

    python3 -m venv .venv && .venv/bin/pip install -r tests/bench/requirements.txt torch transformers sentence-transformers
    cargo build --profile dist
    .venv/bin/python tests/bench/compare_families.py

The backbones have the sizes of ModernBERT-base, MPNet-base, ALBERT-base and Qwen3-0.6B, and random weights, which take as
long as learned ones. Their tokenizer is that of the default model, so that all encode the same tokens; Qwen3's vocabulary is
as small as that tokenizer's, which has no part in the speed. All three sides tokenise inside the time, sort texts by length before
batching (32 in a batch), and use the same number of threads. torch runs what `transformers` has (eager and SDPA attention are
both tried, the faster one counts), in f32; ONNX Runtime runs the graph that torch exports, all its optimisations on. A round
runs one side after the other; medians of rounds are compared. The smallest cosine is that of our vectors with torch's.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FAMILIES = ["modernbert-base", "mpnet-base", "albert-base", "qwen3-0.6b"]
WINDOW = 256

parser = argparse.ArgumentParser(description="Compares backbones of several families with torch and ONNX Runtime.")
parser.add_argument("--siamese", type=pathlib.Path, default=ROOT / "target/dist/siamese")
parser.add_argument("--only", nargs="*", default=FAMILIES, choices=FAMILIES)
parser.add_argument("--texts", type=int, default=192)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--precision", default="int16", choices=["f32", "int16", "bf16", "int8"])
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--json", action="store_true")
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import onnxruntime
import torch
import transformers as hf
from sentence_transformers import SentenceTransformer, models
from tokenizers import Tokenizer

torch.set_num_threads(options.threads)


def config_of(family, words):
    """The published sizes; what is not said is the default of `transformers`, which is the base model's."""
    special = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}
    if family == "modernbert-base":
        return hf.ModernBertConfig(**special, cls_token_id=101, sep_token_id=102)
    if family == "mpnet-base":
        return hf.MPNetConfig(**{**special, "pad_token_id": 1})
    if family == "albert-base":
        sizes = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
        return hf.AlbertConfig(vocab_size=words, num_hidden_layers=12, **sizes, **special)
    heads = {"num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128}
    sizes = {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28}
    return hf.Qwen3Config(vocab_size=words, max_position_embeddings=32768, tie_word_embeddings=True, **heads, **sizes, **special)


def make_model(family, folder, tokenizer_folder):
    """A sentence-transformers folder with random weights."""
    torch.manual_seed(1)
    tokenizer = hf.PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    backbone = folder / "backbone"
    hf.AutoModel.from_config(config_of(family, len(tokenizer))).eval().save_pretrained(backbone)
    tokenizer.save_pretrained(backbone)
    transformer = models.Transformer(str(backbone), max_seq_length=WINDOW)
    pooling = models.Pooling(transformer.get_word_embedding_dimension(), "lasttoken" if family.startswith("qwen") else "mean")
    SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu").save(str(folder / "model"))
    return folder / "model"


class Pooled(torch.nn.Module):
    """Token ids and mask in, unit vectors out."""

    def __init__(self, backbone, pooling):
        super().__init__()
        self.backbone, self.pooling = backbone, pooling

    def forward(self, input_ids, attention_mask):
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        if self.pooling == "mean":
            pooled = (hidden * mask).sum(1) / mask.sum(1)
        else:
            last = attention_mask.sum(1) - 1
            pooled = hidden[torch.arange(hidden.shape[0]), last]
        return torch.nn.functional.normalize(pooled, dim=-1)


def pooled(model, family, attention):
    backbone = hf.AutoModel.from_pretrained(model, attn_implementation=attention).eval()
    return Pooled(backbone, "last" if family.startswith("qwen") else "mean")


def torch_runners(model, family):
    """One for each way in which `transformers` computes attention for this family."""
    runners = {}
    for attention in ("eager", "sdpa"):
        try:
            runners[f"torch, {attention}"] = torch_runner(pooled(model, family, attention))
        except ValueError:
            print(f"{family} has no {attention} attention in transformers", file=sys.stderr)
    return runners


def export(model, family, path):
    ids = torch.tensor([[101, 2000, 2001, 102], [101, 2000, 102, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    axes = {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}}
    with torch.no_grad():
        torch.onnx.export(
            pooled(model, family, "eager"), (ids, mask), str(path), input_names=["input_ids", "attention_mask"],
            output_names=["vectors"], dynamic_axes=axes, opset_version=17, dynamo=False,
        )


def encode(texts, tokenizer, run):
    """All vectors in the order of the texts, and the number of tokens."""
    encodings = tokenizer.encode_batch(texts)
    order = sorted(range(len(encodings)), key=lambda place: -len(encodings[place].ids))
    vectors = [None] * len(texts)
    for first in range(0, len(order), 32):
        places = order[first : first + 32]
        width = len(encodings[places[0]].ids)
        ids, mask = np.zeros((len(places), width), np.int64), np.zeros((len(places), width), np.int64)
        for row, place in enumerate(places):
            own = encodings[place].ids
            ids[row, : len(own)], mask[row, : len(own)] = own, 1
        for place, vector in zip(places, run(ids, mask)):
            vectors[place] = vector
    return np.stack(vectors), sum(len(encoding.ids) for encoding in encodings)


def torch_runner(module):
    def run(ids, mask):
        with torch.inference_mode():
            return module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()

    return run


def onnx_runner(path):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def timed(texts, tokenizer, run):
    start = time.perf_counter()
    _, tokens = encode(texts, tokenizer, run)
    return tokens / (time.perf_counter() - start)


def ours(model, texts, vectors):
    command = [options.siamese, "bench", "encoder", "--model", model, "--precision", options.precision, "--json", "--texts", texts]
    command += ["--batch", "32", "--threads", options.threads, "--repeat", "1", "--vectors", vectors]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])["tokens_per_second"]


def compare(family, texts, texts_file, tokenizer_folder, folder):
    model = make_model(family, folder, tokenizer_folder)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(WINDOW)
    runners = torch_runners(model, family)
    graph = folder / "graph.onnx"
    export(model, family, graph)
    runners["ONNX Runtime"] = onnx_runner(graph)
    reference, tokens = encode(texts, tokenizer, runners["torch, eager"])
    other, _ = encode(texts, tokenizer, runners["ONNX Runtime"])
    assert (reference * other).sum(1).min() > 0.999, "the exported graph is another model"
    speeds = {"siamese": []} | {name: [] for name in runners}
    for _ in range(options.rounds):
        speeds["siamese"].append(ours(model, texts_file, folder / "vectors"))
        for name, run in runners.items():
            speeds[name].append(timed(texts, tokenizer, run))
    vectors = np.fromfile(folder / "vectors", "<f4").reshape(len(texts), -1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    best = max(value for name, value in medians.items() if name != "siamese")
    return {
        "family": family, "tokens": tokens, "tokens_per_second": medians, "ratio_to_best": medians["siamese"] / best,
        "smallest_cosine": float((vectors * reference).sum(1).min()),
    }


def some_texts(count):
    """Texts of 5 to 256 tokens, the same ones every time."""
    with open(ROOT / "crates/cli/demo/corpus.jsonl", encoding="utf-8") as corpus:
        words = " ".join(json.loads(line)["text"] for line in corpus).split()
    chance = random.Random(7)
    lengths = [chance.choice([5, 12, 25, 60, 120, 180]) for _ in range(count)]
    starts = [chance.randrange(len(words) - length) for length in lengths]
    return [" ".join(words[start : start + length]) for start, length in zip(starts, lengths)]


def main():
    pulled = subprocess.run([options.siamese, "model", "pull"], stdout=subprocess.PIPE, text=True, check=True)
    tokenizer_folder = pulled.stdout.strip()
    texts = some_texts(options.texts)
    for family in options.only:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            texts_file = folder / "texts.jsonl"
            texts_file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
            figures = compare(family, texts, texts_file, tokenizer_folder, folder)
        if options.json:
            print(json.dumps(figures), flush=True)
            continue
        speeds = ", ".join(f"{name} {speed:.0f}" for name, speed in figures["tokens_per_second"].items())
        print(f"{family:16} tokens/s: {speeds}; {figures['ratio_to_best']:.2f} x the best, cosine >= {figures['smallest_cosine']:.6f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
