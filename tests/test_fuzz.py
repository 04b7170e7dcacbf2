"""Events with any JSON in any field. `make fuzz` tries ten thousand of them."""

import json
import logging
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pokemon_names.model import FIELDS, InvalidRequest
from pokemon_names.sources import http, sqs
from pokemon_names.sources.base import unwrapped
from tests.conftest import EVENTS, SETTINGS, http_event, invoke, sample
from tests.sources.conftest import environment

SAMPLES = [path.stem for path in EVENTS.glob("*.json")]
NOTHING = object()
INTERNAL = re.compile(r"Traceback|pokemon_names[./]|\.py\b|object at 0x")

text = st.text() | st.sampled_from(
    ["1-3", "151", "GET", "POST", "/pokemon", "/race", "gather", "true", "%", "\ud800"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
fields = st.dictionaries(st.sampled_from(FIELDS) | text, anything, max_size=4)
requests = fields | anything


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Replace some parts of a JSON value with anything, or remove them."""
    if not draw(st.integers(0, 9)):
        return draw(anything | st.just(NOTHING))
    if isinstance(value, dict):
        inner = {key: draw(changed(value[key])) for key in value}
        return {key: inner[key] for key in inner if inner[key] is not NOTHING}
    if isinstance(value, list):
        items = [draw(changed(item)) for item in value]
        return [item for item in items if item is not NOTHING]
    return value


@st.composite
def changed_samples(draw: st.DrawFn) -> Any:
    event = draw(changed(sample(draw(st.sampled_from(SAMPLES)))))
    assume(event is not NOTHING)
    return event


@st.composite
def samples_with_any_query(draw: st.DrawFn) -> Any:
    event = sample(draw(st.sampled_from(["alb", "http-api", "rest-api"])))
    query = draw(fields)
    event["queryStringParameters"] = query
    event["multiValueQueryStringParameters"] = draw(st.sampled_from([query, lists_of(query)]))
    if draw(st.booleans()):
        event["rawPath"] = event["path"] = draw(st.sampled_from(["/race", "/race.svg"]) | text)
        event["headers"]["accept"] = "text/html"
    return event


def lists_of(query: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [value, value] for name, value in query.items()}


@st.composite
def samples_with_any_request(draw: st.DrawFn) -> Any:
    name = draw(st.sampled_from(["eventbridge", "sns", "sqs", "states-fetch", "states-plan"]))
    given = draw(requests | requests.map(json.dumps) | text)
    event = sample(name)
    match name:
        case "sns":
            event["Records"][0]["Sns"]["Message"] = given
        case "states-fetch" | "states-plan":
            event["request"] = given
        case "sqs":
            event["Records"][0]["body"] = given
        case _:
            event["detail"] = given
    return event


any_event = (
    changed_samples() | samples_with_any_query() | samples_with_any_request() | fields | anything
)


@pytest.fixture(scope="module")
def app() -> Iterator[ModuleType]:
    """Load one Lambda environment for all examples; its ranges have at most three numbers."""
    with pytest.MonkeyPatch.context() as monkeypatch, environment(MAX_NUMBERS="3") as app:
        monkeypatch.setattr(logging.Handler, "handleError", raise_log_error)
        yield app


def raise_log_error(_: logging.Handler, record: logging.LogRecord) -> None:
    raise AssertionError(record.__dict__)


@given(event=any_event)
@example(event=http_event("/race", "text/html", range="\ud800"))
def test_any_event_gets_a_reply_that_its_source_accepts(app: ModuleType, event: Any) -> None:
    match unwrapped(event):
        case {"requestContext": _} as request if http.read(request, SETTINGS):
            check_http_reply(invoke(app, event))
        case {"Records": records} as batch if sqs.read(batch, SETTINGS, None):
            ids = {record["messageId"] for record in records}
            check_queue_reply(invoke(app, event), ids)
        case _:
            check_direct_reply(app, event)


def check_http_reply(reply: dict[str, Any]) -> None:
    assert 200 <= reply["statusCode"] < 500
    assert not INTERNAL.search(reply["body"])
    if "multiValueHeaders" in reply:
        for values in reply["multiValueHeaders"].values():
            assert all(isinstance(value, str) for value in values)
    else:
        assert all(isinstance(value, str) for value in reply["headers"].values())


def check_queue_reply(reply: dict[str, Any], ids: set[str]) -> None:
    assert reply.keys() == {"batchItemFailures"}
    assert {failure["itemIdentifier"] for failure in reply["batchItemFailures"]} <= ids


def check_direct_reply(app: ModuleType, event: Any) -> None:
    report = {}
    refusal = ""
    try:
        report = invoke(app, event)
    except InvalidRequest as error:
        refusal = str(error)
        refusal.encode()
    assert bool(report) != bool(refusal)
    assert not INTERNAL.search(json.dumps(report) + refusal)
    assert len(refusal) < 1000
