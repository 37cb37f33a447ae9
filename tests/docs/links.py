"""Every link between pages of the repository leads to a file, and to a heading in it, and the book has all of docs/."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page):
    """What the headings of a page are called, as GitHub and mdBook do."""
    text = FENCE.sub("", page.read_text())
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def main():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
                            cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() or [str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")]
    checked, wrong = 0, []
    for name in sorted(set(names)):
        page = ROOT / name
        for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            checked += 1
            if not file.exists():
                wrong.append(f"{name}: {target}: there is no such file")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                wrong.append(f"{name}: {target}: there is no such heading")
    book = (ROOT / "docs/SUMMARY.md").read_text()
    wrong += [f"docs/SUMMARY.md has no {page.name}" for page in sorted(ROOT.glob("docs/*.md"))
              if page.name != "SUMMARY.md" and f"]({page.name})" not in book]
    print("\n".join([*wrong, f"links: {checked} looked at, {len(wrong)} wrong"]))
    return bool(wrong)


sys.exit(main())
