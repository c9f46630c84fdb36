"""Mistakes at admission: each is refused with the field and with what would be right.

The table (`admission/mistakes.py`) is asked of the API server's own packages, where Go is, and of a real API server,
where OPSLOOP_CONTRACT_KUBECONFIG names one.
"""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from opsloop.api.meta import API_VERSION
from opsloop.api.release import Release
from opsloop.core.slo.promql import problem
from tests.builders import yamls
from tests.contract.admission import validator
from tests.contract.admission.mistakes import MISTAKES, Grade
from tests.contract.admission.objects import GOOD, Object, at
from tests.contract.admission.server import KUBECONFIG, Api, create, own_namespace

ROOT = Path(__file__).resolve().parents[2]
ASKED = [*(row.body for row in MISTAKES), *(at(kind) for kind in GOOD)]
Said = list[list[str]]


@lru_cache(maxsize=1)
def packages() -> Said:
    """By the API server's packages."""
    try:
        return validator.ask(ASKED).objects
    except validator.NotHere as reason:
        pytest.skip(str(reason))


@lru_cache(maxsize=1)
def server() -> Said:
    """By a real API server."""
    if not KUBECONFIG:
        pytest.skip("OPSLOOP_CONTRACT_KUBECONFIG names no cluster")
    api = Api()
    with own_namespace(api) as namespace:
        answers = [create(api, namespace, body) for body in ASKED]
    return [[] if status == 201 else [answer["message"]] for status, answer in answers]


both = pytest.mark.parametrize("judge", [packages, server], ids=["its packages", "a real API server"])


@both
@pytest.mark.parametrize("number", [pytest.param(n, id=row.sentence) for n, row in enumerate(MISTAKES)])
def test_a_mistake_is_refused_with_the_field_and_what_would_be_right(judge: Callable[[], Said], number: int) -> None:
    row, said = MISTAKES[number], judge()[number]
    assert said, "it is taken without a word"
    assert row.graded(said) is row.grade, said


@both
def test_the_same_objects_without_the_mistake_are_taken(judge: Callable[[], Said]) -> None:
    assert judge()[len(MISTAKES) :] == [[] for _ in GOOD]


@both
def test_most_mistakes_are_answered_well_and_none_passes(judge: Callable[[], Said]) -> None:
    grades = Counter(row.graded(said) for row, said in zip(MISTAKES, judge(), strict=False))
    assert grades[Grade.SILENT] == 0
    assert grades[Grade.GOOD] >= 0.9 * len(MISTAKES), grades


def test_every_mistake_has_a_sentence_of_its_own() -> None:
    assert len({row.sentence for row in MISTAKES}) == len(MISTAKES) >= 57


def test_the_crds_themselves_are_taken_with_the_cost_of_their_rules() -> None:
    try:
        said = validator.ask([]).crds
    except validator.NotHere as reason:
        pytest.skip(str(reason))
    assert said == {f"{name}.opsloop.dev": [] for name in KINDS}


def test_what_the_project_itself_applies_is_taken() -> None:
    """The drill, the demo, the example of podinfo and those of the docs."""
    found = {
        f"{path.relative_to(ROOT)}: {document['kind']} {document['metadata']['name']}": document
        for folder in ("docs/examples", "e2e/demo/opsloop", "e2e/podinfo/opsloop")
        for path in sorted((ROOT / folder).glob("*.yaml"))
        for document in yamls.load_all(path.read_text())
        if document["apiVersion"] == API_VERSION
    }
    said = dict(zip(found, asked_of_packages([*found.values()]), strict=True))
    assert len(found) > 10
    assert {name: words for name, words in said.items() if words} == {}


def asked_of_packages(objects: list[Object]) -> Said:
    try:
        return validator.ask(objects).objects
    except validator.NotHere as reason:
        pytest.skip(str(reason))


KINDS = ("evalcases", "incidents", "releases", "runbooks", "stops")
W = "[{{window}}]"
QUERIES = [
    pytest.param(f"sum(increase(a{W}))", id="a count"),
    pytest.param(f"sum(rate(a{W})) * 300", id="a rate that may be scaled to the window"),
    pytest.param(f"sum(increase(a{W})) / 2", id="half of a count"),
    pytest.param(f"sum(increase(a{W})) / scalar(count(up))", id="one of several replicas of a Prometheus"),
    pytest.param(f'sum(increase(a{{p="rate(x)"}}{W}))', id="a function's name in a label"),
    pytest.param(f'sum(increase(a{{p=~"/.*/b"}}{W})) - sum(increase(a{{p="/c"}}{W}))', id="slashes in labels"),
    pytest.param(f"sum_over_time(my_rate{W})", id="a metric whose name ends like a function"),
    pytest.param(f"sum(increase(a{W})) / sum(increase(b{W})) * sum(increase(c{W}))", id="a share of another count"),
    pytest.param(f"# rate(a) / rate(b)\nsum(increase(a{W}))", id="a comment"),
    pytest.param(f"sum(increase(a{W}) or increase(b{W}))", id="one counter or another"),
    pytest.param(f"sum(rate(a{W}))", id="a rate"),
    pytest.param(f"max(sum by (x) (irate(a{W})))", id="a rate in two aggregates"),
    pytest.param(f"sum(rate(a{W})) / sum(rate(b{W}))", id="a ratio"),
    pytest.param(f"sum by (job) (increase(a{W})) / on (job) sum by (job) (increase(b{W}))", id="a ratio by job"),
    pytest.param("slo:rate{{window}}", id="a window in a name"),
]


def of(query: str) -> Object:
    return at("Release", slo__sli={"bad": query, "total": "sum(increase(a[{{window}}]))"})


@lru_cache(maxsize=1)
def said_of_queries() -> Said:
    return asked_of_packages([of(str(row.values[0])) for row in QUERIES])


@pytest.mark.parametrize("number", [pytest.param(n, id=row.id) for n, row in enumerate(QUERIES)])
def test_admission_refuses_no_query_that_the_reading_takes(number: int) -> None:
    """It may let pass what the reading refuses with a condition: it sees a text, not an expression."""
    slo = Release.model_validate(of(str(QUERIES[number].values[0]))).spec.slo
    assert slo is not None
    if problem(slo.sli) is None:
        assert not said_of_queries()[number]
