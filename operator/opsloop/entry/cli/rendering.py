"""A postmortem through a team's template, in a process of its own: a template is somebody's code, and a loop in it has no other end.

`python -m opsloop.entry.cli.rendering` reads {document, form, template, name} as JSON and writes what it renders; 1 with one
line on stderr where the template is wrong. It gets no credentials: neither the environment nor a connection of its parent.
"""

import asyncio
import json
import os
import resource
import signal
import sys

from opsloop.core.postmortem.document import Document
from opsloop.core.postmortem.render import Form, render
from opsloop.errors import Invalid

CPU_SECONDS = 5
MEMORY = 512 * 1024 * 1024  # bytes of address space, of which the interpreter with what it imports takes a half
PATIENCE = 30.0  # seconds on a machine that is busy with other things


async def rendered(document: Document, form: Form, template: str, name: str) -> str:
    """What the template makes of the document. Raises Invalid, which names the template and why, where that has no good end."""
    body = {"document": document.model_dump(mode="json"), "form": form, "template": template, "name": name}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            made, said = await process.communicate(json.dumps(body).encode())
    except TimeoutError as error:
        raise Invalid(f"{name}: no end within {PATIENCE:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Invalid(f"{name}: no end within {CPU_SECONDS} s of CPU time, a loop in it is too long")
    if process.returncode != 0:
        lines = said.decode(errors="replace").strip().splitlines()
        raise Invalid(lines[-1] if lines else f"{name}: the process that rendered it ended with {process.returncode}")
    return made.decode()


def main() -> int:
    """Renders what stands on stdin within the limits."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    body = json.loads(sys.stdin.buffer.read())
    name = body["name"]
    try:
        made = render(Document.model_validate(body["document"]), body["form"], body["template"], name)
    except Invalid as error:
        said = str(error)
    except MemoryError:
        said = f"{name}: it needs more than {MEMORY // 2**20} MiB of memory"
    else:
        sys.stdout.buffer.write(made.encode())
        return 0
    sys.stderr.write(" ".join(said.split()) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
