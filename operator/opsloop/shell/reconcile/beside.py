"""What stands beside a Deployment in its namespace and sees its pods: Services and PodDisruptionBudgets."""

import logging
from datetime import timedelta
from typing import Any

from opsloop.api.release import Release
from opsloop.core.facts import Beside, Budget
from opsloop.core.selectors import selects, serves
from opsloop.errors import Forbidden, NotFound
from opsloop.names import CANARY, canary_name, warm_name
from opsloop.shell.ports import BUDGETS, SERVICES, Object
from opsloop.shell.runtime import Runtime

READ_AGAIN = timedelta(seconds=15)  # both are listed once per namespace in this time: they hardly change
HOLDING = timedelta(
    minutes=15
)  # the same for a canary that holds: none of its pods is dark, which is what they could undo

log = logging.getLogger("opsloop.observe")


async def beside(runtime: Runtime, release: Release, deployment: Object) -> Beside | None:
    """What selects the Deployment's pods, or those of its canary; None where opsloop may not read it."""
    namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
    target = release.status.target
    holds = target is not None and target.state == "Stepping" and target.reached_at is not None
    listed = await _listed(runtime, namespace, HOLDING if holds else READ_AGAIN)
    if listed is None:
        return None
    services, budgets = listed
    labels: dict[str, str] = deployment["spec"]["template"].get("metadata", {}).get("labels") or {}
    dark = {**labels, CANARY: release.metadata.name}
    return Beside(
        selectors=(
            *(
                {"matchLabels": s["spec"]["selector"]}
                for s in services
                if serves(s["spec"].get("selector") or {}, labels)
            ),
            *(
                b["spec"]["selector"]
                for b in budgets
                if b["spec"].get("selector") and selects(b["spec"]["selector"], labels)
            ),
        ),
        services={s["metadata"]["name"]: s for s in services},
        unready=tuple(
            s["metadata"]["name"]
            for s in services
            if s["spec"].get("publishNotReadyAddresses") and serves(s["spec"].get("selector") or {}, dark)
        ),
        budgets=tuple(
            _budget(b, _is_shared(runtime, namespace, name, b["spec"].get("selector")))
            for b in budgets
            if b["spec"].get("selector") is not None and selects(b["spec"]["selector"], labels)
        ),
    )


async def _listed(runtime: Runtime, namespace: str, at_most: timedelta) -> tuple[list[Object], list[Object]] | None:
    """Services and budgets of the namespace, as listed not long ago."""
    now, kept = runtime.now(), runtime.owned.beside.get(namespace)
    if kept is not None and now - kept[0] < at_most:
        return kept[1]
    try:
        found = (
            await runtime.reader.list(SERVICES, namespace),
            await runtime.reader.list(BUDGETS, namespace),
        )
    except (Forbidden, NotFound) as error:
        log.warning("services and budgets of %s cannot be read: %s", namespace, error)
        runtime.owned.beside[namespace] = (now, None)
        return None
    runtime.owned.beside[namespace] = (now, found)
    return found


def _is_shared(runtime: Runtime, namespace: str, deployment: str, selector: Any) -> bool:
    """True where the budget is for pods of another Deployment as well."""
    for other in runtime.cache.list("Deployment", namespace):
        name, labels = other["metadata"]["name"], other["spec"]["template"].get("metadata", {}).get("labels") or {}
        if name not in (deployment, canary_name(deployment), warm_name(deployment)) and selects(selector, labels):
            return True
    return False


def _budget(obj: Object, shared: bool) -> Budget:
    spec = obj["spec"]
    return Budget(obj["metadata"]["name"], spec.get("minAvailable"), spec.get("maxUnavailable"), shared)
