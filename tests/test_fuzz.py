"""Events with any JSON in any of their fields: `make fuzz` for ten thousand of each."""

import json
import logging
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names import events
from pokemon_names.messages import Queue
from pokemon_names.request import InvalidRequest
from pokemon_names.web import Http
from tests.conftest import EVENTS, load, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, serving

NAMES = [path.stem for path in EVENTS.iterdir()]
INTERNAL = re.compile(r"Traceback|pokemon_names|\.py\b|object at 0x")

text = st.text() | st.sampled_from(["1-3", "151", "GET", "POST", "/pokemon", "/race", "gather", "true", "%", "\ud800"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
fields = st.dictionaries(st.sampled_from(["range", "strategy", "fresh", "trace"]) | text, anything, max_size=4)
GONE = object()


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Put anything, or nothing, into some of the places of a JSON value."""
    if not draw(st.integers(0, 9)):
        return draw(anything | st.just(GONE))
    if isinstance(value, dict):
        return {key: inner for key in value if (inner := draw(changed(value[key]))) is not GONE}
    if isinstance(value, list):
        return [inner for item in value if (inner := draw(changed(item))) is not GONE]
    return value


changed_samples = st.sampled_from(NAMES).flatmap(lambda name: changed(sample(name))).filter(lambda it: it is not GONE)
with_any_query = st.tuples(st.sampled_from(["alb", "http-api", "rest-api"]), fields).map(
    lambda pair: sample(pair[0]) | {"queryStringParameters": pair[1], "multiValueQueryStringParameters": pair[1]}
)


def message(name: str, given: Any) -> Any:
    """Put anything into the place of a sample's request."""
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


requests = fields | anything
with_any_request = st.builds(
    message,
    st.sampled_from(["eventbridge", "sns", "sqs", "states-fetch", "states-plan"]),
    requests | requests.map(json.dumps) | text,
)


@pytest.fixture(scope="module")
def app() -> Iterator[ModuleType]:
    """One Lambda environment for all examples, in which a range is at most three numbers."""
    with pytest.MonkeyPatch.context() as monkeypatch, serving(PokeAPI()) as port:
        url = f"http://127.0.0.1:{port}/api/v2"
        monkeypatch.setattr(logging.Handler, "handleError", unloggable)
        yield load(monkeypatch, POKEAPI_URL=url, MAX_NUMBERS="3")


def unloggable(_: logging.Handler, record: logging.LogRecord) -> None:
    raise AssertionError(record.__dict__)


@given(event=changed_samples | with_any_query | with_any_request | fields | anything)
def test_whatever_the_event_the_reply_is_one_its_source_takes(app: ModuleType, event: Any) -> None:
    try:
        source = events.read(event)
    except InvalidRequest:
        source = None
    match source:
        case Http():
            takes_http(app.handler(event, Context()))
        case Queue(messages=messages):
            takes_queue(app.handler(event, Context()), {message.id for message in messages})
        case _:
            takes_direct(app, event)


def takes_http(reply: dict[str, Any]) -> None:
    json.dumps(reply).encode()
    assert 200 <= reply["statusCode"] < 500
    assert not INTERNAL.search(reply["body"])
    if "multiValueHeaders" in reply:
        assert all(isinstance(value, str) for values in reply["multiValueHeaders"].values() for value in values)
    else:
        assert all(isinstance(value, str) for value in reply["headers"].values())


def takes_queue(reply: dict[str, Any], ids: set[str]) -> None:
    assert reply.keys() == {"batchItemFailures"}
    assert {failure["itemIdentifier"] for failure in reply["batchItemFailures"]} <= ids


def takes_direct(app: ModuleType, event: Any) -> None:
    report, refusal = {}, ""
    try:
        report = app.handler(event, Context())
    except InvalidRequest as error:
        refusal = str(error)
    assert bool(report) != bool(refusal)
    assert not INTERNAL.search(json.dumps(report) + refusal)
    assert len(refusal) < 1000
