"""What deploy/ and the pages say of settings is true of config/default.toml, and files of deploy/ can be read."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

try:
    import yaml
except ImportError:
    yaml = None

ROOT = Path(__file__).resolve().parents[2]
# Sections with a name of somebody's choice, and the section with their keys.
NAMED = {"encoders": "encoder", "rerankers": "reranker"}


def settings():
    """Names of all settings by section, those included that stand there as comments since they have no default."""
    known, section = {}, None
    for line in (ROOT / "config/default.toml").read_text().splitlines():
        if heading := re.fullmatch(r"\[([a-z.]+)\]", line):
            section = known.setdefault(heading[1], set())
        elif section is not None and (name := re.match(r"(?:# )?([a-z_0-9]+) = ", line)):
            section.add(name[1])
    return known


class Check:
    def __init__(self):
        self.known = settings()
        self.looked_at = 0
        self.wrong = []

    def setting(self, place, section, key):
        self.looked_at += 1
        if key not in self.known.get(NAMED.get(section, section), ()):
            self.wrong.append(f"{place}: there is no setting {section}.{key}")

    def names(self, place, text):
        """Environment variables, and settings as prose names them."""
        for section, key in re.findall(r"\bSIAMESE__([A-Z]+(?:__(?:TLS|QDRANT))?)__([A-Z_0-9]+)\b", text):
            section, key = section.lower().replace("__", "."), key.lower()
            if section in NAMED:
                key = key.rpartition("__")[2]
            self.setting(place, section, key)
        # A name without an underscore may be a file's, such as training.json.
        sections = "|".join(sorted(map(re.escape, self.known), key=len, reverse=True))
        for section, key in re.findall(rf"(?<![\w./-])({sections})\.([a-z]+(?:_[a-z0-9]+)+)\b(?!\()", text):
            self.setting(place, section, key)

    def toml(self, place, text):
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.wrong.append(f"{place}: {error}")
            return
        for section, table in tables.items():
            named = section in NAMED
            for key, value in table.items():
                if isinstance(value, dict):
                    for inner in value:
                        self.setting(place, section if named else f"{section}.{key}", inner)
                else:
                    self.setting(place, section, key)

    def addresses(self, place, text):
        """Addresses of numbered services, which compose.yaml beside the file has to have."""
        services = re.findall(r"^  ([a-z]+-\d+):$", (ROOT / place).with_name("compose.yaml").read_text(), re.MULTILINE)
        for name in re.findall(r"\b([a-z]+-\d+):\d+", text):
            self.looked_at += 1
            if name not in services:
                self.wrong.append(f"{place}: compose.yaml has no service {name}")

    def data(self, place, path):
        """Files in other forms."""
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif yaml:
                list(yaml.safe_load_all(path.read_text()))
        except ValueError as error:
            self.wrong.append(f"{place}: {error}")
        except Exception as error:
            if not (yaml and isinstance(error, yaml.YAMLError)):
                raise
            self.wrong.append(f"{place}: {error}")
        self.looked_at += 1


def files():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True)
    return sorted({ROOT / name for name in listed.stdout.split() if (ROOT / name).is_file()})


def main():
    check = Check()
    for path in files():
        place = str(path.relative_to(ROOT))
        is_page = path.suffix == ".md" and "CHANGELOG" not in place
        if not (place.startswith(("deploy/", ".ci/")) or place == "Dockerfile" or is_page):
            continue
        text = path.read_text()
        check.names(place, text)
        if path.name == "siamese.toml":
            check.toml(place, text)
        if place in ("deploy/cluster/compose.yaml", "deploy/cluster/Caddyfile"):
            check.addresses(place, text)
        if path.suffix in (".json", ".yaml", ".yml"):
            check.data(place, path)
        if is_page:
            for block in re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
                check.toml(place, block)
    if not yaml:
        print("NOT CHECKED: files of YAML, because there is no python3-yaml here.")
    print("\n".join([*check.wrong, f"deploy: {check.looked_at} looked at, {len(check.wrong)} wrong"]))
    return bool(check.wrong)


sys.exit(main())
