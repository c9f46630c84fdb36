"""Builds the documentation site: lays docs/ out for the generator and runs it, without a network.

    docs/**                     ->  the same path of the site
    README.md                   ->  its first page
    what these pages link to    ->  repository/…, where it is outside of docs/

The pages are written for GitHub, where they are read as well. Two things differ in the generator's Markdown: a link that leads out of
docs/ leads nowhere, and a list needs a blank line before it. Both are changed in the copy only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
SITE = Path("docs/site")  # configuration, lock and style sheet of the site
FIRST = Path("README.md")
OUTSIDE = PurePosixPath("repository")
FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
SPAN = re.compile(r"(`+)(?:(?!\1).)+\1")
WEB = re.compile(r"[a-z]+:", re.IGNORECASE)
ITEM = re.compile(r"\s*([-*+]|\d+[.)])\s+\S")
INDENT = 4  # what the generator takes for one level


def place(source: Path) -> PurePosixPath:
    """Path in the site of a file of the repository, both relative to their roots."""
    if source == FIRST:
        return PurePosixPath("index.md")
    if source.name == "README.md":  # the page of its folder; the generator finds no other name of it in a navigation
        source = source.with_name("index.md")
    if source.parts[0] == "docs":
        return PurePosixPath(*source.parts[1:])
    return OUTSIDE / PurePosixPath(*(part.removeprefix(".") for part in source.parts))


def targets(text: str) -> Iterator[str]:
    """The links of a page, those in code left out."""
    for line, code in lines(text):
        if not code:
            yield from LINK.findall(SPAN.sub("", line))


def lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is one of a fenced block."""
    fence = ""
    for line in text.splitlines():
        mark = FENCE.match(line)
        inside = bool(fence)
        if mark and not fence:
            fence, inside = mark[1], True
        elif mark and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        yield line, inside


def led_to(page: Path, link: str) -> Path | None:
    """The file of the repository that a link of a page names, relative to the root; None for the web, an anchor, a folder."""
    path = link.partition("#")[0]
    if not path or WEB.match(link):
        return None
    found = Path(os.path.normpath(page.parent / path))
    return found if (ROOT / found).is_file() else None


def laid_out(page: Path, text: str) -> str:
    """The page as the generator reads it."""
    written: list[str] = []
    in_list, shift, before = False, 0, False
    for line, code in lines(text):
        if code:
            shift = shift if before else _shift(line) if in_list else 0
            written.append(" " * shift + line if line.strip() else line)
        else:
            item = ITEM.match(line)
            if item and not in_list and written and written[-1].strip():
                written.append("")
            blank_before = not (written and written[-1].strip())
            ends = line.strip() and not item and not line.startswith(" ") and (blank_before or line.startswith("#"))
            in_list = bool(item) or (in_list and not ends)
            written.append(" " * (_shift(line) if in_list else 0) + _relinked(page, line))
        before = code
    return "\n".join(written) + "\n"


def _shift(line: str) -> int:
    """Blanks to add: an indent of two or three goes on with an item on GitHub, the generator wants four for each level."""
    blanks = len(line) - len(line.lstrip(" "))
    return -(-blanks // INDENT) * INDENT - blanks if line.strip() else 0


def _relinked(page: Path, line: str) -> str:
    spans = [match.span() for match in SPAN.finditer(line)]

    def moved(match: re.Match[str]) -> str:
        if any(begin <= match.start() < end for begin, end in spans):
            return match[0]
        file = led_to(page, match[0])
        if file is None:
            return match[0]
        _, mark, anchor = match[0].partition("#")
        return os.path.relpath(place(file), place(page).parent) + mark + anchor

    return LINK.sub(moved, line)


def files() -> dict[Path, str | None]:
    """What belongs to the site by its path in the repository: the text of a page, None for a file that is copied."""
    found: dict[Path, str | None] = {}
    left = [FIRST, *(p.relative_to(ROOT) for p in sorted((ROOT / "docs").rglob("*")) if p.is_file())]
    while left:
        file = left.pop()
        if file in found or SITE in file.parents:
            continue
        if file.suffix != ".md":
            found[file] = None
            continue
        text = (ROOT / file).read_text()
        found[file] = laid_out(file, text)
        left += [other for link in targets(text) if (other := led_to(file, link))]
    return found


def stage(into: Path) -> None:
    """Writes configuration and pages into an empty folder."""
    shutil.rmtree(into, ignore_errors=True)
    for file, text in files().items():
        path = into / "pages" / place(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            shutil.copyfile(ROOT / file, path)
        else:
            path.write_text(text)
    shutil.copyfile(ROOT / SITE / "mkdocs.yml", into / "mkdocs.yml")
    shutil.copyfile(ROOT / SITE / "extra.css", into / "pages" / "extra.css")


def main() -> int:
    """Returns the generator's exit code: 1 where a link or an anchor leads nowhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", metavar="PROGRAM", default="zensical", help="of docs/site/requirements.lock")
    parser.add_argument(
        "--into", type=Path, default=ROOT / "out" / "docs", help="default: out/docs; the site is below it"
    )
    options = parser.parse_args()
    stage(options.into)
    done = subprocess.run(
        [options.generator, "build", "--strict", "--clean", "-f", options.into / "mkdocs.yml"], check=False
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
