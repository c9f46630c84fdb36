"""Put images on the node. What is there is written down on the node itself, so it ends with the node."""

from __future__ import annotations

from . import docker, paths
from .report import capture, step

RECORD = "/kind/opsloop-images"


def loaded() -> dict[str, str]:
    """Image name → id of what was loaded last."""
    text = capture(docker.docker("exec", paths.NODE, "cat", RECORD)) or ""
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def ensure(refs: list[str]) -> None:
    """Load the images whose id differs from what the node has, all in one stream."""
    with step("images on the node") as current:
        there = loaded()
        local = {ref: docker.image_id(ref) or "" for ref in refs}
        changed = [ref for ref in refs if there.get(ref) != local[ref]]
        current.outcome = "cached"
        if not changed:
            return
        current.pipe(
            docker.docker("save", *changed),
            docker.docker("exec", "-i", paths.NODE, "ctr", "-n", "k8s.io", "images", "import", "-"),
        )
        record = "".join(f"{ref} {digest}\n" for ref, digest in {**there, **local}.items())
        current.run(docker.docker("exec", paths.NODE, "sh", "-c", f"printf '%s' '{record}' > {RECORD}"))
        current.outcome = f"loaded {', '.join(changed)}"
