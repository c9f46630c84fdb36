"""Credentials in recorded requests: replaced by name or form, and said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.recorded import redact

OTHER = "the body, which is neither JSON nor a form"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("path", "cleaned", "gone"),
    [
        pytest.param("/orders?page=2&sort=up", "/orders?page=2&sort=up", [], id="an ordinary query stays byte by byte"),
        pytest.param("/orders?q=a+b%20c", "/orders?q=a+b%20c", [], id="its escapes too"),
        pytest.param("/o?api_key=K1&page=2", "/o?api_key=redacted&page=2", ["query parameter api_key"], id="a key goes, its parameter stays"),
        pytest.param("/o?X-Amz-Signature=ab", "/o?X-Amz-Signature=redacted", ["query parameter X-Amz-Signature"], id="a signed URL"),
        pytest.param("/o?accessToken=ab", "/o?accessToken=redacted", ["query parameter accessToken"], id="a name in camel case"),
        pytest.param("/o?author=eva&keyboard=qwerty", "/o?author=eva&keyboard=qwerty", [], id="an author is no auth, a keyboard no key"),
        pytest.param("/o?token=", "/o?token=", [], id="an empty one holds nothing"),
        pytest.param(f"/o?id={JWT}", "/o?id=redacted", ["query parameter id"], id="a token under an innocent name"),
        pytest.param("/cb?code=SplxlOBeZQQYbYS6WxSbIA", "/cb?code=redacted", ["query parameter code"], id="OAuth's code"),
        pytest.param("/login?code=123456", "/login?code=redacted", ["query parameter code"], id="a one-time code"),
        pytest.param("/s?ticket=ST-1856339-aA5Yuvrxzpv8Tau1cYQ7", "/s?ticket=redacted", ["query parameter ticket"], id="CAS' ticket"),
        pytest.param("/l?SAMLResponse=PHNhbWw&state=xyzxyz", "/l?SAMLResponse=redacted&state=redacted", ["query parameter SAMLResponse", "query parameter state"], id="SAML and OAuth's state"),
        pytest.param("/l?user_code=WDJB", "/l?user_code=redacted", ["query parameter user_code"], id="a code that a person types"),
        pytest.param("/s?code=DE&ticket=HD-7&country_code=AT", "/s?code=DE&ticket=HD-7&country_code=AT", [], id="short codes are words"),
        pytest.param("/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/send", "/bot110201543:redacted/send", ["a part of the path"], id="a random key in the path"),
        pytest.param("/r/0123456789abcdef0123456789abcdef", "/r/redacted", ["a part of the path"], id="a key in hexadecimal digits"),
        pytest.param("/o/6f1c2d3e-1a2b-4c3d-8e9f-a0b1c2d3e4f5", "/o/6f1c2d3e-1a2b-4c3d-8e9f-a0b1c2d3e4f5", [], id="an identifier of an order is none"),
        pytest.param("/api.v2.Orders/GetCustomerOrderHistoryV2", "/api.v2.Orders/GetCustomerOrderHistoryV2", [], id="nor a long name"),
        pytest.param("/o?filter=%3Ca%3E%3Cpassword%3Ex1%3C/password%3E%3C/a%3E", "/o?filter=redacted", ["query parameter filter"], id="XML in a parameter"),
        pytest.param(f"/reset/{JWT}/now", "/reset/redacted/now", ["a part of the path"], id="a token in the path"),
    ],
)  # fmt: skip
def test_targets(path: str, cleaned: str, gone: list[str]) -> None:
    assert redact.target(path) == (cleaned, gone)


def test_of_headers_only_those_stay_that_say_what_was_asked_for() -> None:
    given_ = {
        "Accept": "application/json",
        "Cookie": "a=b",
        "X-Company-Ticket": "t",
        "Authorization": "Bearer abcdefgh",
    }
    kept, gone = redact.headers(given_)
    assert kept == {"Accept": "application/json"}
    assert gone == ["header Cookie", "header X-Company-Ticket", "header Authorization"]


@pytest.mark.parametrize(
    ("text", "cleaned", "gone"),
    [
        pytest.param('{"q": "boots", "n": 2}', '{"q": "boots", "n": 2}', [], id="an ordinary body stays byte by byte"),
        pytest.param('{"a": [{"password": "x1"}]}', '{"a": [{"password": "redacted"}]}', ["field password"], id="a field at any depth"),
        pytest.param("user=eva&password=x1", "user=eva&password=redacted", ["field password"], id="a form"),
        pytest.param(f'"take {JWT}"', '"redacted"', ["a value of the body"], id="a token in a JSON text"),
        pytest.param('{"code": "SplxlOBeZQQYbYS6WxSbIA"}', '{"code": "redacted"}', ["field code"], id="OAuth's code as a field"),
        pytest.param('{"code": "DE"}', '{"code": "DE"}', [], id="a short code"),
        pytest.param('{"doc": "<a><Password>x1</Password></a>"}', '{"doc": "redacted"}', ["field doc"], id="XML in a field"),
        pytest.param('{"doc": "{\\"password\\": \\"x1\\"}"}', '{"doc": "redacted"}', ["field doc"], id="JSON in a field"),
        pytest.param("<login><password>x1</password></login>", "", [OTHER], id="XML is not kept"),
        pytest.param('--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nx1\r\n--b--', "", [OTHER], id="nor multipart"),
        pytest.param("my password is x1", "", [OTHER], id="nor plain text"),
    ],
)  # fmt: skip
def test_bodies(text: str, cleaned: str, gone: list[str]) -> None:
    assert redact.body(text) == (cleaned, gone)


@given(st.text(max_size=60), st.text("abcdefXYZ0123", min_size=4, max_size=20))
def test_no_value_of_a_secret_name_is_left_and_cleaning_twice_changes_nothing(rest: str, value: str) -> None:
    cleaned, _ = redact.target(f"/p?token=S{value}S&x=1")
    assert f"S{value}S" not in cleaned
    assert redact.target(cleaned)[0] == cleaned
    text, _ = redact.body(rest)
    assert redact.body(text)[0] == text
