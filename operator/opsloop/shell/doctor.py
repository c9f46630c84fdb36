"""Looks at everything that a Release needs, with the caller's rights: the cluster's objects, and Prometheus where one is given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.doctor import cluster, rollout_checks, telemetry
from opsloop.core.doctor.row import Row, unseen
from opsloop.core.doctor.telemetry import Looked, Selected
from opsloop.core.facts import Budget
from opsloop.core.readings import Unknown, Value
from opsloop.core.release import revisions
from opsloop.core.release.check_rights import right_of
from opsloop.core.selectors import selects
from opsloop.core.slo import parts, promql, telling
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.splits import scope_of, split_of
from opsloop.core.slo.tiers import windows_of
from opsloop.errors import Forbidden, NotFound, OpsloopError
from opsloop.names import canary_name, warm_name
from opsloop.shell.evidence.may import may
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import ACCOUNTS, BUDGETS, DEPLOYMENTS, SERVICES, Object, Resource, Source
from opsloop.shell.slo.parts import guilty, number
from opsloop.shell.slo.query import SliQuery
from opsloop.shell.watch.cache import scaler, template_manager

AUTOSCALERS = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
QUOTAS = Resource("v1", "ResourceQuota", "resourcequotas")
OWN = {"app.kubernetes.io/name": "opsloop"}
PATIENCE = timedelta(seconds=30)  # of one query
DAY = timedelta(days=1)


async def examine(reader: Cluster, release: Release, source: Source | None, now: datetime) -> list[Row]:
    """Every row, in the order in which to read them."""
    namespace, name = release.metadata.namespace, release.spec.workload_ref.name
    try:
        deployment: Object | None = await reader.get(DEPLOYMENTS, namespace, name)
    except NotFound:
        deployment = None
    rows = [cluster.operator(release), await _rights(reader, namespace), cluster.workload(release, deployment)]
    if release.spec.strategy.canary.checks:
        rows.append(await _checks(reader, release))
    live = int((deployment or {}).get("spec", {}).get("replicas", 1)) if deployment is not None else 0
    rows += await _telemetry(source, release, live, now) if source is not None else telemetry.as_said(release)
    if deployment is None:
        return rows
    template = deployment["spec"]["template"]
    services = await _listed(reader, SERVICES, namespace)
    rows += [
        cluster.budgets(await _budgets(reader, namespace, deployment), live),
        cluster.autoscaler(await _listed(reader, AUTOSCALERS, namespace), scaler(deployment), release),
        cluster.quota(await _listed(reader, QUOTAS, namespace), template, cluster.most_pods(release, live)),
        cluster.deployer(release, deployment, template_manager(deployment).get("name", "")),
        cluster.connections(services, template),
    ]
    return rows


async def _listed(reader: Cluster, resource: Resource, namespace: str) -> list[Object] | None:
    """None where the caller may not list them."""
    try:
        return await reader.list(resource, namespace)
    except (Forbidden, NotFound):
        return None


async def _budgets(reader: Cluster, namespace: str, deployment: Object) -> Sequence[Budget] | None:
    """Those that select the Deployment's pods; `shared` where another Deployment's as well."""
    found, others = await _listed(reader, BUDGETS, namespace), await _listed(reader, DEPLOYMENTS, namespace)
    if found is None:
        return None
    name, labels = deployment["metadata"]["name"], _labels(deployment)
    rest = [_labels(o) for o in others or () if o["metadata"]["name"] not in (name, canary_name(name), warm_name(name))]
    return [
        Budget(
            one["metadata"]["name"], one["spec"].get("minAvailable"), one["spec"].get("maxUnavailable"),
            any(selects(one["spec"]["selector"], other) for other in rest),
        )
        for one in found
        if one["spec"].get("selector") is not None and selects(one["spec"]["selector"], labels)
    ]  # fmt: skip


def _labels(deployment: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = deployment["spec"]["template"].get("metadata", {}).get("labels") or {}
    return labels


async def _checks(reader: Cluster, release: Release) -> Row:
    """What the checks of a rollout need: their account, its rights, and opsloop's own to create Jobs."""
    namespace, account = release.metadata.namespace, release.spec.service_account_name or ""
    accounts = await _listed(reader, ACCOUNTS, namespace)
    exists = None if accounts is None else account in {one["metadata"]["name"] for one in accounts}
    allowed: dict[str, bool | None] = {}
    for right in dict.fromkeys(right_of(check) for check in release.spec.strategy.canary.checks):
        asked = (right.group, right.plural, right.verb)
        allowed[right.plural] = await may(reader, namespace, (namespace, account), asked)
    own = await _own_account(reader, namespace)
    runs_jobs = await may(reader, namespace, own, ("batch", "jobs", "create")) if own is not None else None
    return rollout_checks.row(release, exists, allowed, runs_jobs)


