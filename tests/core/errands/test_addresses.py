"""Addresses that Runbooks may call: by scheme, host, port and whole segments of the path, as they are read and not as they are spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.errands.addresses import allowed, problem, shown
from opsloop.core.facts import Address

HOOKS = Address("https://hooks.example.com/opsloop/", ("shop",))
ANY = Address("https://any.example.com")


@pytest.mark.parametrize(
    ("url", "namespace", "yes"),
    [
        pytest.param("https://hooks.example.com/opsloop/restart", "shop", True, id="below the path"),
        pytest.param("https://hooks.example.com/opsloop", "shop", True, id="the path itself"),
        pytest.param("https://hooks.example.com/opsloop/?now=1", "shop", True, id="with a query"),
        pytest.param("https://HOOKS.example.com.:443/opsloop/x", "shop", True, id="the host in capitals, with its dot and its port"),
        pytest.param("https://any.example.com/whatever", "other", True, id="a host alone: every path, every namespace"),
        pytest.param("https://hooks.example.com/opsloop/restart", "other", False, id="another namespace"),
        pytest.param("http://hooks.example.com/opsloop/x", "shop", False, id="in the clear"),
        pytest.param("https://hooks.example.com:8443/opsloop/x", "shop", False, id="another port"),
        pytest.param("https://hooks.example.com/opsloop-evil", "shop", False, id="half a segment"),
        pytest.param("https://hooks.example.com/", "shop", False, id="above the path"),
        pytest.param("https://hooks.example.com/opsloop/../admin", "shop", False, id="up and out"),
        pytest.param("https://hooks.example.com/opsloop/%2e%2e/admin", "shop", False, id="up and out, escaped"),
        pytest.param("https://hooks.example.com/opsloop/%252e%252e/admin", "shop", False, id="escaped twice"),
        pytest.param("https://hooks.example.com/opsloop/%25252e%25252e/admin", "shop", False, id="escaped three times"),
        pytest.param("https://hooks.example.com/opsloop/..;/admin", "shop", False, id="up and out behind a parameter"),
        pytest.param("https://hooks.example.com/opsloop/%2e%2e%3b/admin", "shop", False, id="the same, escaped"),
        pytest.param("https://hooks.example.com/opsloop/a;b=1", "shop", True, id="a parameter of a segment"),
        pytest.param("https://hooks.example.com/opsloop//x", "shop", False, id="an empty segment"),
        pytest.param("https://hooks.example.com@evil.example/opsloop/x", "shop", False, id="a user name that looks like the host"),
        pytest.param("https://hooks.example.com.evil.example/opsloop/x", "shop", False, id="the host as a beginning"),
        pytest.param("https://evil.example/opsloop/x#hooks.example.com", "shop", False, id="the host in the fragment"),
        pytest.param("https://hooks.example.com\\@evil.example/opsloop/x", "shop", False, id="a backslash"),
        pytest.param("https://hooks.example.com:0/opsloop/x", "shop", False, id="port 0"),
        pytest.param("https://[::1/opsloop/x", "shop", False, id="no URL"),
        pytest.param("file:///etc/passwd", "shop", False, id="another scheme"),
    ],
)  # fmt: skip
def test_what_may_be_called(url: str, namespace: str, yes: bool) -> None:
    assert (allowed((HOOKS, ANY), url, namespace) is not None) == yes


@pytest.mark.parametrize(
    "url", ["hooks.example.com", "https://", "https://a@b.example/", "https://a.example/?x=1", "ftp://a.example/"]
)
def test_what_an_administrator_cannot_allow(url: str) -> None:
    assert problem(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("https://hooks.example.com/opsloop/purge", "https://hooks.example.com/opsloop/purge", id="nothing to hide"),
        pytest.param("https://h.example/x?key=k3y", "https://h.example/x?key=…", id="the value of a query, not its name"),
        pytest.param("https://h.example/x?a=1&key=k3y;z=2", "https://h.example/x?a=…&key=…&z=…", id="each of them"),
        pytest.param("https://h.example/x?k3y", "https://h.example/x?…", id="a query without a name"),
        pytest.param("https://h.example?k3y=", "https://h.example?k3y=…", id="a name without a value"),
        pytest.param("https://me:k3y@h.example/x", "https://…@h.example/x", id="user and password"),
        pytest.param("https://me:k3@y@h.example/x", "https://…@h.example/x", id="a password with an @"),
        pytest.param("https://h.example/x#k3y", "https://h.example/x#…", id="a fragment"),
        pytest.param("https://h.example/a@b", "https://h.example/…", id="an @ in the path is no user"),
        pytest.param("no url?key=k3y", "no url?key=…", id="what is no URL"),
        pytest.param("https://hooks.slack.com/services/T024BE7LD/B0QX/aBcD1234efgh", "https://hooks.slack.com/services/…/…/…", id="keys in the path"),
        pytest.param("https://h.example:8443/v1/restart-search/42/", "https://h.example:8443/v1/restart-search/…/", id="words and versions are told, numbers are not"),
        pytest.param("h.example/S3CRET", "h.example/…", id="in what is no URL as well"),
    ],
)  # fmt: skip
def test_how_a_url_is_told(url: str, text: str) -> None:
    assert shown(url) == text


KEY = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#&;="), min_size=1)


@given(KEY, KEY, st.booleans())
def test_no_key_is_ever_told(user: str, key: str, plain: bool) -> None:
    url = f"https://{user}:{key}@h.example/p?" + (key if plain else f"token={key}")
    assert shown(url) == "https://…@h.example/p?" + ("…" if plain else "token=…")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#@"), min_size=1))
def test_a_segment_that_is_no_word_is_never_told(key: str) -> None:
    assert shown(f"https://h.example/a/1{key}/b") == "https://h.example/a/…/b"
