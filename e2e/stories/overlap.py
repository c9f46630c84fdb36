"""Two faults that overlap in one namespace: two Incidents with the right roots, one page each, no alert in the wrong one.

The shop stands there twice, with a catalog, a Prometheus and an Alertmanager that both copies share: `portal` asks `quotes` as
`web` asks `answers`. Both get a bad version within seconds, so that their alerts arrive mixed.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from e2e.drill import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories.checks import has_ledger, ledger_of, pages
from e2e.stories.shifts import story_shift

COPIES = {"answers": "quotes", "web": "portal", "shoppers": "buyers"}  # a part of the shop → its second copy
FAULTS = {"answers": ("answers", "web"), "quotes": ("quotes", "portal")}  # root → services that it harms
LEAST_ALERTS = 12  # distinct ones of each fault
SHARE = 0.5  # of the load: two shops ask on the same machine
_NAMES = re.compile(r"\b(?:" + "|".join(COPIES) + r")\b")


def overlap(api: Client, name: str, seed: int) -> None:
    """Both faults, from their first alerts to both being resolved."""
    shift = story_shift(api, name, seed)
    _open(shift)
    for root in FAULTS:
        api.kubectl("-n", name, "set", "image", f"deployment/{root}", f"{root}=opsloop/helpdesk:v2")
    shift.progress.say(f"v2 is pushed straight onto {' and '.join(FAULTS)}")
    shift.progress.wait("alerts of both", 90, lambda: _alerts(shift))
    shift.progress.wait("a sev1 Incident on each root", 120, lambda: _opened(shift))
    shift.progress.wait("both to be rolled back and resolved", 240, lambda: _resolved(shift))
    _check(shift)
    prepare.clear(shift)


def _open(shift: Shift) -> None:
    """Both shops, quiet, and opsloop over them."""
    prepare.apply_crds(shift.api)
    prepare.make_empty(shift)
    text = _shared(prepare.manifests(shift, SHARE))
    documents = [text, *(_copied(shift, kind) for kind in COPIES)]
    shift.api.kubectl("apply", "-f", "-", text="\n---\n".join(documents))
    releases = shift.objects("releases.yaml")
    releases += [_renamed(one) for one in releases if one["metadata"]["name"] in COPIES]
    shift.apply([*releases, *map(_allowed, shift.objects("runbook.yaml"))])
    for deployment in (*prepare.SHOP, *COPIES.values()):
        prepare.wait_available(shift.api, shift.progress, shift.namespace, deployment, 120)
    shift.progress.wait("Alertmanager to list no alert", 120, lambda: prepare.quiet(shift))
    prepare.install_operator(shift)
    names = [one["metadata"]["name"] for one in releases]
    shift.progress.wait("v1 of all services to be proven", 120, lambda: prepare.proven(shift, names))
    shift.progress.wait("Alertmanager to list no alert", 120, lambda: prepare.quiet(shift))
    if early := [i["metadata"]["name"] for i in shift.incidents()]:
        raise StageFailed(f"{', '.join(early)} opened before anything was broken")
    shift.progress.say("both shops meet their SLOs")


def _shared(text: str) -> str:
    """The first shop, whose Prometheus tells the copies apart: shoppers say `answers` and `web` of whomever they ask."""
    documents: list[Object] = [one for one in yaml.safe_load_all(text) if one]
    for one in documents:
        data = one.get("data") or {}
        if "helpdesk.yml" in data:
            data["helpdesk.yml"] = data["helpdesk.yml"].replace("answers|web", "answers|web|quotes|portal")
        if "prometheus.yml" in data:
            config = yaml.safe_load(data["prometheus.yml"])
            job = next(job for job in config["scrape_configs"] if job["job_name"] == "pods")
            job["relabel_configs"].append(
                {"source_labels": ["__meta_kubernetes_pod_label_app"], "target_label": "scraped"}
            )
            job["metric_relabel_configs"] = [
                {
                    "source_labels": ["scraped", "service"],
                    "regex": f"{COPIES['shoppers']};{first}",
                    "target_label": "service",
                    "replacement": second,
                }
                for first, second in COPIES.items()
            ]
            data["prometheus.yml"] = yaml.safe_dump(config)
    return yaml.safe_dump_all(documents)


def _copied(shift: Shift, part: str) -> str:
    """The second copy of one part; what it does (`args`) is what the first one does."""
    own = [
        one for one in yaml.safe_load_all(prepare.manifests(shift, SHARE)) if one and one["metadata"]["name"] == part
    ]
    documents = [_renamed(one) for one in own]
    for one in documents:
        if one["kind"] == "Deployment":
            [container] = one["spec"]["template"]["spec"]["containers"]
            container["args"] = [part]
    return yaml.safe_dump_all(documents)


def _renamed(value: Any) -> Any:
    """The same for the second copy: in all texts but the names of variables and of metrics."""
    if isinstance(value, dict):
        return {_NAMES.sub(lambda m: COPIES[m[0]], key): _renamed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one) for one in value]
    return _NAMES.sub(lambda m: COPIES[m[0]], value) if isinstance(value, str) else value


def _allowed(one: Object) -> Object:
    """The Runbook's account may patch the copies too."""
    if one["kind"] == "Role":
        [rule] = one["rules"]
        rule["resourceNames"] += [COPIES[name] for name in rule["resourceNames"] if name in COPIES]
    return one


