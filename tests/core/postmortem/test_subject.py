"""The subject of a postmortem: which changes render the document again, and which do not."""

from typing import Any

import pytest

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.records import Promotion
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.core.postmortem.subject import PostmortemSubject
from tests.builders.evalcases import T0, at, ticket
from tests.builders.postmortems import EPISODES, Episode, closed_loop, fix_open, still_open


def stored(episode: Episode) -> Episode:
    """As the API server gives the objects back after a restart."""
    incident, release, case = episode
    return Episode(
        Incident.model_validate(incident.model_dump(mode="json", by_alias=True)),
        Release.model_validate(release.model_dump(mode="json", by_alias=True)) if release else None,
        EvalCase.model_validate(case.model_dump(mode="json", by_alias=True)) if case else None,
    )


@pytest.mark.parametrize("name", EPISODES)
def test_the_digest_is_the_same_after_a_restart(name: str) -> None:
    assert stored(EPISODES[name]()).subject.digest == EPISODES[name]().subject.digest


@pytest.mark.parametrize("name", EPISODES)
def test_the_reduced_incident_gives_the_same_document(name: str) -> None:
    episode = EPISODES[name]()
    reduced = Episode(episode.subject.incident, episode.release, episode.case)
    told = {c.type: c for c in episode.incident.status.conditions}
    assert "RegressionCaptured" not in told or episode.case is not None
    assert reduced.markdown == episode.markdown


def test_no_two_episodes_have_the_same_digest() -> None:
    assert len({build().subject.digest for build in EPISODES.values()}) == len(EPISODES)


def with_status(episode: Episode, **changes: Any) -> Episode:
    status = episode.incident.status.model_copy(update=changes)
    return episode._replace(incident=episode.incident.model_copy(update={"status": status}))


def with_release(episode: Episode, **changes: Any) -> Episode:
    assert episode.release is not None
    status = episode.release.status.model_copy(update=changes)
    return episode._replace(release=episode.release.model_copy(update={"status": status}))


def alerts(firing: int, count: int = 38) -> Any:
    return closed_loop().incident.status.alerts.model_copy(update={"firing": firing, "count": count})


def another(digest: str, version: str) -> list[Revision]:
    episode = closed_loop()
    assert episode.release is not None
    new = Revision(digest=digest, number=9, version=version, reason="Canaried", first_seen=T0)
    return [*episode.release.status.revisions, new]


RENDERED_AGAIN = [
    pytest.param(closed_loop(), with_status(closed_loop(), resolved_at=at(80)), id="a time"),
    pytest.param(closed_loop(), with_status(closed_loop(), alerts=alerts(0, 39)), id="one more alert"),
    pytest.param(closed_loop(), with_status(closed_loop(), alerts=alerts(1)), id="an alert that still fires"),
    pytest.param(closed_loop(), with_status(closed_loop(), tickets=[ticket(), ticket(id="T-6")]), id="one more ticket"),
    pytest.param(closed_loop(), closed_loop()._replace(case=None), id="no case"),
    pytest.param(closed_loop(), closed_loop()._replace(case=fix_open().case), id="another proof"),
    pytest.param(closed_loop(), with_release(closed_loop(), revisions=another("a" * 16, "v2")), id="a second revision of the blamed version"),
    pytest.param(fix_open(), with_release(fix_open(), version="v5"), id="another live version while no fix is there"),
    pytest.param(still_open(), with_status(still_open(), folded=1), id="a folded entry"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), RENDERED_AGAIN)
def test_what_the_document_tells_changes_the_digest(before: Episode, after: Episode) -> None:
    assert before.markdown != after.markdown
    assert before.subject.digest != after.subject.digest


NOT_RENDERED_AGAIN = [
    pytest.param(with_status(closed_loop(), back_since=at(60)), id="the clock of the recovery"),
    pytest.param(with_status(closed_loop(), observed_generation=7, postmortem="x"), id="bookkeeping"),
    pytest.param(with_status(closed_loop(), tickets=[ticket(evidence=[{"name": "words", "value": "3"}])]), id="why a ticket was linked"),
    pytest.param(with_release(closed_loop(), revisions=another("b" * 16, "v9")), id="a revision that has nothing to do with it"),
    pytest.param(with_release(closed_loop(), version="v9", phase="Canary"), id="the next rollout"),
    pytest.param(with_release(closed_loop(), promotion=Promotion(digest="c" * 16, version="v9", at=at(900))), id="a later promotion"),
]  # fmt: skip


@pytest.mark.parametrize("after", NOT_RENDERED_AGAIN)
def test_what_the_document_does_not_tell_leaves_the_digest(after: Episode) -> None:
    assert after.markdown == closed_loop().markdown
    assert after.subject.digest == closed_loop().subject.digest


def test_how_many_alerts_still_fire_does_not_change_it() -> None:
    some, one = (with_status(closed_loop(), alerts=alerts(firing)) for firing in (20, 1))
    assert some.subject.digest == one.subject.digest


def test_a_subject_is_a_value() -> None:
    assert PostmortemSubject.of(*closed_loop()) == closed_loop().subject
