"""`python3 -m e2e.demo.render --namespace shop --operator-namespace opsloop-system --seed 1 | kubectl apply -f -`

The files in `manifests/` are valid as they stand. Placeholders in them are the namespace `demo-shop`, the operator's
namespace `opsloop-system`, and the values of CATALOG_SEED, RATE and PATIENCE. Nothing that they make is cluster-wide, so
that any number of copies live side by side; the namespace itself is made by whoever wants one.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

MANIFESTS = Path(__file__).parent / "manifests"
NAMESPACE = "demo-shop"
OPERATOR_NAMESPACE = "opsloop-system"
_SEED = re.compile(r'(name: CATALOG_SEED\n +value: )"\d+"')
_RATE = re.compile(r'(name: RATE\n +value: )"([\d.]+)"')
_PATIENCE = re.compile(r'(name: PATIENCE\n +value: )"[\d.]+"')
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def files() -> list[Path]:
    """The manifests in the order in which kustomization.yaml lists them."""
    names = re.findall(r"^  - (\S+\.yaml)$", (MANIFESTS / "kustomization.yaml").read_text(), re.MULTILINE)
    return [MANIFESTS / name for name in names]


def render(namespace: str, operator_namespace: str, seed: int, load: float = 1.0, patience: float = 1.0) -> str:
    """All manifests as one YAML stream. Raises ValueError for what cannot be a namespace's name.

    `load` is the share of the shoppers' questions, `patience` stretches all time-outs: for a machine that is slow.
    """
    for name in (namespace, operator_namespace):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a namespace")
    text = "\n---\n".join(path.read_text().strip() for path in files()) + "\n"
    names = {NAMESPACE: namespace, OPERATOR_NAMESPACE: operator_namespace}
    # In one pass, so that a namespace which is called like the other placeholder is not replaced again.
    text = re.sub("|".join(names), lambda match: names[match.group()], text)
    text = _SEED.sub(rf'\g<1>"{seed}"', text)
    text = _RATE.sub(lambda match: f'{match[1]}"{float(match[2]) * load:.1f}"', text)
    return _PATIENCE.sub(rf'\g<1>"{patience:.2f}"', text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m e2e.demo.render", description=__doc__.splitlines()[0])
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--operator-namespace", default=OPERATOR_NAMESPACE)
    parser.add_argument(
        "--seed", type=int, default=1, help="which catalog, and so which topic a bad version gets wrong"
    )
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(render(options.namespace, options.operator_namespace, options.seed))
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
