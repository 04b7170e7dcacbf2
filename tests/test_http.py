"""HTTP requests and their replies; test_openapi.py compares these with their description."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from pokemon_names.fetching import patience
from pokemon_names.model import STRATEGIES
from tests.conftest import Handle, LoadApp, TimingOut, header_of, http_event, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

PATHS = "/, /pokemon, /pokemon/{number}, /race, /openapi.yaml"
FIELDS = "only the fields range, strategy, fresh, trace"
RANGES = "up to 1,500 numbers, as in 1-151,10001-10010"
SOME_STRATEGIES = "some of gather, sequential, sync, index"

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
PROBLEM = "application/problem+json"

# Accept headers
AXIOS = "application/json, text/plain, */*"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def get_json(handle: Handle, path: str, **query: str) -> Any:
    return json.loads(handle(http_event(path, **query))["body"])


def test_without_a_range_the_first_150(handle: Handle) -> None:
    event = http_event("/pokemon", strategy="index")
    del event["queryStringParameters"]
    assert json.loads(handle(event)["body"])["count"] == 150


def test_the_query_may_have_every_field(handle: Handle) -> None:
    body = get_json(handle, "/pokemon", range="1-2", strategy="sync", fresh="true")
    assert body["range"] == "1-2"
    assert body["strategy"] == "sync"
    assert body["names"] == ["bulbasaur", "ivysaur"]


def test_the_trace_comes_on_demand(handle: Handle) -> None:
    assert "trace" not in get_json(handle, "/pokemon", range="1-2")
    body = get_json(handle, "/pokemon", range="1-3", trace="true")
    assert [attempt["number"] for attempt in body["trace"]] == [3]  # the others are cached


@pytest.mark.parametrize(
    "path", ["/pokemon/151/", "/prod/pokemon/151", "//pokemon/151", "/pokemon/%31%35%31"]
)
def test_a_path_may_be_spelled_in_several_ways(handle: Handle, path: str) -> None:
    event = http_event(path)
    event["requestContext"]["stage"] = "prod"
    assert json.loads(handle(event)["body"])["names"] == ["mew"]


@pytest.mark.parametrize(
    "accept",
    ["text/plain", "TEXT/PLAIN", "text/plain, */*;q=0.1", "application/json;q=0.5,text/plain"],
)
def test_names_as_text_are_one_a_line(handle: Handle, accept: str) -> None:
    reply = handle(http_event("/pokemon", accept, range="1-3,1026"))
    assert header_of(reply, "Content-Type") == TEXT
    assert reply["body"] == "bulbasaur\nivysaur\nvenusaur\n"


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "text/plain;q=0.4, application/json; q=0.5",
        "text/plain; q=0",
        AXIOS,
        BROWSER,
        ";q=,",
    ],
)
def test_names_as_json_unless_text_ranks_higher(handle: Handle, accept: str) -> None:
    reply = handle(http_event("/pokemon", accept, range="1"))
    assert header_of(reply, "Content-Type") == JSON


def test_a_race_runs_every_strategy_on_the_same_range(pokeapi: PokeAPI, handle: Handle) -> None:
    body = get_json(handle, "/race", range="1-5")
    entries = body["race"]
    assert body["range"] == "1-5"
    assert [entry["strategy"] for entry in entries] == list(STRATEGIES)
    assert {entry["range"] for entry in entries} == {"1-5"}
    assert len({tuple(entry["names"]) for entry in entries}) == 1
    assert pokeapi.requests == 5 + 5 + 5 + 1


def test_a_race_between_some_of_the_strategies(pokeapi: PokeAPI, handle: Handle) -> None:
    body = get_json(handle, "/race", range="1-5", strategies="index, gather,index")
    speedups = [(entry["strategy"], entry["speedup"]) for entry in body["race"]]
    assert speedups == [("gather", None), ("index", None)]
    assert pokeapi.requests == 5 + 1
    reply = handle(http_event("/race", "text/plain", range="1-5", strategies="index"))
    (line,) = reply["body"].splitlines()
    assert line.split()[-2:] == ["5", "names"]


@pytest.mark.parametrize(
    "accept",
    [
        BROWSER,
        "text/html",
        "text/*;q=0.2, text/html;q=0.3",
        "text/html;q=0.9, */*;q=0.8, application/json;q=0",
    ],
)
def test_a_race_is_a_page_for_browsers(handle: Handle, accept: str) -> None:
    reply = handle(http_event("/race", accept, range="1-3"))
    policy = header_of(reply, "Content-Security-Policy")
    assert reply["statusCode"] == 200
    assert header_of(reply, "Content-Type") == HTML
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert header_of(reply, "Vary") == "Accept"
    assert header_of(reply, "Cache-Control") == "no-store"
    assert '<li value="3">venusaur</li>' in reply["body"]


@pytest.mark.parametrize(
    "accept", ["", "*/*", AXIOS, "text/html;q=0.5, */*", "text/html, application/json", "image/*"]
)
def test_a_race_is_json_where_the_caller_accepts_it_as_well_as_html(
    handle: Handle, accept: str
) -> None:
    reply = handle(http_event("/race", accept, range="1"))
    assert header_of(reply, "Content-Type") == JSON


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (
            {"range": "<script>"},
            400,
            "range: got &#x27;&lt;script&gt;&#x27;, allowed: up to 1,500 numbers",
        ),
        (
            {"strategies": "all"},
            400,
            f"strategies: got &#x27;all&#x27;, allowed: {SOME_STRATEGIES}",
        ),
        (
            {"range": "1026"},
            404,
            "no Pokémon has any of these numbers",
        ),
    ],
)
def test_the_page_of_a_race_shows_what_is_wrong(
    handle: Handle, query: dict[str, str], status: int, message: str
) -> None:
    reply = handle(http_event("/race", BROWSER, **query))
    assert reply["statusCode"] == status
    assert header_of(reply, "Content-Type") == HTML
    assert message in reply["body"]
    assert "<form>" in reply["body"]


@pytest.mark.parametrize(
    "event",
    [
        http_event("/docs", BROWSER),
        http_event("/race", BROWSER, method="POST"),
        http_event("/pokemon", BROWSER, range="x"),
    ],
)
def test_other_paths_and_methods_have_no_page(handle: Handle, event: dict[str, Any]) -> None:
    assert header_of(handle(event), "Content-Type") == PROBLEM


def test_a_race_as_text_is_a_line_for_each_strategy(handle: Handle) -> None:
    reply = handle(http_event("/race", "text/plain", range="1-5"))
    lines = reply["body"].splitlines()
    assert [line.split()[0] for line in lines] == list(STRATEGIES)
    assert all(line.endswith(" 5 names") for line in lines)


@pytest.mark.parametrize(
    ("event", "status", "detail"),
    [
        (
            http_event("/docs"),
            404,
            f"path: got '/docs', allowed: {PATHS}",
        ),
        (
            http_event("/pokemon/1/moves"),
            404,
            f"path: got '/pokemon/1/moves', allowed: {PATHS}",
        ),
        (
            http_event("/pokemons", method="POST"),
            404,
            f"path: got '/pokemons', allowed: {PATHS}",
        ),
        (
            http_event("/race", method="HEAD"),
            405,
            "method: got 'HEAD', allowed: GET",
        ),
        (
            http_event("/pokemon", limit="3"),
            400,
            f"limit: got '3', allowed: {FIELDS}",
        ),
        (
            http_event("/pokemon", range="1-9999"),
            400,
            f"range: got '1-9999', allowed: {RANGES} (9,999 numbers, at most 1,500)",
        ),
        (
            http_event("/pokemon", fresh="1"),
            400,
            "fresh: got '1', allowed: true or false",
        ),
        (
            http_event("/pokemon/mew"),
            400,
            "number: got 'mew', allowed: a number such as 151",
        ),
        (
            http_event("/pokemon/1-3"),
            400,
            "number: got '1-3', allowed: a number such as 151",
        ),
        (
            http_event("/pokemon/151", range="1"),
            400,
            "range: got '1', allowed: nothing, /pokemon sets it",
        ),
        (
            http_event("/race", strategy="sync"),
            400,
            "strategy: got 'sync', allowed: nothing, /race sets it",
        ),
        (
            http_event("/race", strategies=""),
            400,
            f"strategies: got '', allowed: {SOME_STRATEGIES}",
        ),
        (
            http_event("/pokemon", strategies="sync"),
            400,
            f"strategies: got 'sync', allowed: {FIELDS}",
        ),
        (
            http_event("/race", fresh="true"),
            400,
            "fresh: got 'true', allowed: nothing, /race sets it",
        ),
    ],
)
def test_a_problem_names_the_field_what_came_and_what_is_allowed(
    handle: Handle, event: dict[str, Any], status: int, detail: str
) -> None:
    reply = handle(event)
    body = json.loads(reply["body"])
    assert header_of(reply, "Content-Type") == PROBLEM
    assert reply["statusCode"] == body["status"] == status
    assert body["type"] == "about:blank"
    assert body["detail"] == detail
    assert detail.startswith(f"{body['field']}: got '{body['given']}', allowed: {body['allowed']}")


def test_the_description_for_programs(handle: Handle, pokeapi: PokeAPI) -> None:
    reply = handle(http_event("/openapi.yaml"))
    assert reply["statusCode"] == 200
    assert header_of(reply, "Content-Type") == "application/yaml"
    assert reply["body"].startswith("openapi: 3.1.0\n")
    assert pokeapi.requests == 0


def test_the_description_for_people(handle: Handle, pokeapi: PokeAPI) -> None:
    reply = handle(http_event("/"))
    assert reply["statusCode"] == 200
    assert header_of(reply, "Content-Type") == HTML
    assert "<h2>GET /pokemon/{number}</h2>" in reply["body"]
    assert pokeapi.requests == 0


def test_the_reply_to_a_wrong_method_names_the_right_one(handle: Handle) -> None:
    reply = handle(http_event("/pokemon", method="PUT"))
    assert header_of(reply, "Allow") == "GET"


def test_a_complete_reply_may_be_cached_for_a_day(handle: Handle) -> None:
    first = handle(http_event("/pokemon", range="1-3"))
    second = handle(http_event("/pokemon", range="1-3"))
    assert header_of(first, "Cache-Control") == "public, max-age=86400"
    assert header_of(first, "ETag") == header_of(second, "ETag")
    assert json.loads(first["body"])["timing"] != json.loads(second["body"])["timing"]


def test_the_etag_depends_on_the_names_and_on_the_content_type(handle: Handle) -> None:
    events = [
        http_event("/pokemon", range="1-3"),
        http_event("/pokemon", range="1-2"),
        http_event("/pokemon", "text/plain", range="1-3"),
    ]
    tags = {header_of(handle(event), "ETag") for event in events}
    assert len(tags) == 3


@pytest.mark.parametrize("name", ["http-api", "rest-api", "function-url", "alb", "alb-multi-value"])
@pytest.mark.parametrize("template", ["{}", '"other", {}', "*"])
def test_a_caller_that_has_the_names_gets_304_and_no_body(
    handle: Handle, name: str, template: str
) -> None:
    event = sample(name)
    first = handle(event)
    if_none_match = template.format(header_of(first, "ETag"))
    if "multiValueHeaders" in event:
        event["multiValueHeaders"]["If-None-Match"] = [if_none_match]
    else:
        event["headers"]["If-None-Match"] = if_none_match
    reply = handle(event)
    assert reply["statusCode"] == 304
    assert reply["body"] == ""
    for header in ("ETag", "Cache-Control", "Vary"):
        assert header_of(reply, header) == header_of(first, header)


def test_a_caller_that_has_other_names_gets_the_reply(handle: Handle) -> None:
    event = http_event("/pokemon", range="1")
    event["headers"]["if-none-match"] = 'W/"other"'
    assert handle(event)["statusCode"] == 200


@pytest.mark.parametrize(
    "event",
    [
        http_event("/pokemon", range="1,1026"),
        http_event("/pokemon", range="1", fresh="true"),
        http_event("/pokemon", range="1-x"),
        http_event("/pokemon/1026"),
        http_event("/race", range="1"),
    ],
)
def test_no_other_reply_may_be_cached(handle: Handle, event: dict[str, Any]) -> None:
    event["headers"]["if-none-match"] = "*"
    reply = handle(event)
    assert header_of(reply, "Cache-Control") == "no-store"
    assert header_of(reply, "ETag") is None
    assert reply["statusCode"] != HTTPStatus.NOT_MODIFIED


NOT_FOUND = answers.text(404, "Not Found")
DOWN = answers.text(500, "Internal Server Error")
LATE = answers.hang  # no answer before the timeout


def test_with_pokeapi_down_the_reply_has_a_failure_for_each_of_150_numbers(
    pokeapi: PokeAPI, handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENCE_TIMEOUT", 0.4)
    pokeapi.answers = dict.fromkeys(range(1, 151), DOWN)
    reply = handle(http_event("/pokemon"))
    failures = json.loads(reply["body"])["failures"]
    attempts = sum(failure["attempts"] for failure in failures)
    assert reply["statusCode"] == 502
    assert [failure["number"] for failure in failures] == list(range(1, 151))
    assert pokeapi.requests <= attempts <= 250  # the last may be cut off before they arrive


@pytest.mark.parametrize(
    ("path", "first", "second", "status"),
    [
        ("/pokemon", NOT_FOUND, NOT_FOUND, 404),
        ("/pokemon", DOWN, NOT_FOUND, 502),
        ("/pokemon", DOWN, answers.reset, 502),
        ("/pokemon", LATE, NOT_FOUND, 504),
        ("/pokemon", LATE, LATE, 504),
        ("/pokemon", LATE, DOWN, 502),
        ("/pokemon", DOWN, None, 200),
        ("/race", DOWN, NOT_FOUND, 502),
    ],
)
def test_the_status_depends_on_why_names_failed(  # noqa: PLR0913, PLR0917  the cases' values
    pokeapi: PokeAPI,
    url: str,
    load_app: LoadApp,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    first: Answer,
    second: Answer | None,
    status: int,
) -> None:
    monkeypatch.setattr(patience, "SILENCE_TIMEOUT", 0.5)
    pokeapi.answers = {PokeAPI.LIST: DOWN, 1: first}
    if second:
        pokeapi.answers[2] = second
    late = [number for number, answer in pokeapi.answers.items() if answer is LATE]
    app = load_app()
    monkeypatch.setattr(app, "clients", TimingOut(url, *late))
    reply = app.handler(http_event(path, range="1-2"), Context())
    body = json.loads(reply["body"])
    assert reply["statusCode"] == status
    if path == "/pokemon":
        assert len(body["failures"]) == 2 - body["count"]
    if status != HTTPStatus.OK:
        assert header_of(reply, "Content-Type") == PROBLEM
        assert body["status"] == status
        assert body["title"] == HTTPStatus(status).phrase
        assert body["detail"]