def _alerts(shift: Shift) -> tuple[object, str]:
    shift.look_at_alerts()
    counts = {root: shift.distinct(*services) for root, services in FAULTS.items()}
    return all(count >= LEAST_ALERTS for count in counts.values()), f"distinct alerts {counts}"


def _opened(shift: Shift) -> tuple[object, str]:
    shift.look_at_alerts()
    found = {root: shift.incident(f"{root}-1").get("severity") for root in FAULTS}
    return all(severity == "sev1" for severity in found.values()), f"{found}; {_states(shift)}"


def _resolved(shift: Shift) -> tuple[object, str]:
    shift.look_at_alerts()
    phases = {root: shift.incident(f"{root}-1").get("phase") for root in FAULTS}
    return all(phase == "Resolved" for phase in phases.values()), _states(shift)


def _states(shift: Shift) -> str:
    rows = []
    for one in shift.incidents():
        status = one.get("status") or {}
        into = f" into {status['mergedInto']}" if status.get("mergedInto") else ""
        rows.append(f"{one['metadata']['name']} {status.get('severity')} {status.get('phase')}{into}")
    return f"incidents {rows}"


def _check(shift: Shift) -> None:
    """Roots, causes, pages and ledgers."""
    merged = {i["metadata"]["name"]: (i.get("status") or {}).get("mergedInto", "") for i in shift.incidents()}
    apart = sorted(name for name, into in merged.items() if not into)
    if apart != [f"{root}-1" for root in FAULTS]:
        raise StageFailed(f"there should be one Incident for each root; there is {apart}")
    for root, services in FAULTS.items():
        status, name = shift.incident(f"{root}-1"), f"{root}-1"
        cause = status.get("cause") or {}
        if (cause.get("kind"), cause.get("release"), cause.get("version")) != ("bad_release", root, "v2"):
            raise StageFailed(f"{name}: cause {cause}")
        # a caller that burnt first may have been merged before an alert of its own came: it then has no ledger, and none of its
        # alerts may be missing in the root's
        callers = [one for one, into in merged.items() if into == name]
        ledgers = [ledger_of(shift, name), *(ledger_of(shift, one) for one in callers if has_ledger(shift, one))]
        found = [alert["labels"].get("service") for alerts in ledgers for alert in alerts]
        if strangers := sorted(set(found) - set(services)):
            raise StageFailed(f"{name} holds alerts of {strangers}")
        listed = {f for f, a in shift.alerts.items() if a["labels"].get("service") in services}
        if lost := listed - {alert["fp"] for alerts in ledgers for alert in alerts}:
            raise StageFailed(
                f"{name}: {len(lost)} of {len(listed)} alerts that Alertmanager listed are not in its ledger"
            )
        shift.progress.say(f"   {name}: {len(found)} alerts, all of {' and '.join(services)}; cause v2 of {root}")
    _one_page_each(shift)


def _one_page_each(shift: Shift) -> None:
    """One alert at the pager for each root. A caller that was read first may have opened it; its root goes on with it, and ends it."""
    alerts: dict[str, list[str]] = {}
    for one in pages(shift):
        alerts.setdefault(one["dedup_key"], []).append(one["page"]["incident"])
    if sorted(incidents[-1] for incidents in alerts.values()) != sorted(f"{root}-1" for root in FAULTS):
        raise StageFailed(f"there should be one alert at the pager for each root: {alerts}")
    told = "; ".join(", ".join(dict.fromkeys(incidents)) for incidents in alerts.values())
    shift.progress.say(f"   one page each: {told}")
