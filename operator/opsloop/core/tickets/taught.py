"""What people's corrections teach: words for services, and which category is meant where the model doubts.

A word is learnt for a service once people linked two tickets with it to Incidents of that service, and unlinks unlearn it. It is
a word for a thing: one that general language does not have, or one of the general names of services. Everything that is learnt
is a count of corrections that can be shown, and taken back.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from opsloop.api.meta import format_time, parse_time
from opsloop.core.reported import Answer, Category, Lesson, Taught, Ticket
from opsloop.core.tickets.features import cues_of_word, tokens_of, words_in
from opsloop.core.tickets.model import CATEGORIES, Pulls, weights
from opsloop.core.tickets.triage import text_of
from opsloop.core.tickets.words import names_a_kind
from opsloop.errors import Invalid

KEY = "taught.json"  # of the ConfigMap's data
ENOUGH = 2  # tickets: one may be anything
MOST_LESSONS = 500  # the latest ones
MOST_WORDS = 30  # of one ticket
MOST_ANSWERS = 50
SHORTEST = 3  # letters
STEP, MOST_PULL = 0.05, 0.2
"""Score that a category gains for each further correction, and at most: less than what one clear word of the model is worth."""


def words_to_learn(ticket: Ticket) -> tuple[str, ...]:
    """Words of a ticket that may be names of things in this house."""
    words = dict.fromkeys(words_in(tokens_of(text_of(ticket))))
    return tuple(word for word in words if is_a_name(word))[:MOST_WORDS]


def is_a_name(word: str) -> bool:
    """True of a word that general language does not have, and of the general names of services; never of "site" or "page"."""
    if len(word) < SHORTEST or "site" in cues_of_word(word):
        return False
    return names_a_kind(word) or not (f"w:{word}" in weights().rows or cues_of_word(word))


def with_lessons(taught: Taught, lessons: Iterable[Lesson]) -> Taught:
    """What was taught, with these; one on the same matter of the same ticket comes in place of the earlier one."""
    kept = {_matter(lesson): lesson for lesson in taught.lessons}
    for lesson in lessons:
        kept.pop(_matter(lesson), None)
        kept[_matter(lesson)] = lesson
    return Taught(tuple(list(kept.values())[-MOST_LESSONS:]), taught.answers)


def with_answers(taught: Taught, answers: Iterable[Answer]) -> Taught:
    """What was taught, with these answers; one to the same question comes once."""
    found = {answer.id: answer for answer in (*taught.answers, *answers)}
    return Taught(taught.lessons, tuple(list(found.values())[-MOST_ANSWERS:]))


def learnt_words(taught: Taught) -> dict[str, dict[str, int]]:
    """Service → word → number of tickets that taught it: ENOUGH, and more than twice as many as speak against it."""
    by_word: dict[str, Counter[str]] = {}
    against: dict[str, Counter[str]] = {}
    for lesson in taught.lessons:
        if lesson.service:
            for word in lesson.words:
                (by_word if lesson.means else against).setdefault(word, Counter())[lesson.service] += 1
    found: dict[str, dict[str, int]] = {}
    for word, services in by_word.items():
        for service, number in services.items():
            others = sum(services.values()) - number
            if number >= ENOUGH and number > 2 * (others + against.get(word, Counter())[service]):
                found.setdefault(service, {})[word] = number
    return {service: dict(sorted(words.items())) for service, words in sorted(found.items())}


def pulls(taught: Taught) -> Pulls:
    """What corrections of categories add to the model's scores, capped: from the second one on, less those the other way."""
    counted = Counter((lesson.before, lesson.after) for lesson in taught.lessons if lesson.before)
    found: dict[tuple[Category, Category], float] = {}
    for before in CATEGORIES:
        for after in CATEGORIES:
            number = counted[before, after] - counted[after, before]
            if number >= ENOUGH:
                found[before, after] = min(MOST_PULL, STEP * (number - 1))
    return found


def forget(taught: Taught, text: str) -> tuple[Taught, str]:
    """(what is left, what was forgotten): `SERVICE WORD`, or `CATEGORY CATEGORY`. Raises Invalid that says what there is."""
    first, _, second = text.partition(" ")
    second = second.strip().lower()
    if second in learnt_words(taught).get(first, {}):
        lessons = (_without(lesson, first, second) for lesson in taught.lessons)
        return Taught(tuple(lessons), taught.answers), f"“{second}” is no word for {first} any more"
    if (first, second) in pulls(taught):
        kept = tuple(lesson for lesson in taught.lessons if (lesson.before, lesson.after) != (first, second))
        return Taught(kept, taught.answers), f"what was corrected from {first} to {second} teaches nothing any more"
    there = [f"{service} {word}" for service, words in learnt_words(taught).items() for word in words]
    there += [f"{before} {after}" for before, after in pulls(taught)]
    raise Invalid(
        f"forget: {text!r} was not learnt; " + (f"learnt is {', '.join(there[:20])}" if there else "nothing is")
    )


def _without(lesson: Lesson, service: str, word: str) -> Lesson:
    if lesson.service != service or word not in lesson.words:
        return lesson
    words = tuple(other for other in lesson.words if other != word)
    return Lesson(lesson.id, lesson.ticket, lesson.service, lesson.means, lesson.before, lesson.after, words)


def _matter(lesson: Lesson) -> tuple[str, str]:
    return lesson.ticket, lesson.service


def dump(taught: Taught) -> dict[str, str]:
    """`data` of the ConfigMap; its size is bounded by the numbers above."""
    lessons = [[x.id, x.ticket, x.service, x.means, x.before, x.after, list(x.words)] for x in taught.lessons]
    answers = [[a.id, format_time(a.at), a.by, a.ticket, a.done, a.text] for a in taught.answers]
    return {KEY: json.dumps({"lessons": lessons, "answers": answers}, ensure_ascii=False)}


def load(data: Mapping[str, str]) -> Taught:
    """The inverse of `dump`. Raises Invalid for what opsloop did not write."""
    try:
        content = json.loads(data[KEY])
        lessons = tuple(_lesson(*item) for item in content["lessons"][-MOST_LESSONS:])
        answers = tuple(_answer(*item) for item in content["answers"][-MOST_ANSWERS:])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"data.{KEY}: not what opsloop was taught ({error!r:.200})") from error
    return Taught(lessons, answers)


def _lesson(identity: Any, ticket: Any, service: Any, means: Any, before: Any, after: Any, words: Any) -> Lesson:
    texts = (identity, ticket, service, before, after, *words)
    if type(means) is not bool or not all(isinstance(text, str) for text in texts):
        raise TypeError("a lesson is [id, ticket, service, means, before, after, words]")
    return Lesson(identity, ticket, service, means, before, after, tuple(words[:MOST_WORDS]))


def _answer(identity: Any, at: Any, by: Any, ticket: Any, done: Any, text: Any) -> Answer:
    if type(done) is not bool or not all(isinstance(part, str) for part in (identity, at, by, ticket, text)):
        raise TypeError("an answer is [id, at, by, ticket, done, text]")
    return Answer(identity, parse_time(at), by, ticket, done, text)
