"""Tickets about storms of other faults, with their answers.

Users of random applications complain in four languages about what a fault did to them: about one service, about two of different faults,
about everything, or about nothing that fails now. The answers are what the faults harmed, not what the alerts tell.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from opsloop.core.reported import Alert, Category, Ticket
from opsloop.core.topology import Graph
from tests.correlation.storms import WORLD, Storm, a_storm
from tests.correlation.voices import ALL, BOTH, CALM, DRY, ELSEWHERE, FAIL, GENERAL, LANGUAGES, SLOW, THINGS, WRAPS

VISIBLE = ("error", "slow", "dry")
FRONT = "web-portal"
TEMPLATES = {"error": FAIL, "slow": SLOW, "dry": DRY}


@dataclass(frozen=True, slots=True)
class Complaint:
    """A ticket with its answer. `about`: the Incidents of which each is a right answer, none = it belongs to nothing; `kind`: for the table."""

    ticket: Ticket
    about: frozenset[str]
    kind: str
    expected: Category | None = None  # category that a person would say of a complaint: outage or performance


@dataclass(slots=True)
class Case:
    """One storm whose services have names that users have words for."""

    storm: Storm
    known_as: Mapping[str, Sequence[str]]
    complaints: list[Complaint] = field(default_factory=list)


def a_case(seed: int, tickets: int = 12) -> Case:
    """Storm `seed` with so many tickets."""
    world, rng = random.Random(f"words of {seed // WORLD}"), random.Random(f"tickets of {seed}")
    storm = a_storm(seed)
    names, known_as = _names(storm, world)
    case = Case(renamed(storm, names), known_as)
    makers = [_one, _one, _one, _one, _one, _several, _everything, _calm, _unharmed, _unharmed, _untimely, _elsewhere]
    for number in range(40 * tickets):
        if len(case.complaints) == tickets:
            break
        maker = makers[(len(case.complaints) + number // 40) % len(makers)]
        made = maker(case, rng, f"T-{seed}-{len(case.complaints)}")
        if made is not None:
            case.complaints.append(made)
    return case


def _names(storm: Storm, world: random.Random) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Service → its new name, and what the house says its users call it: most of what no general word means."""
    graph = storm.graph
    services = sorted(n for n in graph.nodes if not n.endswith(("-db", "-mq")))
    front = max(services, key=lambda n: (len(graph.dependencies(n)), n))
    things = list(THINGS)
    world.shuffle(things)
    world.shuffle(services)
    names = {front: FRONT} | dict(zip([s for s in services if s != front], things, strict=False))
    known = {}
    for name in names.values():
        if name in THINGS and world.random() < (0.3 if name in GENERAL else 0.85):
            known[name] = [word for forms in THINGS[name] for word in forms.split("|")[0].split("/")]
    return names, known


def renamed(storm: Storm, names: Mapping[str, str]) -> Storm:
    """The same storm with other names of services, wherever its alerts have them."""

    def new(name: str) -> str:
        return names.get(name, name)

    def text(value: str) -> str:
        for old in sorted(names, key=len, reverse=True):
            value = value.replace(old, names[old])
        return value

    graph = storm.graph
    needs = {new(n): [new(c) for c in graph.callees(n)] for n in graph.nodes}
    homes = {new(n): graph.namespace(n) for n in graph.nodes}

    def alert(old: Alert) -> Alert:
        labels = {key: value if key == "namespace" else text(value) for key, value in old.labels.items()}
        return replace(old, labels=labels, annotations={key: text(value) for key, value in old.annotations.items()})

    return replace(
        storm,
        graph=Graph(needs, homes),
        alerts=[alert(a) for a in storm.alerts],
        accept={i: {new(n) for n in roots} for i, roots in storm.accept.items()},
        began={i: (new(root), at) for i, (root, at) in storm.began.items()},
        felt={i: {(kind, new(s)): at for (kind, s), at in felt.items()} for i, felt in storm.felt.items()},
        known=replace(storm.known, unready=frozenset(map(new, storm.known.unready)), changed=frozenset(map(new, storm.known.changed))),
    )  # fmt: skip


def _harm(case: Case) -> dict[tuple[str, str], dict[str, float]]:
    """(kind, thing) → Incident → since when: what users can feel and have a word for."""
    harm: dict[tuple[str, str], dict[str, float]] = {}
    for incident, felt in case.storm.felt.items():
        for (kind, service), at in felt.items():
            if kind in VISIBLE and service in THINGS:
                harm.setdefault((kind, service), {})[incident] = at
    return harm


def _one(case: Case, rng: random.Random, identity: str) -> Complaint | None:
    harm = _harm(case)
    if not harm:
        return None
    (kind, thing), since = rng.choice(sorted(harm.items()))
    incident = rng.choice(sorted(since))
    about = {i for (k, t), of in harm.items() if t == thing for i in of}
    return _written(
        rng, identity, _complains(case, rng, kind, thing), since[incident] + _later(rng), about, "one", kind
    )


