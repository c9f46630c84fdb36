"""Secrets do not come back, however a service spells them."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.evalcase.hidden import hide, unfit
from opsloop.core.facts import ProbeReply

SECRETS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=40)


@given(SECRETS, st.binary(max_size=4), st.binary(max_size=4))
def test_no_spelling_of_a_secret_comes_back(secret: str, before: bytes, after: bytes) -> None:
    for told in (secret, json.dumps({"you sent": secret}), quote(secret, safe=""), quote_plus(secret)):
        hidden = hide(ProbeReply(200, f"<{told}>", f"<{told}>", headers=(("X-Echo", told),)), [secret])
        for text in (hidden.body, hidden.error, hidden.headers[0][1]):
            assert secret not in text.replace("[redacted]", "")
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert hide(ProbeReply(200, encoded), [secret]).body != encoded


def test_a_reply_without_secrets_is_as_it_was() -> None:
    reply = ProbeReply(200, "all of it", headers=(("A", "b"),))
    assert hide(reply, []) is reply
    assert hide(reply, ["swordfish"]) == reply


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("short", "shorter than 8", id="a value that replies may hold by chance"),
        pytest.param("two\nlines of it", "line break", id="a value that would begin another header"),
        pytest.param("señor-gonzález", "no header may have", id="letters that no header may have"),
        pytest.param("s3cr3t-t0k3n", "", id="a token"),
    ],
)
def test_a_value_that_cannot_be_sent(value: str, told: str) -> None:
    assert told in unfit(value) and bool(told) == bool(unfit(value))
