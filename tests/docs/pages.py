"""Runs the shell blocks of pages against a real service, as a reader would who follows the page from its top.

Each page has a fresh service, with the two documents of the README stored, in a folder with files.py's files. In a
block, `siamese serve ..` takes the place of that service; words in capital letters (FILE, ID) stand for what "run before"
has called so. Lines of LEFT_OUT are not run. A page says the rest in comments, which nobody sees who reads it:

    <!-- not run: why -->             before a block; before the first heading, of the whole page
    <!-- run before: commands -->     before a block: what a reader would have done by then
    <!-- answer: shape -->            before the answer of a block: names and types count, and not values

A block of JSON right after one of shell is its answer: all that it shows has to be in what was printed. Of what is not
run, commands and flags are compared with the binary's help."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODELS = ROOT / "crates/encoder/tests/fixtures/models"
BLOCK_DEADLINE_S = 120
ITEM = re.compile(r"^<!--(?P<comment>.*?)-->|^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# Compilers, containers, other packages of Python, the tests themselves, and what measures for minutes.
LEFT_OUT = re.compile(r"^(\w+=\S+ )*(cargo|docker|(python3|\.venv\S*|SIAMESE_HOSTILE\S*|tests/\S*|fuzz/\S*|WITH_KEY\S*|siamese bench)\b)")
# What no two runs have in common.
CHANGING = {"job", "took_ms", "queue_ms", "encode_ms", "search_ms"}
# In a binary that is built with --features measure only.
MEASURING = {"collection", "duplicates", "storage"}


@dataclass
class Block:
    """Commands of a page, and what it says of them."""

    line: int
    code: str
    run: str
    not_run: str = ""
    before: str = ""
    answer: object = None
    only_shape: bool = False


@dataclass
class Page:
    path: Path
    blocks: list = field(default_factory=list)
    not_run: str = ""


def read(path):
    text = path.read_text()
    page = Page(path)
    said, end_of_last = {}, None
    for item in ITEM.finditer(text):
        if item["comment"] is not None:
            kind, _, words = item["comment"].strip().partition(":")
            if kind not in ("not run", "run before", "answer"):
                raise SystemExit(f"{path.name}: <!--{item['comment']}--> says nothing that is understood")
            said[kind] = words.strip()
            if kind == "not run" and not page.blocks and "\n# " not in "\n" + text[:item.start()]:
                page.not_run = said.pop(kind)
            continue
        if item["language"] == "sh":
            line, run = text[:item.start()].count("\n") + 1, to_run(item["code"])
            not_run = said.pop("not run", page.not_run) or ("" if run.strip() else "of what LEFT_OUT says")
            page.blocks.append(Block(line, item["code"], run, not_run, said.pop("run before", "")))
            end_of_last = item.end()
        elif item["language"] == "json" and end_of_last is not None:
            between = re.sub(r"<!--.*?-->", "", text[end_of_last:item.start()])
            if "answer" in said or not between.strip():
                block = page.blocks[-1]
                block.answer, block.only_shape = shown(item["code"]), said.pop("answer", "") == "shape"
            end_of_last = None
        if said:
            raise SystemExit(f"{path.name}: {said} is about no block")
    return page


def to_run(code):
    """The commands of a block that are run."""
    commands = re.findall(r"(?:.*\\\n)*.*\n", code)
    return "".join(command for command in commands if not LEFT_OUT.match(command))


def shown(code):
    """The JSON of a page, in which `..` stands for what is left out."""
    return json.loads(re.sub(r",\s*\.\.|(?<=[{\[])\.\.", "", code))


def difference(expected, printed, only_shape, at=""):
    """What of the expected is not in what was printed; nothing when all is."""
    if at.rpartition("/")[2] in CHANGING:
        return None
    if isinstance(expected, dict) and isinstance(printed, dict):
        for key, value in expected.items():
            if key not in printed:
                return f"{at}/{key} is not there"
            if found := difference(value, printed[key], only_shape, f"{at}/{key}"):
                return found
        return None
    if isinstance(expected, list) and isinstance(printed, list):
        if len(printed) < len(expected):
            return f"{at} has {len(printed)} items, and not {len(expected)}"
        pairs = enumerate(zip(expected, printed))
        return next(filter(None, (difference(*pair, only_shape, f"{at}/{i}") for i, pair in pairs)), None)
    number = (int, float)
    if isinstance(expected, number) and isinstance(printed, number) and not isinstance(expected, bool):
        return None if only_shape or abs(expected - printed) < 1e-3 else f"{at} is {printed}, and not {expected}"
    if type(expected) is not type(printed):
        return f"{at} is {printed!r}, and not {expected!r}"
    return None if only_shape or expected == printed else f"{at} is {printed!r}, and not {expected!r}"


def documents(text):
    """All JSON that stands in what was printed."""
    decoder, position, found = json.JSONDecoder(), 0, []
    while (position := text.find("{", position)) >= 0:
        try:
            value, position = decoder.raw_decode(text, position)
            found.append(value)
        except ValueError:
            position += 1
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Reader:
    """Somebody who follows a page."""

    def __init__(self, binary, scratch):
        self.folder = scratch / "page"
        self.folder.mkdir()
        files.write(self.folder)
        self.places = {
            "localhost:8080": f"localhost:{free_port()}",
            "127.0.0.1:9000": f"127.0.0.1:{free_port()}",
            "/var/lib/siamese": str(scratch / "var"),
            "/backup/": f"{scratch}/backup/",
        }
        (scratch / "backup").mkdir()
        for name, model in files.MODELS.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).symlink_to(MODELS / model)
        port = self.places["localhost:8080"].partition(":")[2]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SIAMESE")},
            "PAGE_FOLDER": str(self.folder),
            "PORT": port,
            "NO_PROXY": "localhost,127.0.0.1",
            "SIAMESE_BINARY": binary,
            "SIAMESE_URL": f"http://127.0.0.1:{port}",
            "SIAMESE__SERVER__LISTEN": f"127.0.0.1:{port}",
            "SIAMESE__RERANKER__MODEL": str(MODELS / "cross-encoders/bert"),
            "SIAMESE__TRAINING__DIRECTORY": str(self.folder / "trained"),
            # The default model is another one with fewer dimensions.
            "SIAMESE__ENCODERS__LARGE__MODEL": "sentence-transformers/all-MiniLM-L6-v2",
            "SIAMESE__ENCODERS__LARGE__DIMENSIONS": "256",
        }
        if models := os.environ.get("SIAMESE_MODELS_DIR"):
            self.environment["SIAMESE_MODELS_DIR"] = models

    def run(self, commands):
        for place, here in self.places.items():
            commands = commands.replace(place, here)
        script = f"set -euo pipefail\n. {shlex.quote(str(HERE / 'shell.sh'))}\n{commands}"
        with subprocess.Popen(["bash", "-c", script], cwd=self.folder, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              start_new_session=True) as shell:
            try:
                out, err = shell.communicate(timeout=BLOCK_DEADLINE_S)
            except subprocess.TimeoutExpired:
                os.killpg(shell.pid, signal.SIGKILL)
                out, err = shell.communicate()
                err += f"it took more than {BLOCK_DEADLINE_S} s"
        return shell.returncode, out, err

    def follow(self, block):
        """What is wrong with a block; nothing when it does what the page says."""
        code, names = block.run, re.findall(r"^\s*([A-Z_]+)=", block.before, re.MULTILINE)
        if block.before:
            # Where the last command has ended, the values follow.
            values = "; ".join(f'printf "%s\\0" "${name}"' for name in names)
            status, out, err = self.run(f"{{ {block.before}\n}} >/dev/null\n{values}")
            if status:
                return f"what is to be run before ends with exit code {status}\n{err[-1500:]}"
            for name, value in zip(names, out.split("\0")):
                self.environment[name] = value
                code = re.sub(rf"\[{name}\]|(?<![\w$]){name}\b(?!=)", lambda _: value, code)
        status, out, err = self.run(code)
        if status:
            return f"exit code {status}\n{out[-1500:]}\n{err[-1500:]}"
        if block.answer is None:
            return None
        differences = [difference(block.answer, printed, block.only_shape) for printed in documents(out)]
        if None in differences:
            return None
        return f"the answer is another one: {differences[:3]}\n{out[:1500]}"


@cache
def help_of(binary, *command):
    done = subprocess.run([binary, *command, "--help"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def unknown(binary, block):
    """What a block says and the binary does not know, whether it is run or not."""
    lines = re.sub(r"\\\n", " ", block.code).splitlines()
    for line in lines:
        match = re.search(r"(?:^|[ (/])siamese ((?:[a-z][a-z-]*)(?: .*)?)$", line.partition("#")[0].rstrip())
        if not match:
            continue
        words, command = match[1].split(), ()
        if words[0] == "bench" and words[1] in MEASURING:
            continue
        while words and re.search(rf"^  {re.escape(words[0])}(  |$)", help_of(binary, *command), re.MULTILINE):
            command += (words.pop(0),)
        if not command:
            return f"siamese {words[0]} is no command"
        for flag in filter(lambda word: word.startswith("--"), words):
            if not re.search(rf"{re.escape(flag.partition('=')[0])}\b", help_of(binary, *command)):
                return f"siamese {' '.join(command)} has no {flag}"
    return None


def follow(binary, page):
    """Follows a page, and returns what is wrong, and how many blocks were run."""
    wrong, run = [], 0
    runnable = [block for block in page.blocks if not block.not_run]
    for block in page.blocks:
        if reason := unknown(binary, block):
            wrong.append((block, reason))
    if not runnable:
        return wrong, run
    scratch = Path(tempfile.mkdtemp(prefix="siamese-docs-"))
    reader = Reader(binary, scratch)
    try:
        status, out, err = reader.run(f"start_service\n{files.STORED}")
        if status:
            raise SystemExit(f"the service does not start: {out}{err}")
        for block in runnable:
            run += 1
            if reason := reader.follow(block):
                wrong.append((block, reason))
    finally:
        # Nothing of it is wanted any more.
        reader.run('kill -9 "$(cat "$PAGE_FOLDER.pid")"')
        shutil.rmtree(scratch)
    return wrong, run


def main():
    binary, *names = sys.argv[1:]
    paths = [ROOT / name for name in names] or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    passed = failed = left = 0
    for path in paths:
        page, begin = read(path), time.monotonic()
        if not page.blocks:
            continue
        wrong, run = follow(binary, page)
        not_run = len([block for block in page.blocks if block.not_run])
        took = time.monotonic() - begin
        print(f"{path.relative_to(ROOT)}: {run} run, {not_run} not run, {len(wrong)} wrong ({took:.1f} s)", flush=True)
        for block, reason in wrong:
            print(f"  line {block.line}:\n{block.code}  {reason}\n", flush=True)
        passed, failed, left = passed + len(page.blocks) - not_run - len(wrong), failed + len(wrong), left + not_run
    print(f"blocks: {passed} passed, {failed} failed, {left} skipped")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
