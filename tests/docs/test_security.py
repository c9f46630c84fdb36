"""docs/security.md has every rule of the operator's roles, with its verbs; docs/upgrade.md says what is deprecated."""

import re
from itertools import chain
from typing import Any

from opsloop.api.crd import crds
from tests.builders import yamls
from tests.docs.fenced import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
ROW = re.compile(r"^\| (`[^|]*`)(?: \(own namespace\))?: ([a-z, ]+?)(?: \(own namespace\))? \|", re.MULTILINE)
HELPERS = (ROOT / "charts" / "opsloop" / "templates" / "_helpers.tpl").read_text()
RBAC = (ROOT / "charts" / "opsloop" / "templates" / "rbac.yaml").read_text()
MANIFESTS = [d for d in yamls.load_all((ROOT / "manifests" / "opsloop.yaml").read_text()) if d]
SHORT = {"", "apps", "opsloop.dev"}  # groups that the page does not write out
Rule = tuple[frozenset[str], frozenset[str]]  # resources with their group, verbs


def rule(given: dict[str, Any]) -> Rule:
    (group,) = given["apiGroups"]
    suffix = "" if group in SHORT else f".{group}"
    return frozenset(f"{name}{suffix}" for name in given["resources"]), frozenset(given["verbs"])


def in_each_namespace() -> set[Rule]:
    """The chart's own rules with everything switched on: what its template has between the braces is left out."""
    text = HELPERS.split('define "opsloop.rules"', 1)[1].split("\n", 1)[1].split("{{- end -}}\n{{/*")[0]
    lines = [re.sub(r"\{\{.*?\}\}", "", line) for line in text.splitlines()]
    return {rule(one) for one in yamls.load("\n".join(line for line in lines if line.strip()))}


def elsewhere() -> set[Rule]:
    names = ("opsloop-opsloop-system-reviews", "opsloop-lease")
    roles = [d for d in MANIFESTS if d["kind"] in ("Role", "ClusterRole") and d["metadata"]["name"] in names]
    assert len(roles) == 2
    console = re.findall(
        r"\{\{- if \.Values\.console\.enabled \}\}\n(.*?)\{\{- end \}\}", RBAC, re.DOTALL
    )  # off in manifests/
    assert len(console) == 2
    switched_on = chain.from_iterable(yamls.load(block) for block in console)
    return {rule(one) for one in chain(switched_on, *(role["rules"] for role in roles))}


def on_the_page() -> list[Rule]:
    return [
        (frozenset(re.findall(r"`([^`]+)`", names)), frozenset(verbs.split(", "))) for names, verbs in ROW.findall(PAGE)
    ]


def test_every_rule_of_the_operator_is_explained() -> None:
    rules = in_each_namespace() | elsewhere()
    assert len(rules) > 20
    assert rules - set(on_the_page()) == set()


def test_every_rule_of_the_page_is_one_of_the_operator() -> None:
    assert set(on_the_page()) - in_each_namespace() - elsewhere() == set()


def test_the_rendered_role_has_no_rule_beside_those_of_the_template() -> None:
    (role,) = (d for d in MANIFESTS if d["kind"] == "ClusterRole" and d["metadata"]["name"] == "opsloop-opsloop-system")
    allowed = [{(name, verb) for name in names for verb in verbs} for names, verbs in in_each_namespace()]
    given = {(name, verb) for one in role["rules"] for names, verbs in [rule(one)] for name in names for verb in verbs}
    assert given <= set().union(*allowed)


def test_the_page_of_upgrades_knows_whether_a_field_is_deprecated() -> None:
    text = (ROOT / "docs" / "upgrade.md").read_text()
    deprecated = "Deprecated:" in str(crds())
    assert ("No field is deprecated now" in text) == (not deprecated)
    assert all(len(document["spec"]["versions"]) == 1 for document in crds().values()) == (
        "There is one version" in text
    )
