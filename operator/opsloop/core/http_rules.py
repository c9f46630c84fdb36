"""Rules that opsloop adds to an HTTPRoute for a step without a weight: for testers' requests, or for copies of users' requests.

Such a rule is a copy of a rule that sends requests to the live pods' Service, with narrower matches, so that the Gateway API's
precedence (the most specific match) has it go first wherever it stands; it stands last, so that a request that fits another
rule as well goes where it went before. A tester's rule has the canary's Service in place of all refs. A rule that mirrors has
the same refs, and a filter more. Neither changes anything of the rules that were there.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opsloop.core import http_route
from opsloop.core.http_route import OWN, Backends, Object, Operations, Split

MOST_RULES, MOST_MATCHES, MOST_IN_ALL, MOST_FILTERS, MOST_HEADERS = 16, 64, 128, 16, 16  # of the CRD
ANY_PATH = {"path": {"type": "PathPrefix", "value": "/"}}  # the match of a rule that names none


@dataclass(frozen=True, slots=True)
class Extra:
    """What a step sends to the canary beside weights: requests with all of these headers, or copies of requests."""

    headers: tuple[tuple[str, str], ...] = ()  # (name, value)
    percent: int = 0  # of the requests with these methods that are copied; 0: no copies
    methods: tuple[str, ...] = ()


def wanted(route: Object, backends: Backends, extra: Extra) -> list[dict[str, Any]]:
    """The rules that the step has on this route; none for a rule none of whose requests it can be about."""
    rules, found = route["spec"]["rules"], list[dict[str, Any]]()
    for split in http_route.moving(route, backends):
        rule = rules[split.rule]
        for matches in _narrowed(rule, extra):
            own = {**copy.deepcopy(dict(rule)), "name": f"{OWN}{len(found)}", "matches": matches}
            if extra.headers:
                own["backendRefs"] = [_canary_ref(rule, split, backends)]
            else:
                own["filters"] = [*own.get("filters", []), _mirror(rule, split, backends, extra.percent)]
            found.append(own)
    return found


def unfit(route: Object, backends: Backends, extra: Extra) -> str:
    """Why the route cannot have these rules, with what to do; empty where it can."""
    named = {name.lower() for name, _ in extra.headers}
    rules = route["spec"].get("rules") or []
    for split in http_route.moving(route, backends):
        for match in rules[split.rule].get("matches") or ():
            if taken := named & {header["name"].lower() for header in match.get("headers") or ()}:
                return f"rule {split.rule} matches header {sorted(taken)[0]} itself: name another one in match.headers"
    own, ruled = set(http_route.own_rules(route)), wanted(route, backends, extra)
    if not ruled:
        return f"none of its rules takes {', '.join(extra.methods) or 'requests'}: name other methods in mirror.methods"
    all_rules = [*(rule for at, rule in enumerate(rules) if at not in own), *ruled]
    sizes = [len(rule.get("matches") or [ANY_PATH]) for rule in all_rules]
    if len(all_rules) > MOST_RULES or max(sizes) > MOST_MATCHES or sum(sizes) > MOST_IN_ALL:
        return (
            f"with the rules of this step it would have {len(all_rules)} rules (at most {MOST_RULES}) with {sum(sizes)} matches (at"
            f" most {MOST_MATCHES} each and {MOST_IN_ALL} in all): name fewer in httpRoute.rules"
        )
    if any(len(rule.get("filters") or ()) > MOST_FILTERS for rule in ruled):
        return f"a rule has {MOST_FILTERS} filters already, and a copy of it needs one more"
    many = any(len(match.get("headers") or ()) > MOST_HEADERS for rule in ruled for match in rule["matches"])
    return f"a match has more than {MOST_HEADERS} headers with those of match.headers" if many else ""


def missing(route: Object, backends: Backends, extra: Extra) -> bool:
    """True where the route lacks one of the step's rules, or has it otherwise."""
    there = [_content(rule) for rule in _present(route)]
    return any(_content(rule) not in there for rule in wanted(route, backends, extra))


def surplus(route: Object, backends: Backends, extra: Extra | None) -> bool:
    """True where the route has a rule of opsloop's that the step (None: a step with a weight, or none) does not have."""
    decided = [_content(rule) for rule in wanted(route, backends, extra)] if extra else []
    return any(_content(rule) not in decided for rule in _present(route))


def shown(route: Object, release: str, backends: Backends, extra: Extra) -> Operations:
    """The operations after which the route has the step's rules and no others of opsloop's, with the marks; weights stay."""
    ruled = wanted(route, backends, extra)
    if not missing(route, backends, extra) and not surplus(route, backends, extra):
        return []
    record = {
        "service": backends.stable, "canary": backends.canary, "weights": [], "own": [http_route.digest(r) for r in ruled],
    }  # fmt: skip
    operations = [*http_route.marks(route, release, record), *http_route.without(http_route.own_rules(route))]
    return [*operations, *({"op": "add", "path": "/spec/rules/-", "value": rule} for rule in ruled)]


# --- inside


def _present(route: Object) -> list[Mapping[str, Any]]:
    rules = route["spec"].get("rules") or []
    return [rules[at] for at in http_route.own_rules(route)]


def _content(rule: Object) -> str:
    """All of a rule but its name, with what the API server fills in."""
    filled = {key: value for key, value in rule.items() if key != "name"}
    filled["backendRefs"] = [_filled(ref) for ref in rule.get("backendRefs") or ()]
    filled["filters"] = [_filled_filter(one) for one in rule.get("filters") or ()]
    return json.dumps(filled, sort_keys=True)


def _filled(ref: Object) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "weight": http_route.DEFAULT, **ref}


def _filled_filter(one: Object) -> dict[str, Any]:
    mirror = one.get("requestMirror")
    return {**one, "requestMirror": {**mirror, "backendRef": _filled(mirror["backendRef"])}} if mirror else dict(one)


def _narrowed(rule: Object, extra: Extra) -> Iterator[list[dict[str, Any]]]:
    """The matches of each own rule for this one: those of the rule, each with the headers or the methods in addition.

    A rule that rewrites a prefix may have one match only, so there each method has a rule of its own.
    """
    matches = [dict(match) for match in rule.get("matches") or [ANY_PATH]]
    if extra.headers:
        more = [{"type": "Exact", "name": name, "value": value} for name, value in extra.headers]
        yield [{**match, "headers": [*match.get("headers", []), *more]} for match in matches]
        return
    each = [
        [{**match, "method": method} for match in matches if match.get("method", method) == method]
        for method in extra.methods
    ]
    apart = "replacePrefixMatch" in json.dumps(rule)
    yield from (found for found in (each if apart else [[m for some in each for m in some]]) if found)


def _canary_ref(rule: Object, split: Split, backends: Backends) -> dict[str, Any]:
    refs = rule["backendRefs"]
    like = refs[split.stable if split.stable is not None else split.canary]
    return {**copy.deepcopy(dict(like)), "name": backends.canary, "weight": http_route.DEFAULT}


def _mirror(rule: Object, split: Split, backends: Backends, percent: int) -> dict[str, Any]:
    ref = _canary_ref(rule, split, backends)
    target = {"group": "", "kind": "Service", "name": ref["name"], **({"port": ref["port"]} if "port" in ref else {})}
    share = {} if percent == 100 else {"percent": percent}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": target, **share}}
