"""Active alerts as Alertmanager lists them, and pages as those who got them say: a receiver that keeps them, else what each
receiver answered, with the counter of the process that sent them, and Alertmanager where it holds the alert.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from opsloop.api.incident import Incident
from opsloop.api.meta import Time
from opsloop.core.gate.evidence import FiredAlert, Missing, PageSeen
from opsloop.core.notify.alertmanager import NAMES
from opsloop.errors import Invalid, NotFound
from opsloop.shell.evidence.sources import Address, Sources, get_json

DRILL = "receiver:8080"  # the drill's receiver, which keeps its pages
OWN = frozenset(NAMES.values())

_TIME: TypeAdapter[datetime] = TypeAdapter(Time)


async def active_alerts(sources: Sources) -> tuple[FiredAlert, ...]:
    """Alerts that Alertmanager still holds as active, in this namespace."""
    labels = [item.get("labels") or {} for item in await _listed(sources)]
    return tuple(
        FiredAlert(each)
        for each in labels
        if each.get("namespace", sources.namespace) == sources.namespace and each.get("alertname") not in OWN
    )


async def rules(sources: Sources) -> tuple[str, ...]:
    """Names of the alerting rules that Prometheus has now."""
    return tuple(rule.name for rule in await sources.rules.rules())


async def _listed(sources: Sources) -> list[Mapping[str, Any]]:
    answer = await get_json(sources.cluster, sources.alertmanager, "/api/v2/alerts", {"active": "true"})
    if not isinstance(answer, list):
        raise Invalid("Alertmanager's /api/v2/alerts is not a list")
    return [item for item in answer if isinstance(item, dict)]


async def pages(sources: Sources, incidents: Sequence[Incident] | Missing) -> tuple[PageSeen, ...]:
    """Calls that reached their receivers. Where no receiver keeps them, they are proven by what was answered."""
    if sources.pager is not None:
        return await _kept(sources, sources.pager)
    try:
        return await _kept(sources, Address.parse(DRILL, sources.namespace))
    except NotFound:
        known = () if isinstance(incidents, Missing) else incidents
        return (*await _answered(sources, known), *await _firing(sources))


async def _answered(sources: Sources, incidents: Sequence[Incident]) -> tuple[PageSeen, ...]:
    """Messages that a receiver answered with 2xx, by the stored answers. Where Prometheus has the counters of the process that
    sent them, an answer of a receiver that it never called proves nothing."""
    query = 'max by (receiver) (max_over_time(opsloop_pages_total{action="trigger",result="sent"}[1d]))'
    counted = {
        s.labels.get("receiver", ""): s.value for s in await sources.telemetry.instant(query, sources.clock.now())
    }
    found: list[PageSeen] = []
    for incident in incidents:
        page = incident.status.page
        for message in page.messages if page else []:
            took = [r for r in page.receivers if r.taken >= message.number and r.name in message.to] if page else []
            took = [r for r in took if not counted or counted.get(r.name, 0) >= 1]
            if page is None or message.state != "Sent" or message.ended_at is None or not took:
                continue
            answers = ", ".join(f"{r.name} answered {r.answer[:60]}" for r in took)
            witness = ", opsloop_pages_total" if counted else ""
            found.append(
                PageSeen(
                    dedup_key=message.group or page.alert,
                    incident=incident.metadata.name,
                    severity=message.severity,
                    received_at=message.ended_at,
                    action=message.action,
                    source=f"status.page.receivers{witness}: {answers}",
                )
            )
    return tuple(found)


async def _firing(sources: Sources) -> tuple[PageSeen, ...]:
    """opsloop's own alerts that Alertmanager holds; none where there is no Alertmanager."""
    try:
        listed = await _listed(sources)
    except NotFound:
        return ()
    own = [a for a in listed if (a.get("labels") or {}).get("alertname") in OWN]
    return tuple(
        PageSeen(
            dedup_key=str((alert.get("annotations") or {}).get("opsloop_dedup_key", "")),
            incident=str(alert["labels"].get("incident", "")),
            severity=str((alert.get("annotations") or {}).get("opsloop_severity", "")),
            received_at=_time(alert.get("startsAt")),
            source="Alertmanager's /api/v2/alerts",
            is_open=True,
        )
        for alert in own
        if alert["labels"].get("namespace") == sources.namespace
    )


async def _kept(sources: Sources, address: Address) -> tuple[PageSeen, ...]:
    """Calls as a receiver keeps them, in its order."""
    answer = await get_json(sources.cluster, address, "/pages")
    kept = answer.get("pages") if isinstance(answer, dict) else None
    if not isinstance(kept, list):
        raise Invalid("the receiver's /pages has no list `pages`")
    return tuple(_page(item) for item in kept if isinstance(item, dict))


def _page(kept: Mapping[str, Any]) -> PageSeen:
    body = kept.get("page") or {}
    return PageSeen(
        dedup_key=str(kept.get("dedup_key") or body.get("dedup_key") or body.get("dedupKey") or ""),
        incident=_detail(body, "incident"),
        severity=_detail(body, "severity"),
        received_at=_time(kept.get("receivedAt")),
        action=str(body.get("action") or body.get("event_action") or "trigger"),
    )


def _detail(body: Mapping[str, Any], field: str) -> str:
    """Our own detail before the paging service's field of the same name (`critical` is not a sev)."""
    payload = body.get("payload") or {}
    places = (payload.get("custom_details") or {}, body.get("details") or {}, body, payload)
    return next((str(place[field]) for place in places if isinstance(place, dict) and place.get(field)), "")


def _time(value: Any) -> datetime:
    try:
        return _TIME.validate_python(value)
    except ValidationError as error:
        raise Invalid(f"the receiver's receivedAt is not a time: {value!r}") from error
