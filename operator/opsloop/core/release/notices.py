"""What a Release tells the receivers that a route names for Releases: promoted, rejected, held for approval.

Recorded with what it tells of, in one write, before anybody is called; at each receiver it is tried until it is taken, for a day.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from opsloop.api.page import Notice, PageMessage
from opsloop.api.release import ReleaseStatus
from opsloop.core import conditions
from opsloop.core.actions import About, SendPage, WithdrawPage
from opsloop.core.notify.routing import Subject
from opsloop.core.release import ReleaseBuilder, counted
from opsloop.core.release.canary import WAITING_FOR_APPROVAL

TOLD = "Told"  # every receiver took what the Release had to tell
UNTOLD = "Untold"  # a receiver did not take what the Release has to tell; it is tried again
PROMOTED = "Promoted"  # the target is live
REJECTED = "Rejected"  # the target is not shipped: evals or its own errors speak against it, or its pods fail
REFUSED = "Refused"  # the target is not even tried
MOST_NOTICES = 8
LONGEST = timedelta(days=1)  # for which a notice is tried
GIVEN_UP = "given up"  # in the place of the time at which a receiver took it
RETRY = timedelta(seconds=10)  # a process that died between record and call calls after this time at the latest


def tell(builder: ReleaseBuilder) -> None:
    """The last part of a decision: notes what was taken, records what is new, sends what is left."""
    before, after = builder.facts.release.status, builder.status
    notices = [_noted(builder, notice) for notice in before.notices]
    number = max((n.number for n in notices), default=0)
    for reason, title, text in _news(before, after):
        to = _addressees(builder, reason)
        if to:
            number += 1
            new = {
                "number": number,
                "reason": reason,
                "title": title[:256],
                "text": text[:512],
                "to": to,
                "decided_at": builder.now,
            }
            notices.append(Notice.model_validate(new))  # fmt: skip
    for notice in notices[:-MOST_NOTICES]:
        _withdraw(builder, notice, "newer ones take its place")
    builder.set(notices=notices[-MOST_NOTICES:])
    _send(builder)


def _news(before: ReleaseStatus, after: ReleaseStatus) -> Iterator[tuple[str, str, str]]:
    """(reason, title, text) of what happened with this write."""
    target = after.target
    if target is None:
        return
    end = counted.ended(before, after)
    if end is not None and end.result == "promoted":
        yield PROMOTED, f"{target.version} is live", target.message
    elif end is not None and end.result in ("rejected", "refused"):
        reason = REJECTED if end.result == "rejected" else REFUSED
        yield reason, f"{target.version} is not shipped", f"{target.reason}: {target.message}"
    held = conditions.get(after.conditions, "Held")
    if held is None or held.status != "True" or held.reason != WAITING_FOR_APPROVAL:
        return
    known, old = conditions.get(before.conditions, "Held"), before.target
    waited = known is not None and known.status == "True" and known.reason == WAITING_FOR_APPROVAL
    same = old is not None and (old.started_at, old.weight) == (target.started_at, target.weight)
    if not (waited and same):
        yield WAITING_FOR_APPROVAL, f"{target.version} waits for an approval", held.message


def _addressees(builder: ReleaseBuilder, reason: str) -> list[str]:
    meta = builder.facts.release.metadata
    subject = Subject(meta.namespace, "Release", meta.labels.get("team", ""), _severity(reason), reason)
    return list(builder.facts.routing.receivers_of(subject))


def _severity(reason: str) -> str:
    """Nobody is called: a person has to look at what is not shipped or waits."""
    return "sev4" if reason == PROMOTED else "sev3"


def _noted(builder: ReleaseBuilder, notice: Notice) -> Notice:
    """The notice without receivers that took it, or at whom it is given up."""
    outcomes = builder.facts.deliveries.get(notice.number, {})
    taken = {name: o.answer for name, o in outcomes.items() if o.sent_at is not None and name in notice.to}
    if taken:
        told = [*notice.told, *(f"{name}: {answer}"[:128] for name, answer in taken.items())]
        notice = notice.model_copy(update={"to": [n for n in notice.to if n not in taken], "told": told})
    if notice.to and builder.now - notice.decided_at > LONGEST:
        _withdraw(builder, notice, "a day has passed")
        lost = [f"{name}: {GIVEN_UP}" for name in notice.to]
        notice = notice.model_copy(update={"to": [], "told": [*notice.told, *lost]})
    return notice


def _withdraw(builder: ReleaseBuilder, notice: Notice, why: str) -> None:
    if notice.to:
        names = ", ".join(notice.to)
        builder.execute(WithdrawPage(_key(builder), notice.number, tuple(notice.to)))
        builder.event("NoticeGivenUp", f"{notice.reason} was not told to {names}, as {why}", "Warning")


def _send(builder: ReleaseBuilder) -> None:
    missing = [notice for notice in builder.status.notices if notice.to]
    failures = []
    for notice in missing:
        builder.execute(_request(builder, notice))
        builder.look_again(RETRY)
        outcomes = builder.facts.deliveries.get(notice.number, {})
        failures += [o.failure for name, o in outcomes.items() if name in notice.to and o.failure]
    before = conditions.get(builder.status.conditions, "Told")
    if failures:
        text = "; ".join(dict.fromkeys(failures))
        builder.condition("Told", False, UNTOLD, text)
        if before is None or before.message != text:
            builder.event("NoticeUndelivered", text, "Warning")
    elif missing or not builder.status.notices:
        return
    elif lost := _lost(builder.status.notices):
        builder.condition("Told", False, UNTOLD, lost)
    elif before is None or before.reason != TOLD:
        builder.condition("Told", True, TOLD, "every receiver took what the Release had to tell")


def _lost(notices: Iterable[Notice]) -> str:
    """Which receivers were never told of which of these; empty where all were."""
    lost = [(n.reason, told.partition(":")[0]) for n in notices for told in n.told if told.endswith(f": {GIVEN_UP}")]
    return "; ".join(f"{reason} was never told to {name}" for reason, name in lost)


def _key(builder: ReleaseBuilder) -> str:
    meta = builder.facts.release.metadata
    return meta.uid or meta.name


def _request(builder: ReleaseBuilder, notice: Notice) -> SendPage:
    release, key = builder.facts.release, _key(builder)
    message = PageMessage.model_validate(
        {
            "number": notice.number, "action": "trigger", "reason": notice.reason, "severity": _severity(notice.reason),
            "text": notice.text, "state": "Decided", "to": notice.to, "decided_at": notice.decided_at,
        }
    )  # fmt: skip
    name = release.metadata.name
    about = About("Release", name, release.metadata.labels.get("team", ""), since=notice.decided_at)
    title, alert = f"{name}: {notice.title}", f"{key}/{notice.number}"
    return SendPage(name, title, key, message, {"live": builder.status.version}, alert, tuple(notice.to), about)
