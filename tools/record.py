"""Draws the output of a command as an SVG of a terminal: `make drill | tee out/drill.log`, then

    .venv/bin/python tools/record.py out/drill.log docs/drill.svg --title "make drill"

The text is that of the log, with colour for stages and the gate's marks; long lines are wrapped.
"""

import argparse
import re
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 132  # columns
STYLES = (
    (re.compile(r"^\[ *[0-9.]+s\]"), "cyan"),
    (re.compile(r"== [^:]+:?"), "bold yellow"),
    (re.compile(r"^✓ .*?  "), "bold green"),
    (re.compile(r"^✗ .*?  "), "bold red"),
    (re.compile(r"^\? .*?  "), "bold yellow"),
    (re.compile(r"^gate passed.*"), "bold green"),
    (re.compile(r"^gate (failed|inconclusive).*"), "bold red"),
    (re.compile(r"^\$ .*"), "bold"),
)


def lines(log: str) -> list[Text]:
    """Returns the lines of a log with colour."""
    coloured = []
    for line in log.rstrip("\n").splitlines():
        text = Text(line)
        for pattern, style in STYLES:
            text.highlight_regex(pattern, style)
        coloured.append(text)
    return coloured


def svg(log: str, title: str) -> str:
    """Returns the SVG, with local fonts only, so that it looks the same offline."""
    console = Console(record=True, width=WIDTH, file=StringIO(), highlight=False, color_system="truecolor")
    for line in lines(log):
        console.print(line, overflow="fold")
    drawn = console.export_svg(title=title)
    without_fonts = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    local = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
    return without_fonts.replace("font-family: Fira Code, monospace", f"font-family: {local}")


def main() -> None:
    """Reads a log, writes an SVG."""
    parser = argparse.ArgumentParser(description="A log of a terminal as an SVG.")
    parser.add_argument("log", type=Path)
    parser.add_argument("svg", type=Path)
    parser.add_argument("--title", default="")
    chosen = parser.parse_args()
    chosen.svg.write_text(svg(chosen.log.read_text(), chosen.title))
    print(f"{chosen.svg}: {chosen.svg.stat().st_size} bytes")


if __name__ == "__main__":
    main()
