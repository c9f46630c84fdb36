"""The model of Prometheus against a real one, on the same samples and the same questions.

The real one is a binary on this machine (`tests/contract/model/real.py` says where it is looked for); without one only
recorded answers are compared, of 2.53 and of 3. With OPSLOOP_RECORD=1 a live run replaces those of its version: do that
with both when the generator of series sets, a question, or `core.slo.promql` changed.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any

import pytest

from opsloop.adapters.prometheus import Prometheus
from opsloop.errors import Invalid
from opsloop.shell.ports import Telemetry
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.prometheus.engine import Engine
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.syntax import Dialect, QueryError
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.contract.model import real
from tests.contract.model.questions import Question, questions
from tests.contract.model.world import World, world

SETS = 200
PER_TEST = 20
TOLERANCE = 1e-9  # of a number's size; differences come from the order in which sums are taken
FOLDER = Path(__file__).parent / "recorded"
RECORDED = {Dialect.V2_53: FOLDER / "prometheus_model_2.json", Dialect.V3: FOLDER / "prometheus_model_3.json"}
TAPE = FOLDER / "prometheus.json"  # of test_telemetry.py
TIMES = ("time", "start", "end")
RECORD = "OPSLOOP_RECORD"
EVERYTHING = bool(os.environ.get(RECORD) or os.environ.get("OPSLOOP_ALL_QUESTIONS"))

Answer = dict[str, dict[int, float]] | None
"""Labels as JSON → milliseconds → value; None where the query is refused."""


@lru_cache(maxsize=SETS)
def asked(number: int) -> tuple[World, list[Question]]:
    made = world(number)
    return made, questions(made)


# the model


def modelled(number: int, dialect: Dialect, places: Sequence[int]) -> list[Answer]:
    made, wanted = asked(number)
    store = Store()
    engine = Engine(store, dialect)
    for labels, arrivals in made.series.items():
        series = store.series(dict(labels))
        for arrival in arrivals:
            store.add(series, arrival.at, arrival.value, arrival.visible)
    answers = list[Answer]()
    for place in places:  # in the order of their checkpoints
        question = wanted[place]
        store.advance(made.checkpoints[question.checkpoint])
        answers.append(_of_model(engine, question))
    return answers


def _of_model(engine: Engine, question: Question) -> Answer:
    try:
        if question.step:
            matrix = engine.range(question.query, question.start, question.end, question.step)
            return {_key(labels.values): dict(points) for labels, points in matrix.items()}
        _, vector = engine.instant(question.query, question.end)
        return {_key(labels.values): {question.end: value} for labels, value in vector}
    except QueryError:
        return None


def _key(labels: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(labels.items())))


# the real one


def real_answers(server: real.Server) -> dict[int, list[Answer]]:
    """Of all sets: what has arrived until a checkpoint is written, then its questions are asked.

    All questions when they are recorded, or with OPSLOOP_ALL_QUESTIONS=1 (a minute); else those that are kept.
    """
    answers: dict[int, list[Answer]] = {number: [] for number in range(SETS)}
    for checkpoint in range(3):
        server.write(chain.from_iterable(_arrived(world_, checkpoint) for world_, _ in map(asked, range(SETS))))
        for number, found in answers.items():
            wanted = [asked(number)[1][place] for place in places_of(number, EVERYTHING)]
            found += [_of_server(server, question) for question in wanted if question.checkpoint == checkpoint]
    return answers


def _arrived(made: World, checkpoint: int) -> Iterator[real.Written]:
    since = made.checkpoints[checkpoint - 1] if checkpoint else -1
    until = made.checkpoints[checkpoint]
    for labels, arrivals in made.series.items():
        samples = [(one.at, one.value) for one in arrivals if since < one.visible <= until]
        if samples:
            yield dict(labels), samples


def _of_server(server: real.Server, question: Question) -> Answer:
    if question.step:
        times = {"start": _seconds(question.start), "end": _seconds(question.end), "step": _seconds(question.step)}
        data = server.ask("/api/v1/query_range", {"query": question.query, **times})
    else:
        data = server.ask("/api/v1/query", {"query": question.query, "time": _seconds(question.end)})
    if data is None:
        return None
    if data["resultType"] == "scalar":
        return {"{}": {question.end: float(data["result"][1])}}
    return {_key(one["metric"]): _points(one) for one in data["result"]}


def _points(one: Mapping[str, Any]) -> dict[int, float]:
    return {round(at * 1000): float(value) for at, value in one.get("values", [one.get("value")])}


def _seconds(at: int) -> str:
    return f"{at / 1000:.3f}"


# the recorded one: labels by their place in a table, numbers by their place in the answer


def sample_hash() -> str:
    """Of all samples and questions: a record of others says nothing."""
    text = json.dumps([(sorted((str(k), [(a.at, repr(a.value), a.visible) for a in v]) for k, v in w.series.items()),
                        [(q.query, q.start, q.end, q.step) for q in wanted]) for w, wanted in map(asked, range(SETS))])  # fmt: skip
    return sha256(text.encode()).hexdigest()


def kept(place: int, number: int) -> bool:
    """Of each set those that come again and one of eight others: all would be too much for the repository."""
    return asked(number)[1][place].steady or place % 8 == number % 8


def places_of(number: int, whole: bool) -> list[int]:
    """The questions of a set that are asked."""
    return [place for place in range(len(asked(number)[1])) if whole or kept(place, number)]


def recorded_form(answers: Mapping[int, list[Answer]], version: str) -> dict[str, Any]:
    table = dict[str, int]()

    def pack(number: int, place: int, answer: Answer) -> Any:
        if answer is None:
            return None
        wanted = asked(number)[1][place]
        steps = range(wanted.start, wanted.end + 1, wanted.step or 1)
        return {
            table.setdefault(key, len(table)): [_packed(points.get(at, "")) for at in steps]
            for key, points in answer.items()
        }

    packed = [
        [pack(number, place, answers[number][place]) for place in places_of(number, whole=False)]
        for number in range(SETS)
    ]
    return {"version": version, "samples": sample_hash(), "labels": list(table), "answers": packed}


def _packed(value: float | str) -> float | str | int:
    if isinstance(value, str) or not isfinite(value):
        return str(value)
    short = float(f"{value:.12g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def recorded_answers(record: Mapping[str, Any]) -> dict[int, list[Answer]]:
    """As from the server, but for those that were not kept: these are left out by `compared`."""
    labels = record["labels"]

    def unpack(question: Question, packed: Mapping[str, list[float | str]] | None) -> Answer:
        if packed is None:
            return None
        steps = range(question.start, question.end + 1, question.step or 1)
        return {
            labels[int(key)]: {at: float(value) for at, value in zip(steps, column, strict=True) if value != ""}
            for key, column in packed.items()
        }

    answers = dict[int, list[Answer]]()
    for number, packed in enumerate(record["answers"]):
        wanted = [asked(number)[1][place] for place in places_of(number, whole=False)]
        answers[number] = [unpack(question, one) for question, one in zip(wanted, packed, strict=True)]
    return answers


# the comparison


def deviation(model: float, truth: float) -> float:
    """Relative to the number's size, absolute below 1; NaN where they are of another kind."""
    if isnan(model) or isnan(truth):
        return 0.0 if isnan(model) and isnan(truth) else nan
    if not isfinite(model) or not isfinite(truth):
        return 0.0 if model == truth else nan
    return abs(model - truth) / max(1.0, abs(truth))


