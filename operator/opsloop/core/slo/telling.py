"""Does the SLI tell revisions apart? Asked of the live one at adoption, before a canary serves users."""

from opsloop.api.slo import Sli
from opsloop.core.readings import Reading, Told, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import promql
from opsloop.core.slo.counters import counters
from opsloop.core.slo.pods import Scope

# Named reasons
TOLD_BY_PODS = "ToldByPods"  # the pods' names tell revisions apart
TOLD_BY_ADDRESSES = "ToldByAddresses"  # the pods' addresses in the label instance tell revisions apart
TOLD_BY_VERSION = "ToldByVersion"  # a version label tells revisions apart
LIVE_NOT_FOUND = "LiveNotFound"  # the SLI has events, but none of the live revision
NOT_CHECKED = "NotChecked"  # the live revision was not read yet

HOW_TO_GO_ON = "until then a step advances by its hold, its eval cases and the SLI of the whole service"


def told(sli: Sli, live: promql.Split, scope: Scope, reading: Reading, whole: Reading, settled: bool) -> Told:
    """The judgement by readings of the live revision alone and of everything, over the same window.

    `settled`: live alone has served for longer than that window, so that its events must be in it.
    """
    if fault := promql.not_told(sli, live, scope):
        apart = None if fault.reason == slo.NOT_READ else False
        reason = NOT_CHECKED if fault.reason == slo.NOT_READ else fault.reason
        return Told(apart, reason, fault.detail if apart is None else f"{fault.detail}; {HOW_TO_GO_ON}")
    by = promql.expressions(sli, scope).by
    if isinstance(reading, Value):
        named = TOLD_BY_ADDRESSES if scope.by_address else TOLD_BY_PODS
        reason = named if by == "pods" else TOLD_BY_VERSION
        births = (
            ""
            if promql.counts_births(sli)
            else "; what a counter has at its first scrape does not count: show it with 0"
        )
        inexact = counters(sli, {live.version: live}, scope)
        how = f"; canaries are counted approximately: {inexact}" if isinstance(inexact, str) else ""
        told_by = "the addresses of the pods in the label instance" if scope.by_address else _how(by)
        return Told(True, reason, f"revisions are told apart by {told_by}{births}{how}")
    if isinstance(whole, Unknown) or reading.reason not in (slo.NO_SERIES, slo.NO_EVENTS):
        return Told(None, NOT_CHECKED, f"live alone is not known yet: {reading.reason}")
    if not settled:
        return Told(None, NOT_CHECKED, "live is not alone in traffic, or only just")
    missing = f"the SLI has events, but none with {_how(by)} of {live.version}"
    return Told(False, LIVE_NOT_FOUND, f"{missing}; {_MEND[by]}; {HOW_TO_GO_ON}")


def _how(by: str) -> str:
    return "the names of the pods" if by == "pods" else "the version label"


_MEND = {
    "pods": "compare the label that holds {{pods}} with the names of the pods",
    "version": "set the label on the metrics, or write {{pods}} into both expressions",
    "": "",
}
