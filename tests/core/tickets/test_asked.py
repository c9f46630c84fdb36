"""A correction as anybody may write it: read, or refused by its field; never anything else."""

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.reported import Asked
from opsloop.core.text import line
from opsloop.core.tickets.asked import FIELDS, MAX_WHO, asked_by, of_config_map
from opsloop.errors import Invalid
from tests.builders.correlation import NOW

VALUES = st.text(max_size=300) | st.sampled_from(["HD-1", "cart-1", "true", "sev1", "bug", "a b"])
NAMES = st.sampled_from([*FIELDS, "by", "catgory"]) | st.text(max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def is_bounded(asked: Asked) -> bool:
    texts = (asked.by, asked.ticket, asked.link, asked.route, asked.category, asked.severity, asked.forget, asked.wrong)
    written = (t for t in texts if t is not asked.ticket)  # an id is what its desk sends; whoever prints it cleans it
    return all(len(t) <= 500 for t in texts) and all(t == line(t) for t in written) and len(asked.by) <= MAX_WHO


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_whatever_a_config_map_holds_is_a_correction_or_says_what_is_wrong(data: dict[str, str]) -> None:
    asked = of_config_map(data, "uid", NOW)
    assert asked.by and is_bounded(asked)
    assert asked.wrong or asked.forget or asked.ticket


@given(JSON)
def test_whatever_a_body_holds_is_a_correction_or_refused(body: Any) -> None:
    with contextlib.suppress(Invalid):
        assert is_bounded(asked_by(body, "id", NOW, "alice"))
