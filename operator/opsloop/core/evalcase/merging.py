"""Regression cases of the same fault: two Incidents that left the same question become one case that names both.

Each keeps its own proof, for it is another pair of revisions. What is asked, and counted, is the oldest that is proven.
"""

from collections.abc import Iterable, Mapping

from opsloop.api.evalcase import EvalCase

# Named reasons of the condition Merged
SAME_FAULT = "SameFault"  # an older proven case asks and expects the same: it is asked instead
ON_ITS_OWN = "OnItsOwn"  # that case is gone, or asks something else now


def keepers(cases: Iterable[EvalCase]) -> dict[str, str]:
    """Name of each proven regression case that another one stands for → name of that one."""
    first, merged = dict[str, EvalCase](), dict[str, str]()
    for case in sorted((c for c in cases if _is_proven(c)), key=_age):
        keeper = first.setdefault(_question(case), case)
        if keeper is not case:
            merged[case.metadata.name] = keeper.metadata.name
    return merged


def incidents_of(name: str, cases: Iterable[EvalCase], merged: Mapping[str, str]) -> list[str]:
    """The Incidents that this case stands for, its own first."""
    by_name = {c.metadata.name: c.spec.origin.incident for c in cases}
    own, others = by_name.get(name, ""), sorted(by_name[m] for m, keeper in merged.items() if keeper == name)
    return list(dict.fromkeys([own, *others])) if own and others else []


def with_merged(passed: Iterable[str], merged: Mapping[str, str]) -> list[str]:
    """The cases that passed, and those that one of them stands for."""
    names = list(passed)
    return [*names, *sorted(name for name, keeper in merged.items() if keeper in names)]


def _is_proven(case: EvalCase) -> bool:
    current = case.status.observed_generation == case.metadata.generation
    alive = case.metadata.deletion_timestamp is None
    return alive and current and case.spec.origin.kind == "regression" and case.status.proven == "True"


def _age(case: EvalCase) -> tuple[str, str]:
    created = case.metadata.creation_timestamp
    return created.isoformat() if created else "", case.metadata.name


def _question(case: EvalCase) -> str:
    """All of the spec that decides what is asked and what is right."""
    spec = case.spec.model_copy(update={"origin": type(case.spec.origin)(), "proof": None})
    return spec.model_dump_json()
