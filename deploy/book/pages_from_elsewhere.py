"""Gives mdBook the pages that are not in docs/, and leads the links to them there.

In docs/SUMMARY.md such a page is a chapter without a file. mdBook runs this for each build (book.toml)."""

import json
import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Where a chapter is in the repository, by its name in SUMMARY.md, and where it is in the book.
PAGES = {
    "siamese": ("README.md", "index.md"),
    "Every setting": ("config/default.toml", "settings.md"),
    "The client for Python": ("clients/python/README.md", "python.md"),
    "Architecture": ("ARCHITECTURE.md", "architecture.md"),
    "Security": ("SECURITY.md", "security.md"),
    "Contributing": ("CONTRIBUTING.md", "contributing.md"),
    "Changes": ("CHANGELOG.md", "changes.md"),
}
IN_THE_BOOK = dict(PAGES.values())
LINK = re.compile(r"\[([^][]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def led_there(text, source):
    """The text of a file of the repository, with links to pages of the book; what is not in it is no link any more."""

    def link(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        if target.startswith("docs/") and target.endswith(".md"):
            target = target.removeprefix("docs/")
        elif target in IN_THE_BOOK:
            target = IN_THE_BOOK[target]
        elif (ROOT / target).exists():
            return match[1]
        else:
            raise SystemExit(f"{source}: {match[2]} is neither in the book nor in the repository")
        return f"[{match[1]}]({target}{match[3] or ''})"

    # In code, brackets are no links.
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def fill(item):
    chapter = item.get("Chapter") if isinstance(item, dict) else None
    if chapter is None:
        return
    if chapter["path"]:
        chapter["content"] = led_there(chapter["content"], f"docs/{chapter['path']}")
    else:
        source, path = PAGES[chapter["name"]]
        text = (ROOT / source).read_text()
        if source.endswith(".toml"):
            text = f"# {chapter['name']}\n\n```toml\n{text}```\n"
        chapter.update(path=path, source_path=path, content=led_there(text, source))
    for inner in chapter["sub_items"]:
        fill(inner)


if sys.argv[1:2] == ["supports"]:
    sys.exit(sys.argv[2] != "html")
_context, book = json.load(sys.stdin)
for item in book.get("items", book.get("sections")):
    fill(item)
json.dump(book, sys.stdout)
