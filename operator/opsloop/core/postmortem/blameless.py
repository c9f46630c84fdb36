"""Names of people are taken out of everything that a postmortem quotes: what happened is told of systems.

Left out whole: who wrote a note, who has taken the Incident on, what users wrote in tickets, why a person stopped opsloop.
Redacted wherever they stand, in notes too: mail addresses, @handles, user agents, the names that the Incident itself knows
(assignee, authors of notes, who acknowledged), and field managers that are no known tool. A name that nothing marks as one,
and that a person writes into a note, cannot be told from any other word.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from opsloop.api.incident import Incident
from opsloop.core.postmortem.markdown import text as escaped
from opsloop.names import ACKNOWLEDGE

SOMEBODY = "(a person)"
_MAIL = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")
_HANDLE = re.compile(r"(?<![\w/.@:-])@[^\W\d_][\w.-]*")
_AGENT = re.compile(
    r"[A-Za-z][\w.-]*/v?\d[\w.+-]* \([^()]{1,200}\)(?: [A-Za-z][\w.-]*/[\w.+-]+(?: \([^()]{1,200}\))?)*"
)
_TOOL = re.compile(
    r"kubectl(-(client-side-apply|last-applied|create|edit|set|patch|replace|scale|rollout|label|annotate|run|expose|autoscale|taint|apply))?"
    r"|helm(-controller)?|Helm|kustomize(-controller)?|argocd(-(controller|application-controller))?|flux|terraform|Terraform"
    r"|pulumi|opsloop(-(cli|open|close))?|kube-controller-manager|before-first-apply"
)
_ASSIGNED = re.compile(r"assigned to (?:nobody any more, before to )?(.+)")


def is_tool(manager: str) -> bool:
    """True for the field managers of well-known tools; any other may be a person's name: `kubectl --field-manager`."""
    return _TOOL.fullmatch(manager) is not None


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes people out of a text. `names` are matched as whole words in any case, `words` only as they are written."""

    names: re.Pattern[str] | None
    words: re.Pattern[str] | None

    @classmethod
    def of(cls, names: Iterable[str], kept: Iterable[str] = ()) -> "Redactor":
        """For these names, with the parts of a full name and the local part of an address; never what is in `kept`."""
        systems = {one.casefold() for one in kept}
        whole, parts = set[str](), set[str]()
        for name in (n.strip() for n in names):
            whole |= {name, name.split("@")[0]} if "@" in name else {name}
            parts |= {p.strip(",;()") for p in name.split()} if " " in name else set()
        whole = {n for n in whole if len(n) > 1 and n.casefold() not in systems}
        whole |= {n.upper() for n in whole}  # "ß" is two letters there
        whole |= {escaped(n, 1000) for n in whole}  # as Markdown that means only itself
        parts = {p for p in parts if len(p) > 2 and p[0].isupper() and p.casefold() not in systems}
        return cls(_any_of(whole, re.IGNORECASE), _any_of(parts))

    def text(self, value: str) -> str:
        """The text without people; a text without any is returned as it is."""
        for pattern in (_AGENT, _MAIL, self.names, self.words, _HANDLE):
            if pattern is not None:
                value = pattern.sub(SOMEBODY, value)
        return value

    def everywhere(self, value: Any) -> Any:
        """The same for every string in a tree of JSON; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.everywhere(one) for one in value]
        return {k: self.everywhere(v) for k, v in value.items()} if isinstance(value, dict) else value


def _any_of(names: Iterable[str], flags: int = 0) -> re.Pattern[str] | None:
    alternatives = "|".join(re.escape(n) for n in sorted(names, key=lambda n: (-len(n), n)))
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", flags) if alternatives else None


def people_of(incident: Incident) -> set[str]:
    """Everybody whom the Incident names in a field that is there for it."""
    spec, status = incident.spec, incident.status
    told = [_ASSIGNED.fullmatch(e.message) for e in status.timeline if e.type == "Assigned"]
    acknowledged = incident.metadata.annotations.get(ACKNOWLEDGE, "").partition(" by ")[2]
    waived = {status.waiver.by} if status.waiver else set()
    names = waived | {spec.assignee, status.assignee, acknowledged, *(n.author for n in spec.notes)}
    return {name for name in names | {m.group(1) for m in told if m} if name}
