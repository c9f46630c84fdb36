"""Regression cases of the same fault.

Two Incidents that left the same question become one case that names both: each keeps its own proof, for it is another pair of
revisions; what is asked, and counted, is the oldest that is proven. Cases of one fault that ask different questions are linked and all
asked: each is evidence that the other is not, and to lose it is worse than to ask twice. That they are of one fault is known where
they are proven on the same bad revision, or where one failed on the other's bad revision while that was live.
"""

from collections.abc import Iterable, Mapping

from opsloop.api.evalcase import EvalCase

# Named reasons of the condition Merged
SAME_FAULT = "SameFault"  # an older proven case asks and expects the same: it is asked instead
LINKED = "Linked"  # an older proven case shows the same fault by another question: both are asked
ON_ITS_OWN = "OnItsOwn"  # that case is gone, or asks something else now


def keepers(cases: Iterable[EvalCase]) -> dict[str, str]:
    """Name of each proven regression case that another one stands for → name of that one."""
    first, merged = dict[str, EvalCase](), dict[str, str]()
    for case in sorted((c for c in cases if _is_proven(c)), key=_age):
        keeper = first.setdefault(_question(case), case)
        if keeper is not case:
            merged[case.metadata.name] = keeper.metadata.name
    return merged


def linked(cases: Iterable[EvalCase], merged: Mapping[str, str]) -> dict[str, str]:
    """Name of each proven regression case that shows the fault of an older one by another question → name of the oldest of that fault."""
    asked = sorted((c for c in cases if _is_proven(c) and c.metadata.name not in merged), key=_age)
    first = dict[str, str]()
    for number, case in enumerate(asked):
        earlier = next((one for one in asked[:number] if _of_one_fault(one, case)), None)
        if earlier is not None:
            first[case.metadata.name] = first.get(earlier.metadata.name, earlier.metadata.name)
    return first


def _of_one_fault(one: EvalCase, other: EvalCase) -> bool:
    if one.spec.proof is None or other.spec.proof is None:
        return False
    bad = one.spec.proof.bad, other.spec.proof.bad
    return bad[0] == bad[1] or _failed_on(one, bad[1]) or _failed_on(other, bad[0])


def _failed_on(case: EvalCase, digest: str) -> bool:
    """A flaky one may have failed by itself."""
    return not case.is_flaky and any(failed.digest == digest for failed in case.status.failed_on)


def incidents_of(name: str, cases: Iterable[EvalCase], merged: Mapping[str, str]) -> list[str]:
    """The Incidents that this case stands for, its own first; `merged`: other cases by the one that stands for them."""
    by_name = {c.metadata.name: c.spec.origin.incident for c in cases}
    own, others = (
        by_name.get(name, ""),
        sorted({by_name[m] for m, keeper in merged.items() if keeper == name} - {by_name.get(name)}),
    )
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
