"""What `opsloop lint` says to a templatePatch by itself: the CRD takes any field in it, so that a mistake would be told first when it is
shipped. Pure."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from opsloop.core.release.strategic import DIRECTIVE, PatchInvalid, merge

NOT_A_TEMPLATE = ("template", "replicas", "selector", "strategy", "minReadySeconds", "progressDeadlineSeconds")
"""Fields of a Deployment's spec that no pod has."""
QUANTITY = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|u|n)?")
OF_POD = (
    "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy", "enableServiceLinks",
    "ephemeralContainers", "evictionResponders", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "hostname",
    "hostnameOverride", "imagePullSecrets", "initContainers", "nodeName", "nodeSelector", "os", "overhead", "preemptionPolicy", "priority",
    "priorityClassName", "readinessGates", "resourceClaims", "resources", "restartPolicy", "runtimeClassName", "schedulerName",
    "schedulingGates", "schedulingGroup", "securityContext", "serviceAccount", "serviceAccountName", "setHostnameAsFQDN",
    "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
)  # fmt: skip
OF_CONTAINER = (
    "args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name", "ports", "readinessProbe",
    "resizePolicy", "resources", "restartPolicy", "restartPolicyRules", "securityContext", "startupProbe", "stdin", "stdinOnce",
    "terminationMessagePath", "terminationMessagePolicy", "tty", "volumeDevices", "volumeMounts", "workingDir",
)  # fmt: skip
"""Fields that Kubernetes has (its client's models, tests/entry/test_patches.py). One that is in neither list is told only where it looks
like one of them: a newer server may have others."""
LISTS = ("containers", "initContainers")
AT = "spec.templatePatch"


def mistakes(patch: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each mistake that the patch shows by itself, with the path of its field."""
    if named := list(_no_names(patch, AT)):
        yield from named
        return
    spec, metadata = patch.get("spec") or {}, patch.get("metadata") or {}
    if not spec and not metadata:
        yield f"{AT}: is empty: it changes nothing; leave it out, or write for example spec: {{nodeSelector: {{disk: ssd}}}}"
        return
    if not isinstance(spec, Mapping) or not isinstance(metadata, Mapping):
        return  # the schema tells that
    for name in NOT_A_TEMPLATE:
        if name in spec:
            yield f"{AT}.spec.{name}: is a field of the Deployment; the patch is of its pod template, so spec is what stands in the Deployment under spec.template.spec"
    for name in metadata:
        if name not in ("labels", "annotations") and not name.startswith("$"):
            yield f"{AT}.metadata.{name}: a pod template has labels and annotations only"
    for part in ("labels", "annotations"):
        yield from _texts(metadata.get(part), f"{AT}.metadata.{part}")
    yield from _unlike(spec, OF_POD, f"{AT}.spec")
    if (unfit := _unmerged(patch)) is not None:
        yield unfit
        return
    for field in LISTS:
        yield from _unlisted(spec.get(field), f"{AT}.spec.{field}")
        for number, one in _items(spec.get(field)):
            yield from _container(one, f"{AT}.spec.{field}[{number}]")


def _no_names(given: Any, at: str) -> Iterator[str]:
    """Names that YAML reads as numbers, dates, or a yes, wherever they are."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if not isinstance(name, str):
                yield f'{at}.{_written(name)}: must be a text: write "{_written(name)}"'
            yield from _no_names(value, f"{at}.{_written(name)}")
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from _no_names(value, f"{at}[{number}]")


def _items(listed: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The items that say something, with their numbers."""
    for number, one in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(one, Mapping) and DIRECTIVE not in one:
            yield number, one


def _unlisted(listed: Any, at: str, key: str = "name") -> Iterator[str]:
    """What is no list of items, which a merge tells only where there is something to merge it into."""
    if listed is not None and not isinstance(listed, list):
        yield f"{at}: must be a list of items with {key}"
    for number, one in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(one, Mapping):
            yield f"{at}[{number}]: must be an item with {key}"
        elif key == "name" and not isinstance(one.get(key, ""), str):
            yield f"{at}[{number}].name: must be a text"


def _unmerged(patch: Mapping[str, Any]) -> str | None:
    """What a merge says, into a template that has containers of the same names and nothing else."""
    spec = patch.get("spec") or {}
    skeleton: dict[str, Any] = {"metadata": {}, "spec": {}}
    for field in LISTS:
        listed = spec.get(field)
        if isinstance(listed, list):
            named = [one["name"] for one in listed if isinstance(one, Mapping) and isinstance(one.get("name"), str)]
            skeleton["spec"][field] = [{"name": name} for name in dict.fromkeys(named)]
    try:
        merge(skeleton, patch)
    except PatchInvalid as error:
        return f"{AT}.{error}"
    return None


def _container(one: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _unlike(one, OF_CONTAINER, at)
    image = one.get("image")
    if image is not None and (not isinstance(image, str) or not image or re.search(r"\s|://", image)):
        yield f"{at}.image: write an image without blanks or https://, for example registry.example.com/answers:v2"
    yield from _unlisted(one.get("env"), f"{at}.env")
    for number, variable in _items(one.get("env")):
        value = variable.get("value")
        if value is not None and not isinstance(value, str):
            yield f'{at}.env[{number}].value: must be a text: write "{_written(value)}"'
    yield from _unlisted(one.get("ports"), f"{at}.ports", "containerPort")
    for number, port in _items(one.get("ports")):
        if isinstance(port.get("containerPort"), str):
            yield f"{at}.ports[{number}].containerPort: must be a number, without quotes"
    for kind in ("requests", "limits"):
        resources = one.get("resources")
        listed = resources.get(kind) if isinstance(resources, Mapping) else None
        for name, value in (listed or {}).items() if isinstance(listed, Mapping) else ():
            if isinstance(value, str) and not QUANTITY.fullmatch(value):
                yield f"{at}.resources.{kind}.{name}: {value!r} is no quantity; write for example 250m or 512Mi"


def _texts(given: Any, at: str) -> Iterator[str]:
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if value is not None and not isinstance(value, str):
            yield f'{at}.{name}: must be a text: write "{_written(value)}"'


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unlike(given: Mapping[str, Any], known: tuple[str, ...], at: str) -> Iterator[str]:
    """Fields that look like a known one."""
    for name in given:
        if name in known or name.startswith("$") or name in NOT_A_TEMPLATE:
            continue
        folded = {one.lower(): one for one in known}
        near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.8)
        if near:
            yield f"{at}.{name}: there is no such field; did you mean {folded[near[0]]}?"
