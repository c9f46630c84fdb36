"""Active alerts as Alertmanager lists them, and pages as the pager's receiver keeps them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from opsloop.api.meta import Time
from opsloop.core.gate.evidence import FiredAlert, PageSeen
from opsloop.errors import Invalid
from opsloop.shell.evidence.sources import Sources, get_json

_TIME: TypeAdapter[datetime] = TypeAdapter(Time)


async def active_alerts(sources: Sources) -> tuple[FiredAlert, ...]:
    """Alerts that Alertmanager still holds as active, in this namespace."""
    answer = await get_json(sources.cluster, sources.alertmanager, "/api/v2/alerts", {"active": "true"})
    if not isinstance(answer, list):
        raise Invalid("Alertmanager's /api/v2/alerts is not a list")
    labels = [item.get("labels") or {} for item in answer if isinstance(item, dict)]
    return tuple(FiredAlert(each) for each in labels if each.get("namespace", sources.namespace) == sources.namespace)


async def pages(sources: Sources) -> tuple[PageSeen, ...]:
    """Calls that reached the receiver, in its order."""
    answer = await get_json(sources.cluster, sources.pager, "/pages")
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