async def _own_account(reader: Cluster, namespace: str) -> tuple[str, str] | None:
    """The account of the operator that looks after this namespace, with its own."""
    try:
        found = await reader.list(DEPLOYMENTS, "", OWN)
    except (Forbidden, NotFound):
        found = []
    return cluster.account_of(found, namespace)


async def _rights(reader: Cluster, namespace: str) -> Row:
    """Whether the operator's account may do in this namespace what a canary needs."""
    if (own := await _own_account(reader, namespace)) is None:
        return cluster.rights({}, "")
    space, account = own
    answers: dict[str, bool | None] = {}
    for group, resource, verb, what in cluster.RIGHTS:
        answers[f"{verb} {resource} ({what})"] = await may(reader, namespace, own, (group, resource, verb))
    return cluster.rights(answers, f"ServiceAccount {space}/{account}")


# --- Prometheus


async def _telemetry(source: Source, release: Release, live: int, now: datetime) -> list[Row]:
    """Of each objective; one row where Prometheus does not answer."""
    if release.spec.slo is None:
        return telemetry.as_said(release)
    assert source.resolution is not None and source.delay is not None
    try:
        await number(source.telemetry, "vector(1)", now)
    except OpsloopError as error:
        return [
            Row(
                "Prometheus",
                "problem",
                str(error),
                "its address and credentials are those of the operator's source, spec.slo.source",
            )
        ]
    query, rows = SliQuery(source.telemetry, PATIENCE, source.resolution), []
    for one in objectives(release.spec.slo):
        try:
            looked = await _objective(source, query, release, one, now - (one.delay or source.delay))
        except OpsloopError as error:
            rows.append(unseen("SLI", f"{one.sli.field}: {error}"))
            continue
        rows += [*telemetry.sli(looked), telemetry.pods(looked)]
        if one.name == release.spec.slo.name:
            rate = await _rate(query, looked, now - (one.delay or source.delay))
            rows.append(telemetry.traffic(release, rate, live))
    return rows


async def _objective(source: Source, query: SliQuery, release: Release, one: Slo, at: datetime) -> Looked:
    scope = await _scope(query, release, one, at)
    if isinstance(scope, Unknown):
        return Looked(one, scope)
    selected = []
    for asked in parts.selectors_of(one.sli, scope):
        series = await number(source.telemetry, parts.count(asked.text), at)
        why = "" if series else await guilty(source.telemetry, asked.text, at)
        selected.append(Selected(asked.field, asked.text, round(series), why))
    status, window = release.status, release.spec.strategy.canary.analysis.window
    live = revisions.find(status.revisions, status.live)
    split = {"live": split_of(live, status.revisions, window)} if live is not None else {}
    parsed = await query.readings(one, scope, {*windows_of(one), window}, split, at)
    told = None
    if live is not None:
        settled = live.live_since is not None and at - live.live_since >= 2 * window
        told = telling.told(one.sli, split["live"], scope, parsed.versions["live"], parsed.windows[window], settled)
    return Looked(one, scope, selected, {w: parsed.windows[w] for w in windows_of(one)}, told)


async def _scope(query: SliQuery, release: Release, one: Slo, at: datetime) -> Scope | Unknown:
    plain, sli = scope_of(release), one.sli
    if (fault := promql.problem(sli)) is not None:
        return fault
    if sli.total is not None:
        return plain
    labels: Labels | Unknown | None = await query.labels(sli, plain, at)
    if isinstance(labels, Unknown):
        return labels
    named = sli.requests or sli.latency
    assert named is not None
    if labels is None and named.pod_label:
        return await _mislabelled(query, one, plain, at)
    if labels is None and not named.selector:
        text = f"{sli.field}: no series of {promql.expressions(sli).metric} names a living pod of {plain.workload}; write a selector, or podLabel"
        return Unknown("NoSeries", text)
    return replace(plain, labels=labels)


async def _mislabelled(query: SliQuery, one: Slo, plain: Scope, at: datetime) -> Unknown:
    """Of a podLabel that names no living pod: which label does?"""
    field = "requests" if one.sli.requests is not None else "latency"
    named = getattr(one.sli, field)
    bare = one.sli.model_copy(update={field: named.model_copy(update={"pod_label": None})})
    found = await query.labels(bare, plain, at)
    does = f"label {found.pod} does" if isinstance(found, Labels) else "no other label that opsloop knows does"
    text = f"{one.sli.field}.{field}.podLabel: label {named.pod_label} holds the name of no living pod of {plain.workload}; {does}"
    return Unknown("NoSeries", text)


async def _rate(query: SliQuery, looked: Looked, at: datetime) -> float | None:
    """Events per second of the last day, as far as it is known."""
    if isinstance(looked.scope, Unknown):
        return None
    found = (await query.readings(looked.objective, looked.scope, {DAY}, {}, at)).windows[DAY]
    if isinstance(found, Value):
        return found.total / (max(found.coverage, 0.01) * DAY.total_seconds())
    return 0.0 if found.reason == "NoEvents" else None
