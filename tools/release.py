"""What a release of the project is made of: one version everywhere, and its section of CHANGELOG.md.

tools/release.py check v0.2.0    one line per place that says otherwise, exit 1 if there is one
tools/release.py notes v0.2.0    prints the section of that version
tools/release.py bump 0.2.0      writes the version into pyproject.toml, Chart.yaml and generated files, moves changelog.d/ into CHANGELOG.md

.github/workflows/release.yml runs the first two on a tag; docs/releasing.md says how a person makes one.
"""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import changelog

ROOT = Path(__file__).resolve().parent.parent
TAG = re.compile(r"v(\d+\.\d+\.\d+)")
# file → the lines that name the version: what stands before it, the version, what stands after it
PLACES = {
    "pyproject.toml": (re.compile(r'^(version = ")([^"]+)(")$', re.MULTILINE),),
    "charts/opsloop/Chart.yaml": (
        re.compile(r"^(version: )(\S+)()$", re.MULTILINE),
        re.compile(r'^(appVersion: ")([^"]+)(")$', re.MULTILINE),
    ),
}
RENDERED = (  # by `make generate` from those; not written by bump
    ("manifests/opsloop.yaml", re.compile(r'image: "opsloop\.invalid/opsloop:([^"]+)"')),
)


def versions(root: Path) -> dict[str, str]:
    """Place → the version that it names; empty where it names none."""
    found = {}
    for name, lines in PLACES.items():
        text = (root / name).read_text()
        for line in lines:
            match = line.search(text)
            field = line.pattern[2:].split(":")[0].split(" ")[0]
            found[f"{name} {field}"] = match[2] if match else ""
    for name, line in RENDERED:
        match = line.search((root / name).read_text())
        found[f"{name} image"] = match[1] if match else ""
    return found


def faults(root: Path, tag: str) -> list[str]:
    """One line for each thing that keeps this tag from being released."""
    named = TAG.fullmatch(tag)
    if named is None:
        return [f"{tag} is no tag of a release: v, then three numbers, for example v0.2.0"]
    version = named[1]
    wrong = [
        f"{place} is {said or 'missing'}, not {version}: tools/release.py bump {version}, then make generate"
        for place, said in versions(root).items()
        if said != version
    ]
    if not notes(root, version):
        wrong.append(f"CHANGELOG.md has no section of {version}: tools/release.py bump {version}")
    if left := [path.name for path in changelog.fragments(root)]:
        wrong.append(f"changelog.d has {len(left)} fragments that are in no release: {', '.join(left[:3])}")
    return wrong


def notes(root: Path, version: str) -> str:
    """The section of a version without its heading; empty where there is none."""
    text = (root / "CHANGELOG.md").read_text()
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() + "\n" if found and found[1].strip() else ""


def bump(root: Path, version: str, day: str) -> None:
    """Writes the version into all PLACES and closes the changelog.

    Raises ValueError, with nothing written, where a place has no version, where there is nothing to release, or where
    CHANGELOG.md has the version.
    """
    texts = {name: (root / name).read_text() for name in PLACES}
    for name, lines in PLACES.items():
        for line in lines:
            texts[name], count = line.subn(rf"\g<1>{version}\g<3>", texts[name])
            if count != 1:
                raise ValueError(f"{name}: {count} lines fit {line.pattern}, not one")
    if wrong := changelog.faults(root):
        raise ValueError("; ".join(wrong))
    if not changelog.fragments(root):
        raise ValueError("changelog.d is empty: there is nothing to release")
    changelog.release(root, version, day)
    for name, text in texts.items():
        (root / name).write_text(text)


def main(arguments: list[str]) -> int:
    """0 on success, 1 where something keeps the tag from being released, 2 for wrong usage."""
    match arguments:
        case ["check", tag]:
            wrong = faults(ROOT, tag)
            for line in wrong:
                print(line, file=sys.stderr)
            return 1 if wrong else 0
        case ["notes", tag] if TAG.fullmatch(tag):
            text = notes(ROOT, tag.removeprefix("v"))
            print(text or f"CHANGELOG.md has no section of {tag}", end="", file=sys.stdout if text else sys.stderr)
            return 0 if text else 1
        case ["bump", version] if changelog.VERSION.fullmatch(version):
            bump(ROOT, version, f"{datetime.now(UTC):%Y-%m-%d}")
            return subprocess.run([sys.executable, ROOT / "tools" / "generate.py"], check=False).returncode
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
