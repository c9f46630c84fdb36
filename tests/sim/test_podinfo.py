"""podinfo, as the story on kind has it, with the README's windows and a Prometheus that scrapes every 15 seconds."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsloop.entry.settings import Settings
from opsloop.shell.ports import Object
from tests.builders import yamls
from tests.sim.shift import Shift, runbook_object
from tests.sim.shop import NS
from tests.sim.test_pods_tell import ScrapedShop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "release.yaml"
SCRAPE, TICK = 15, 5
SETTINGS = Settings(tick=timedelta(seconds=TICK), prometheus_resolution=timedelta(seconds=SCRAPE), workers=1)
HOUR = 3600
POD_STARTS = 20  # seconds that the rollout of a push may take until users meet it everywhere


class PodinfoShop(ScrapedShop):
    """Scraped every 15 s, and for two hours before opsloop came; a status has no series before its first request."""

    def __init__(self, release: Object, runbook: Object | None) -> None:
        super().__init__(release, runbook)
        for _ in range(2 * HOUR // SCRAPE):
            self.clock.advance(SCRAPE)
            self._serve(SCRAPE)

    def _scrape(self, alive: set[str]) -> None:
        if int(self.clock.now().timestamp()) % SCRAPE == 0:
            super()._scrape(alive)


def readmes_release() -> Object:
    """The README's example over this shop, without the step that asks a person, and with podinfo's counter."""
    spec = yamls.load(EXAMPLE.read_text())["spec"]
    slo: dict[str, Any] = spec["slo"] | {
        "sli": {"requests": {"counter": "http_requests_total", "bad": 'status=~"5.."'}}
    }
    steps = [
        {"weight": s["weight"], **({"hold": s["hold"]} if "hold" in s else {})}
        for s in spec["strategy"]["canary"]["steps"]
    ]
    strategy = {"canary": {**spec["strategy"]["canary"], "steps": steps}}
    own = {"workloadRef": {"name": "answers"}, "version": "v1", "images": {"answers": "shop:v1"}}
    return {
        "kind": "Release",
        "metadata": {"name": "answers", "namespace": NS},
        "spec": {**own, "slo": slo, "strategy": strategy},
    }


async def adopted() -> Shift:
    shift = Shift(shop=PodinfoShop(readmes_release(), runbook_object()), settings=SETTINGS)
    await shift.until(
        "v1 is last-good", lambda: bool((r := shift.release().status.revisions) and r[0].proven_at), most=900
    )
    return shift


async def test_when_all_requests_of_a_new_version_fail_it_is_sev1_when_the_closed_form_says() -> None:
    shift = await adopted()
    shift.shop.errors["v2"] = 1.0
    pushed = shift.shop.clock.now()
    shift.shop.set_image("v2")
    await shift.until("sev1", lambda: (i := shift.incident()) is not None and i.status.severity == "sev1", most=900)
    incident = shift.incident()
    assert incident is not None and incident.status.detected_at is not None
    slo = shift.release().spec.slo
    assert slo is not None
    closed_form = HOUR * 14.4 * (1 - slo.objective)
    took = (incident.status.detected_at - pushed).total_seconds()
    print(f"sev1 {took:.0f} s after the push; in closed form {closed_form:.0f} s")
    assert closed_form <= took <= closed_form + POD_STARTS + SCRAPE + 2 * TICK
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=30)
    await shift.until(
        "resolved", lambda: (i := shift.incident()) is not None and i.status.phase == "Resolved", most=1200
    )
    assert [r.version for r in shift.release().status.revisions if r.blocked] == ["v2"]
    await shift.operator.stop()


async def test_a_bad_release_is_rejected_as_a_canary_long_before_it_would_page() -> None:
    shift = await adopted()
    shift.shop.errors["v3"] = 0.11  # podinfo's own --random-error: a ninth of all requests ends with a 5xx
    shift.shop.ship("v3")
    await shift.until("v3 serves", lambda: bool(shift.shop.open_canaries()), most=120)
    served_at = shift.second
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"), most=600)
    print(f"rejected {shift.second - served_at} s after it served")
    assert shift.live == "v1" and not shift.operator.pager.pages
    await shift.operator.stop()
