"""Each sample event, invoked as it lies in events/."""

import json
from typing import Any

import pytest

from pokemon_names.request import InvalidRequest
from tests.conftest import EVENTS, Handle, sample

FIRST_THREE = ["bulbasaur", "ivysaur", "venusaur"]
FIELDS = ["range", "strategy", "complete", "count", "names", "failures", "timing"]
JSON = "application/json"
PROBLEM = "application/problem+json"

# sample: status, content type, and the names it answers with
HTTP = {
    "alb": (200, JSON, [*FIRST_THREE, "mew"]),
    "alb-multi-value": (200, JSON, [*FIRST_THREE, "mew"]),
    "function-url": (200, JSON, FIRST_THREE),
    "http-api": (200, JSON, FIRST_THREE),
    "http-api-bad-range": (400, PROBLEM, None),
    "http-api-one": (200, JSON, ["mew"]),
    "http-api-race": (200, JSON, None),
    "http-api-text": (200, "text/plain; charset=utf-8", None),
    "http-api-unknown-number": (404, PROBLEM, []),
    "http-api-unknown-path": (404, PROBLEM, None),
    "http-api-wrong-method": (405, PROBLEM, None),
    "rest-api": (200, JSON, [*FIRST_THREE, "mew"]),
}
# sample: how many names, the last of them, and the numbers that fail
DIRECT = {
    "direct": (150, "mewtwo", []),
    "direct-index": (150, "mewtwo", []),
    "direct-one": (1, "mew", []),
    "direct-unknown-number": (2, "pecharunt", [1026, 1027]),
}
INVALID = {"direct-bad-range"}


def test_every_sample_is_a_test_case() -> None:
    assert {path.stem for path in EVENTS.iterdir()} == {*HTTP, *DIRECT, *INVALID}


@pytest.mark.parametrize("name", HTTP)
def test_http(handle: Handle, name: str) -> None:
    status, content_type, names = HTTP[name]
    reply = handle(sample(name))
    assert reply["statusCode"] == status
    assert header(reply, "Content-Type") == content_type
    assert header(reply, "Vary") == "Accept"
    assert reply["isBase64Encoded"] is False
    if names is not None:
        body = json.loads(reply["body"])
        assert body["names"] == names
        assert list(body)[-len(FIELDS) :] == FIELDS


@pytest.mark.parametrize("name", DIRECT)
def test_direct(handle: Handle, name: str) -> None:
    count, last, failed = DIRECT[name]
    report = handle(sample(name))
    assert list(report) == FIELDS
    assert report["count"] == len(report["names"]) == count
    assert report["names"][-1] == last
    assert [failure["number"] for failure in report["failures"]] == failed
    assert report["complete"] is not failed


@pytest.mark.parametrize("name", INVALID)
def test_a_direct_caller_can_catch_invalid_request_by_name(handle: Handle, name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^range: got '1-x', allowed: numbers from 1 to") as caught:
        handle(sample(name))
    assert type(caught.value).__name__ == "InvalidRequest"


@pytest.mark.parametrize("event", [None, [], "1-150", 151, True])
def test_an_event_that_is_no_object_is_invalid(handle: Handle, event: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^event: got .*, allowed: a JSON object$"):
        handle(event)


@pytest.mark.parametrize("context", [None, "x", {}, {"accountId": "1"}])
def test_a_request_context_alone_makes_no_http_request(handle: Handle, context: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^requestContext: got .*, allowed: only the fields"):
        handle({"requestContext": context})


def test_an_alb_with_multi_value_headers_takes_no_others(handle: Handle) -> None:
    assert "headers" not in handle(sample("alb-multi-value"))
    assert "multiValueHeaders" not in handle(sample("alb"))


def header(reply: dict[str, Any], name: str) -> Any:
    if "multiValueHeaders" in reply:
        (value,) = reply["multiValueHeaders"][name]
        return value
    return reply["headers"][name]