def _several(case: Case, rng: random.Random, identity: str) -> Complaint | None:
    harm = sorted(_harm(case).items())
    pairs = [(a, b) for a in harm for b in harm if a[0][1] < b[0][1] and not set(a[1]) & set(b[1])]
    if not pairs:
        return None
    first, second = rng.choice(pairs)
    language = rng.choice(LANGUAGES)
    texts = [_complains(case, rng, *harmed[0], language)[1] for harmed in (first, second)]
    about = {*first[1], *second[1]}
    at = max(*first[1].values(), *second[1].values()) + _later(rng)
    return _written(rng, identity, (language, BOTH[language].format(*texts)), at, about, "two things", first[0][0])


def _everything(case: Case, rng: random.Random, identity: str) -> Complaint | None:
    about = {i: f["error", FRONT] for i, f in case.storm.felt.items() if ("error", FRONT) in f}
    if not about:
        return None
    language = rng.choice(LANGUAGES)
    at = min(about.values()) + _later(rng)
    return _written(rng, identity, (language, rng.choice(ALL[language])), at, set(about), "everything", "error")


def _calm(case: Case, rng: random.Random, identity: str) -> Complaint | None:
    harm = _harm(case)
    if not harm:
        return None
    (_, thing), since = rng.choice(sorted(harm.items()))
    language = rng.choice(LANGUAGES)
    text = rng.choice(CALM[language]).format(_called(case, rng, thing, language))
    return _written(rng, identity, (language, text), max(since.values()) + _later(rng), set(), "calm")


def _unharmed(case: Case, rng: random.Random, identity: str) -> Complaint | None:
    """Something fails that none of the faults can have harmed, and of which nothing is known."""
    graph, felt = case.storm.graph, {s for of in case.storm.felt.values() for _, s in of}
    reach = {n for root, _ in case.storm.began.values() for n in (root, *graph.dependents(root))}
    told = {value for a in case.storm.alerts for value in a.labels.values()}
    free = sorted(n for n in graph.nodes if n in THINGS and n not in felt | reach | told)
    if not free:
        return None
    at = rng.choice(sorted(at for _, at in case.storm.began.values())) + _later(rng)
    return _written(
        rng, identity, _complains(case, rng, rng.choice(["error", "slow"]), rng.choice(free)), at, set(), "unharmed"
    )


def _untimely(case: Case, rng: random.Random, identity: str) -> Complaint | None:
    harm = _harm(case)
    if not harm:
        return None
    (kind, thing), _ = rng.choice(sorted(harm.items()))
    starts = [at for _, at in case.storm.began.values()]
    at = min(starts) - rng.uniform(1200, 9000) if rng.random() < 0.5 else max(starts) + 4.5 * 3600
    return _written(rng, identity, _complains(case, rng, kind, thing), at, set(), "untimely")


def _elsewhere(case: Case, rng: random.Random, identity: str) -> Complaint | None:
    language = rng.choice(LANGUAGES)
    at = rng.choice(sorted(at for _, at in case.storm.began.values())) + _later(rng)
    return _written(rng, identity, (language, rng.choice(ELSEWHERE[language])), at, set(), "elsewhere")


def _called(case: Case, rng: random.Random, thing: str, language: str) -> str:
    """What a user says for it. Of what neither a general word nor the house tells, only its own name can be understood."""
    if thing not in GENERAL and thing not in case.known_as:
        return thing
    return rng.choice(re.split("[/|]", THINGS[thing][LANGUAGES.index(language)]))


def _complains(case: Case, rng: random.Random, kind: str, thing: str, language: str = "") -> tuple[str, str]:
    language = language or rng.choice(LANGUAGES)
    text = rng.choice(TEMPLATES[kind][language]).format(_called(case, rng, thing, language))
    return language, text


def _later(rng: random.Random) -> float:
    """Seconds after the harm began: most write soon, few before anybody noticed."""
    return min(rng.expovariate(1 / 1500) - 30, 9000.0)


def _written(
    rng: random.Random, identity: str, said: tuple[str, str], at: float, about: set[str], kind: str, mood: str = ""
) -> Complaint:
    _, text = said
    subject = rng.choice(["", "", "Problem", text.split(",")[0][:60]]) if kind != "elsewhere" else ""
    moment = datetime.fromtimestamp(at, UTC)
    ticket = Ticket(identity, subject, rng.choice(WRAPS).format(text), "email", "", moment, moment)
    expected: Category | None = None
    if about:
        expected = "performance" if mood == "slow" else "outage"
    return Complaint(ticket, frozenset(about), kind, expected)


def cases(seed: int, storms: int) -> Iterator[Case]:
    """So many storms, in worlds that other seeds do not have."""
    first = (seed * 400 + 100) * WORLD
    return (a_case(number) for number in range(first, first + storms * 10, 10))
