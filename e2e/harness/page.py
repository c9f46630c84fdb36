"""A page of docs/ whose commands a story runs as they stand there.

A block to run has a comment right above it, `<!-- run by FILE: NAME -->`; a YAML block whose first line is `# NAME.yaml` is a file of
the reader's folder. Namespaces are replaced by those of the story, nothing else is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from e2e.cluster import paths
from e2e.harness.client import environment
from e2e.harness.progress import StageFailed

NAMED = re.compile(r"<!-- run by (e2e/[\w/.]+): ([\w-]+) -->\n```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"^```yaml\n(# ([\w.-]+\.yaml)\n.*?)^```", re.DOTALL | re.MULTILINE)


def runnable(text: str, story: str) -> dict[str, str]:
    """The blocks of a page that a story runs, by name."""
    return {name: commands for by, name, commands in NAMED.findall(text) if by == story}


def files(text: str) -> dict[str, str]:
    """The files that a page has its reader write, by name."""
    return {name: content for content, name in FILE.findall(text)}


class Page:
    """A page in the hands of its reader: a folder with the page's files, and a shell."""

    def __init__(self, page: Path, story: str, words: dict[str, str], seconds: float) -> None:
        """`words`: what stands on the page, and what it is in the story. Raises StageFailed where the page has nothing to run."""
        text = page.read_text()
        self.name, self._words, self._seconds = page.name, words, seconds
        self.left = runnable(text, story)
        if not self.left:
            raise StageFailed(f"{page.name} has no commands for {story}")
        self._folder = Path(tempfile.mkdtemp(prefix="opsloop-page-"))
        for name, content in files(text).items():
            (self._folder / name).write_text(content)
        self.log = paths.LOGS / f"{words.get('shop', 'page')}-{page.stem}.log"
        self.log.write_text("")

    def run(self, name: str) -> str:
        """Runs a block once, stops at its first command that fails, and returns what it printed. Raises StageFailed."""
        commands = self.left.pop(name)
        for word, here in self._words.items():
            commands = re.sub(rf"(?<![\w/.-]){re.escape(word)}(?![\w.-])", here, commands)
        scripts = paths.REPO / ".venv" / "bin"
        path = f"{scripts}:{paths.KUBECTL.parent}:{os.environ.get('PATH', '')}"
        python = {"PYTHONPATH": str(paths.REPO / "operator"), "COLUMNS": "120"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self._folder,
            env={**environment(), **python, "PATH": path, "KUBECONFIG": str(paths.KUBECONFIG)},
            capture_output=True,
            text=True,
            timeout=self._seconds,
            check=False,
        )
        printed = done.stdout + done.stderr
        with self.log.open("a") as log:
            log.write(f"--- {name}\n{commands}---\n{printed}[{done.returncode}]\n\n")
        if done.returncode:
            raise StageFailed(f"{self.name}, {name}: ended with {done.returncode}: {printed[-600:]}")
        return printed

    def close(self) -> None:
        """Raises StageFailed where a block of the page was not run."""
        shutil.rmtree(self._folder)
        if self.left:
            raise StageFailed(f"{self.name}: {', '.join(self.left)} was not run")
