"""Bad events have no series while all events have: are there none, or did their series leave a process that lives on?

A counter does not leave a living process, so a process that showed bad events, still shows all events and bad ones no more
has lost them on the way: nothing is known. What ended with its process is 0, else every rollback would end in Unknown. A
process whose counters began again is another one: it shows bad events from its first one on.

Series name their process by the name or the address of a pod of the Deployment; else nobody can say whose they were, and
they are missed for one short window, but not where every pod was replaced since.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from opsloop.api.meta import format_duration
from opsloop.api.slo import Sli
from opsloop.core.slo import promql, structured
from opsloop.core.slo.expression import form
from opsloop.core.slo.pods import INSTANCE, LOOKS, POD_LABELS, Scope, hosts

SHOWN = timedelta(hours=1)
"""Before the short window: who showed bad events in that time is missed, and for so long. The same hour in which a series is
not new; a person hears of an SLI that is Unknown well before."""

_LOST, _NOW, _EVER, _ANEW = "lost", "now", "ever", "anew"

Process = frozenset[tuple[str, str]]


def query(sli: Sli, scope: Scope, short: timedelta, missing: timedelta | None, resolution: timedelta) -> str:
    """PromQL that shows processes (by the labels that name them) as `opsloop`:

        lost    showed bad events in the last hour or the short window, and show them no more
        now     show all events now
        ever    showed them in that time
        anew    counters of all events began again since bad ones were shown last

    `missing`: for how long bad events have had no series in the short window; None where it is not known. Empty where the
    SLI cannot be read here.
    """
    bad, total = _selectors(sli, scope)
    if not bad or not total:
        return ""
    labels = ", ".join(_names(scope))
    now, ever = LOOKS * resolution, short + SHOWN
    since = ever if missing is None else min(ever, short + now + missing)
    parts = [
        _named(f"{_shown(labels, one, ever)} unless on ({labels}) {_shown(labels, one, now)}", _LOST) for one in bad
    ]
    for one in total:
        parts += [_named(_shown(labels, one, now), _NOW), _named(_shown(labels, one, ever), _EVER)]
    for one in _counted(sli, total):
        parts.append(_named(f"sum by ({labels}) (resets({one}[{format_duration(since)}])) > 0", _ANEW))
    return "\nor ".join(parts)


def _names(scope: Scope) -> tuple[str, ...]:
    """Labels that may name a process."""
    own = (scope.labels.pod,) if scope.labels is not None else ()
    return tuple(dict.fromkeys((*own, *POD_LABELS, INSTANCE)))


def _selectors(sli: Sli, scope: Scope) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(of bad events, of all events), for all pods."""
    if sli.requests is not None:
        bad, total = structured.request_selectors(sli.requests, scope)
    else:
        bad, total = sli.bad or "", sli.total or ""
    return promql.bases(bad, scope), promql.bases(total, scope)


def _counted(sli: Sli, total: Sequence[str]) -> Sequence[str]:
    """Those of all events that are counters: a gauge falls without beginning again."""
    if sli.requests is not None:
        return total
    found = form(sli.total or "")
    counters = found is not None and len(found.increases) == len(found.selectors)
    return total if counters else ()


def _shown(labels: str, selector: str, span: timedelta) -> str:
    return f"count by ({labels}) (count_over_time({selector}[{format_duration(span)}]))"


def _named(expression: str, kind: str) -> str:
    return f'label_replace({expression}, "{promql.LABEL}", "{kind}", "", "")'


def lost(answer: Iterable[Mapping[str, str]], scope: Scope) -> bool | None:
    """Has a living process lost its bad events, by the labels of the answer to `query`? None: nobody can say whose they were."""
    shown: dict[str, set[Process]] = {kind: set() for kind in (_LOST, _NOW, _EVER, _ANEW)}
    for labels in answer:
        process = frozenset((name, value) for name, value in labels.items() if value and name != promql.LABEL)
        shown.setdefault(labels.get(promql.LABEL, ""), set()).add(process)
    told = {one for one in shown[_LOST] & shown[_EVER] if _is_own(dict(one), scope)}
    if told & (shown[_NOW] - shown[_ANEW]):
        return True
    return None if shown[_LOST] - told else False


def _is_own(labels: Mapping[str, str], scope: Scope) -> bool:
    """Do these labels name a pod of the Release? An exporter or a gateway lives on when the pods go."""
    names = (labels[name] for name in _names(scope) if name != INSTANCE and name in labels)
    if scope.workload and any(re.fullmatch(scope.names, name) for name in names):
        return True
    return bool(scope.addresses) and re.fullmatch(hosts(scope.addresses), labels.get(INSTANCE, "")) is not None


def replaced(pods: Sequence[datetime] | None, since: datetime | None) -> bool:
    """Was every pod replaced since bad events began to be shown? `pods`: when each living one was created; None: not known."""
    return pods is not None and since is not None and all(created > since for created in pods)
