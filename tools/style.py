"""Checks of names and words that no linter makes; prints one line per finding and exits 1 if there is any.

Family: three or more modules of one folder that share the prefix before `_` belong into a package of that name.
Words: a log line or a condition's message starts in lower case with its subject and has no full stop at its end.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("operator/opsloop", "e2e")
FAMILY = 3  # modules with one prefix
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
# A text that starts with one of these says nothing without the line above it.
NO_SUBJECT = re.compile(
    r"(it|its|they|them|he|she|is|are|was|were|be|been|being|has|have|had|do|does|did|can|cannot|could|will|would"
    r"|shall|should|may|might|must|not|and|but|or|so)\b",
    re.IGNORECASE,
)
UPPER = re.compile(
    r"(?!(Deployment|Release|Incident|Runbook|EvalCase|Service|Lease|ConfigMap|Prometheus|Alertmanager)\b)[A-Z][a-z]"
)


def families(names: Iterable[Path]) -> list[str]:
    """Returns a finding for each folder and prefix that FAMILY or more modules share."""
    prefixes = Counter(
        (path.parent, path.stem.split("_")[0]) for path in names if "_" in path.stem and not path.stem.startswith("_")
    )
    return [
        f"{folder}: {count} modules are called {prefix}_*; make {folder / prefix}/ of them"
        for (folder, prefix), count in sorted(prefixes.items())
        if count >= FAMILY
    ]


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields line and text of each log call and of each `….condition(type, status, reason, message)`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, method = node.func.value, node.func.attr
        if method in LEVELS and isinstance(owner, ast.Name) and owner.id in ("log", "logger") and node.args:
            yield node.lineno, literal(node.args[0])
        elif method == "condition" and len(node.args) == 4:
            yield node.lineno, literal(node.args[3])


def literal(node: ast.expr) -> str:
    """Returns the text that an expression is known to start with; "" if that is computed."""
    if isinstance(node, ast.JoinedStr):
        return literal(node.values[0]) if node.values else ""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def fault(text: str) -> str:
    """Returns the fault of a text, or ""."""
    first = text.split(" ")[0].strip(",:;")
    if NO_SUBJECT.match(text):
        return f"starts with {first!r} and has no subject"
    if UPPER.match(text):
        return f"starts with {first!r} in upper case"
    return "ends with a full stop" if text.endswith(".") else ""


def findings(root: Path) -> list[str]:
    """Returns all findings below `root`, as `path:line: finding`."""
    paths = sorted(path for folder in SOURCES for path in (root / folder).rglob("*.py"))
    words = [
        f"{path.relative_to(root)}:{line}: {text!r} {wrong}"
        for path in paths
        for line, text in texts(ast.parse(path.read_text()))
        if (wrong := fault(text))
    ]
    return families(path.relative_to(root) for path in paths) + words


def main() -> int:
    """Prints the findings; returns 1 if there is one."""
    found = findings(ROOT)
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
