"""The files that pages speak of, in small."""

import json

# Models by the paths that pages give.
MODELS = {
    "path/to/model-folder": "roberta",
    "path/to/ms-marco-MiniLM-L6-v2": "cross-encoders/bert",
}

# What every page begins with.
STORED = """curl -s "localhost:$PORT/documents" -H 'content-type: application/json' -d '{"documents": [
  {"id": "t-1", "title": "Sign-in", "text": "My password is refused since yesterday.", "metadata": {"status": "open"}},
  {"id": "t-2", "text": "The lamp in the hall flickers when it is dimmed."}]}'"""

TICKETS = [
    ("t-1", "My password is refused since yesterday.", {"status": "open"}),
    ("t-2", "The lamp in the hall flickers when it is dimmed.", {"status": "closed"}),
    ("t-3", "Since yesterday my password is refused.", {"status": "closed", "merged_into": "t-1"}),
    ("t-4", "The printer on the second floor does not print.", {"status": "open"}),
    ("t-9", "I forgot my password and cannot sign in.", {"status": "open", "merged_into": "t-1"}),
    ("t-17", "The printer on the second floor doesn't print.", {"status": "open", "merged_into": "t-4"}),
    ("t-20", "ERR_42 after the restart of the router", {"status": "open"}),
    ("t-21", "Where do I find my invoice?", {"status": "open"}),
    ("t-22", "The invoice of March is wrong.", {"status": "closed", "merged_into": "t-21"}),
    ("t-23", "How do I get my money back?", {"status": "open"}),
    ("t-24", "Please refund what I have paid.", {"status": "open", "merged_into": "t-23"}),
    ("t-25", "The lift stops between two floors.", {"status": "open"}),
]
# Enough of them that a training has a tenth to measure by.
THINGS = ["lamp", "printer", "window", "door", "heating", "phone", "screen", "chair"]
PAIRS = [(f"The {thing} in room {room} is broken.", f"Please repair the {thing} of number {room}.")
         for thing in THINGS for room in range(1, 8)]
for number, (broken, repair) in enumerate(PAIRS):
    TICKETS += [(f"r-{number}", broken, {"status": "open"}), (f"m-{number}", repair, {"merged_into": f"r-{number}"})]


def write(folder):
    """Writes them all into a folder."""
    put = {
        "tickets.jsonl": lines({"id": id, "text": text, "metadata": data} for id, text, data in TICKETS),
        "tickets.csv": "id,text\n" + "".join(f'{id},"{text}"\n' for id, text, _ in TICKETS),
        "faq.csv": "question,answer\nHow do I get my money back?,Ask for a refund.\nWhen are you open?,From nine.\n",
        "notes/refund.md": "# Refunds\n\nMoney is paid back within ten days.\n",
        "notes/lamps.txt": "Dimmed lamps flicker when the dimmer is too old.\n",
        "manuals/one.md": "# Printer\n\nSwitch the printer off and on again before you call.\n\nPaper is in room 12.\n",
        "manuals/two.md": "# Router\n\nSwitch the printer off and on again before you call.\n\nCables are in room 3.\n",
        "my.toml": "[limits]\nmax_top_k = 500\n",
        "queries.txt": "cannot sign in\nthe light is broken\n",
        "pairs.jsonl": lines({"anchor": anchor, "positive": positive} for anchor, positive in PAIRS),
        "pairs.tsv": "t-1\tt-3\nt-4\tt-17\n",
        "scifact/corpus.jsonl": lines({"_id": id, "title": "", "text": text} for id, text, _ in TICKETS),
        "scifact/queries.jsonl": lines([{"_id": "q1", "text": "cannot sign in"}, {"_id": "q2", "text": "broken light"}]),
        "scifact/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\tt-1\t1\nq1\tt-9\t1\nq2\tt-2\t1\n",
        "stsbenchmark/sts-dev.csv": STS,
        "texts.jsonl": lines({"text": text} for _, text, _ in TICKETS),
    }
    put["sentences.jsonl"] = put["texts.jsonl"]
    put["issues.jsonl"] = put["tickets.jsonl"]
    put["duplicates.tsv"] = put["pairs.tsv"]
    for name, text in put.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def lines(values):
    return "".join(json.dumps(value) + "\n" for value in values)


STS = "".join(
    f"main-captions\tMSRvid\t2012test\t{number:04}\t{score}\t{a}\t{b}\n"
    for number, (score, a, b) in enumerate([
        ("5.000", "A man is playing a guitar.", "A man plays the guitar."),
        ("3.000", "A cat sleeps on a chair.", "A kitten is lying on a sofa."),
        ("0.500", "A plane is taking off.", "A woman is slicing an onion."),
        ("4.000", "Two dogs run in the snow.", "Two dogs are running through snow."),
    ])
)