def difference(model: Answer, truth: Answer) -> tuple[float, str]:
    """(the largest deviation, what is wrong)"""
    if model is None or truth is None:
        return 0.0, "" if model is truth else f"refused by {'the model' if model is None else 'Prometheus'} alone"
    if {key: set(points) for key, points in model.items()} != {key: set(points) for key, points in truth.items()}:
        return 0.0, f"other series or steps: {model} against {truth}"
    worst = 0.0
    for key, points in truth.items():
        for at, value in points.items():
            apart = deviation(model[key][at], value)
            if not apart <= TOLERANCE:
                return apart, f"{key} at {at}: {model[key][at]!r} against {value!r}"
            worst = max(worst, apart)
    return worst, ""


def complaints(numbers: range, answers: Mapping[int, list[Answer]], dialect: Dialect, whole: bool) -> list[str]:
    """Every question whose answers differ, with what is needed to ask it again."""
    found, worst = list[str](), 0.0
    for number in numbers:
        wanted = asked(number)[1]
        places = places_of(number, whole)
        models = modelled(number, dialect, places)
        for place, model, truth in zip(places, models, answers[number], strict=True):
            apart, wrong = difference(model, truth)
            worst = max(worst, apart)
            if wrong:
                found.append(f"set {number}, question {place}: {wrong}\n    {wanted[place]}")
    print(f"sets {numbers.start} to {numbers.stop - 1}: largest deviation {worst:.1e}")
    return found


