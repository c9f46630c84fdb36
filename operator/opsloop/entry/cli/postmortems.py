"""`opsloop postmortem`: prints an Incident's postmortem as Markdown or HTML, by the team's template where it has one."""

import argparse
from pathlib import Path

from opsloop import names
from opsloop.core.postmortem import stored
from opsloop.core.postmortem.render import MOST_TEMPLATE, Form, render
from opsloop.entry.cli.out import complain, say_prose
from opsloop.entry.cli.rendering import rendered
from opsloop.entry.cli.show import incident_of
from opsloop.errors import Invalid, NotFound
from opsloop.shell.ports import CONFIGMAPS, Object, Reader

FORMS: tuple[Form, ...] = ("md", "html")


async def postmortem(arguments: argparse.Namespace, reader: Reader) -> int:
    """Prints what is stored, rendered. A template that is wrong is told of on stderr, and the default one takes its place.

    Raises NotFound if there is no postmortem yet.
    """
    namespace, incident, form = arguments.namespace, arguments.incident, arguments.output
    await incident_of(reader, namespace, incident)
    found = await _configmap(reader, namespace, names.postmortem_name(incident))
    if found is None:
        raise NotFound(f"Incident {incident} has no postmortem yet; it is written when the Incident is mitigated")
    kept = stored.read(found)
    named, template = await _template(reader, namespace, form, arguments.template)
    if kept.document is None:
        if form == "md" and template is None:
            return _say(kept.markdown)
        text = "is stored without its data, by an older opsloop or after somebody edited it; only its Markdown can be shown"
        raise Invalid(f"the postmortem of {incident} {text}")
    if template is not None:
        try:
            return _say(await rendered(kept.document, form, template, named))
        except Invalid as error:
            complain(f"{error}; rendered by the default template instead")
    return _say(kept.markdown if form == "md" else render(kept.document, form))


def _say(text: str) -> int:
    say_prose(text.rstrip("\n"))
    return 0


async def _template(reader: Reader, namespace: str, form: Form, path: str | None) -> tuple[str, str | None]:
    """(name, template): of the file, else of the namespace's ConfigMap opsloop-postmortem; None where there is neither."""
    if path is not None:
        return path, _fits(_read(path), path)
    found, key = await _configmap(reader, namespace, names.TEMPLATES), f"postmortem.{form}.j2"
    named = f"ConfigMap {names.TEMPLATES}, {key}"
    template: str | None = (found.get("data") or {}).get(key) if found else None
    return named, template if template is None else _fits(template, named)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"--template {path}: {error}") from error


def _fits(text: str, name: str) -> str:
    if len(text) > MOST_TEMPLATE:
        raise Invalid(f"{name}: {len(text)} characters; a template may have {MOST_TEMPLATE}")
    return text


async def _configmap(reader: Reader, namespace: str, name: str) -> Object | None:
    try:
        return await reader.get(CONFIGMAPS, namespace, name)
    except NotFound:
        return None
