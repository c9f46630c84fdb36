"""Of all that was recorded, the few requests that are asked."""

import json

from opsloop.core.recorded.lines import read
from opsloop.core.recorded.sample import MOST, as_lines, sample

SAFE = ("GET", "HEAD")


def log(*requests: tuple[str, int]) -> str:
    return "".join(f'x "{request} HTTP/1.1" {status} 0\n' for request, status in requests)


def test_bad_ones_come_first_by_how_often_they_came_and_none_comes_twice() -> None:
    text = log(("GET /a", 200), ("GET /b", 503), ("GET /c", 500), ("GET /c", 500), ("GET /a", 200), ("GET /d", 200))
    found = sample([text], SAFE)
    assert [one.path for one in found.requests] == ["/c", "/b", "/a", "/d"]
    assert found.remark == "4 recorded requests"


def test_one_that_failed_once_is_bad_although_it_went_well_before() -> None:
    (one,) = sample([log(("GET /a", 200), ("GET /a", 503))], SAFE).requests
    assert one.is_bad


def test_what_is_left_out_is_said() -> None:
    text = "starting\n" + log(
        ("POST /orders", 500), ("GET /a?token=x1", 500), *((f"GET /{n}", 200) for n in range(MOST + 2))
    )
    found = sample([text], SAFE)
    assert len(found.requests) == MOST
    assert (
        found.remark
        == "20 recorded requests (1 lines cannot be read; 2 carry credentials or are not GET, HEAD; 2 are more than 20)"
    )
    assert sample([], SAFE).requests == ()


def test_a_request_without_its_cookie_is_asked_all_the_same() -> None:
    record = {
        "method": "GET",
        "path": "/a",
        "status": 503,
        "request": {"headers": {"Cookie": "c=1", "Accept": "text/html"}},
    }
    (one,) = sample([json.dumps(record)], SAFE).requests
    assert one.headers == {"Accept": "text/html"} or one.headers == {"accept": "text/html"}


def test_what_is_kept_is_read_again_as_it_was() -> None:
    record = {
        "method": "POST",
        "path": "/a?b=1",
        "status": 503,
        "request_body": '{"n": 1}',
        "request": {"headers": {"Accept": "text/html"}},
    }
    (one,) = read(json.dumps(record))
    assert read(as_lines([one])) == [one]
