"""Checks the fragments in changelog.d/, or with a version moves them into CHANGELOG.md under that version.

tools/changelog.py            one line per faulty fragment, exit 1 if there is one
tools/changelog.py 0.2.0      writes CHANGELOG.md and deletes the fragments
"""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")  # the order of Keep a Changelog
NAME = re.compile(rf"[a-z0-9][a-z0-9-]*\.({'|'.join(KINDS)})\.md")
VERSION = re.compile(r"\d+\.\d+\.\d+")
MARK = "<!-- releases -->\n"  # in CHANGELOG.md; a new release is inserted below it


def fragments(root: Path) -> list[Path]:
    """Returns all files in changelog.d/ but its README, sorted by name."""
    return sorted(path for path in (root / "changelog.d").iterdir() if path.name != "README.md")


def faults(root: Path) -> list[str]:
    """Returns one line for each fragment with a wrong name or with anything but bullets."""
    wrong = []
    for path in fragments(root):
        if not NAME.fullmatch(path.name):
            wrong.append(f"changelog.d/{path.name}: name it WORDS.KIND.md; KIND is one of {', '.join(KINDS)}")
        elif not re.fullmatch(r"(- \S.*\n(  \S.*\n)*)+", path.read_text()):
            wrong.append(f"changelog.d/{path.name}: write bullets only: '- ' first, further lines indented by 2")
    return wrong


def section(root: Path, version: str, day: str) -> str:
    """Returns the section of a release: its fragments by kind."""
    parts = [f"## [{version}] - {day}\n"]
    for kind in KINDS:
        texts = [path.read_text() for path in fragments(root) if path.name.endswith(f".{kind}.md")]
        if texts:
            parts.append(f"### {kind.capitalize()}\n{''.join(texts)}")
    return "\n".join(parts)


def release(root: Path, version: str, day: str) -> None:
    """Moves all fragments into CHANGELOG.md. Raises ValueError if the version is there already."""
    page = root / "CHANGELOG.md"
    text = page.read_text()
    if f"## [{version}]" in text or MARK not in text:
        raise ValueError(f"CHANGELOG.md has {version} already, or no line {MARK.strip()}")
    page.write_text(text.replace(MARK, f"{MARK}\n{section(root, version, day)}", 1))
    for path in fragments(root):
        path.unlink()


def main(arguments: list[str]) -> int:
    """Returns 0 on success, 1 for faulty fragments, 2 for wrong usage."""
    if len(arguments) > 1 or not all(VERSION.fullmatch(argument) for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    wrong = faults(ROOT)
    for line in wrong:
        print(line, file=sys.stderr)
    if arguments and not wrong:
        release(ROOT, arguments[0], f"{datetime.now(UTC):%Y-%m-%d}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
