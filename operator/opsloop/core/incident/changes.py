"""Changes beside the templates: objects that pods use, and the number of pods; who made the last one, and when.

Read from metadata alone (`managedFields`): no content of a ConfigMap or Secret is looked at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from opsloop.api.meta import parse_time
from opsloop.core.facts import ObjectChange
from opsloop.names import FIELD_MANAGER

MOST_OBJECTS = 20  # that are read for one Release
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Used:
    """A ConfigMap or Secret that pods of a template use."""

    kind: Literal["ConfigMap", "Secret"]
    name: str

    @property
    def what(self) -> str:
        """In a sentence."""
        return f"{self.kind} {self.name}"


def used_by(template: Object) -> tuple[Used, ...]:
    """What the pods mount or have in their environment, ConfigMaps first, by name, each once; at most MOST_OBJECTS."""
    spec = template.get("spec") or {}
    found = {*_of_volumes(spec.get("volumes") or ())}
    for containers in ("initContainers", "containers"):
        for container in spec.get(containers) or ():
            found |= {*_of_environment(container)}
    return tuple(sorted((used for used in found if used.name), key=lambda used: (used.kind, used.name)))[:MOST_OBJECTS]


def _of_volumes(volumes: Iterable[Object]) -> Iterable[Used]:
    for volume in volumes:
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            yield Used("ConfigMap", (source.get("configMap") or {}).get("name", ""))
            secret = source.get("secret") or {}
            yield Used("Secret", secret.get("secretName") or secret.get("name", ""))


def _of_environment(container: Object) -> Iterable[Used]:
    for source in container.get("envFrom") or ():
        yield Used("ConfigMap", (source.get("configMapRef") or {}).get("name", ""))
        yield Used("Secret", (source.get("secretRef") or {}).get("name", ""))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield Used("ConfigMap", (source.get("configMapKeyRef") or {}).get("name", ""))
        yield Used("Secret", (source.get("secretKeyRef") or {}).get("name", ""))


def writes(used: Used, metadata: Object) -> tuple[ObjectChange, ...]:
    """The last write of its content by each manager; none where only opsloop ever wrote it.

    An entry of `managedFields` that owns nothing but metadata (an annotation, a label) changed no content. All are kept:
    the newest one may be of somebody who wants to mend what an earlier one did.
    """
    entries = metadata.get("managedFields") or []
    if not entries:
        created = metadata.get("creationTimestamp")
        return (ObjectChange("config", used.what, parse_time(created)),) if created else ()
    return tuple(
        ObjectChange("config", used.what, parse_time(entry["time"]), entry.get("manager", ""))
        for entry in entries
        if entry.get("time")
        and not is_own(entry.get("manager", ""))
        and (entry.get("fieldsV1") or {}).keys() != {"f:metadata"}
    )


def scaling(name: str, scaled: Object) -> ObjectChange | None:
    """The last change of the number of pods, from {"name", "time"} of who made it, and {"from", "to"} where a watch saw
    it; None where there was none, or opsloop made it."""
    if not scaled.get("time") or is_own(scaled.get("name", "")):
        return None
    old, new = scaled.get("from"), scaled.get("to")
    how = f" from {old} to {new} pods" if old is not None else ""
    fewer = old is not None and new is not None and new < old
    return ObjectChange(
        "scaling", f"Deployment {name} scaled{how}", parse_time(scaled["time"]), scaled.get("name", ""), fewer
    )  # fmt: skip


def is_own(manager: str) -> bool:
    """True for a field manager of opsloop."""
    return manager == FIELD_MANAGER or manager.startswith(f"{FIELD_MANAGER}-")