@pytest.fixture(scope="module")
def live() -> tuple[Dialect, dict[int, list[Answer]]]:
    binary = real.binary()
    if binary is None:
        pytest.skip(f"no Prometheus here: python -m tests.contract.model.real, or name one in {real.BINARY_VARIABLE}")
    version = real.version(binary)
    with real.running(binary) as server:
        answers = real_answers(server)
    if os.environ.get(RECORD):
        packed = json.dumps(recorded_form(answers, version), separators=(",", ":"))
        RECORDED[real.dialect(version)].write_text(packed + "\n")
    return real.dialect(version), answers


@pytest.fixture(scope="module", params=list(Dialect), ids=lambda dialect: f"Prometheus {dialect.value}")
def recorded(request: pytest.FixtureRequest) -> tuple[Dialect, dict[int, list[Answer]]]:
    record = json.loads(RECORDED[request.param].read_text())
    assert real.dialect(record["version"]) is request.param
    assert record["samples"] == sample_hash(), f"the samples or questions changed: record again ({RECORD}=1)"
    return request.param, recorded_answers(record)


@pytest.mark.simulation
@pytest.mark.parametrize("first", range(0, SETS, PER_TEST))
def test_a_real_prometheus_gives_the_same_answers(live: tuple[Dialect, dict[int, list[Answer]]], first: int) -> None:
    dialect, answers = live
    assert complaints(range(first, first + PER_TEST), answers, dialect, whole=EVERYTHING) == []


@pytest.mark.parametrize("first", range(0, SETS, PER_TEST))
def test_a_recorded_prometheus_gave_the_same_answers(
    recorded: tuple[Dialect, dict[int, list[Answer]]], first: int
) -> None:
    dialect, answers = recorded
    assert complaints(range(first, first + PER_TEST), answers, dialect, whole=False) == []


@pytest.mark.parametrize("key", sorted(json.loads(TAPE.read_text())))
async def test_the_telemetry_port_answers_as_the_recorded_prometheus(key: str) -> None:
    """The replies with which the contract of `Telemetry` is tested, by the model: an empty Prometheus."""
    path, parameters = json.loads(key)
    recorded = json.loads(TAPE.read_text())[key]
    clock = FakeClock()
    model = ModelTelemetry(Store(), clock)
    real_one = Prometheus(lambda _path, _parameters: _reply(recorded))

    async def ask(telemetry: Telemetry) -> object:
        moments = {name: datetime.fromtimestamp(float(parameters[name]), UTC) for name in TIMES if name in parameters}
        if path.endswith("range"):
            return await telemetry.range(
                parameters["query"], moments["start"], moments["end"], float(parameters["step"])
            )
        return await telemetry.instant(parameters["query"], moments.get("time"))

    try:
        truth = await ask(real_one)
    except Invalid as refusal:
        with pytest.raises(Invalid, match=re.escape(str(refusal).split(":")[0])):
            await ask(model)
        return
    assert repr(await ask(model)) == repr(truth)


async def _reply(recorded: Mapping[str, Any]) -> tuple[int, bytes]:
    return recorded["status"], json.dumps(recorded["body"]).encode()
