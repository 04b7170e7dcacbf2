import json
from collections.abc import Callable
from http import HTTPStatus
from types import ModuleType
from typing import Any

import pytest

from pokemon_names import fetch
from pokemon_names.request import STRATEGIES
from tests.conftest import Handle, TimingOut, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

PATHS = "/, /pokemon, /pokemon/{number}, /race, /openapi.yaml"
AXIOS = "application/json, text/plain, */*"
ONLY = "only the fields range, strategy, fresh, trace"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def get(path: str, accept: str | None = None, method: str = "GET", **query: str) -> dict[str, Any]:
    event = sample("http-api")
    event["rawPath"] = path
    event["queryStringParameters"] = query
    event["requestContext"]["http"]["method"] = method
    if accept is not None:
        event["headers"]["accept"] = accept
    return event


def test_without_a_range_the_first_150(handle: Handle) -> None:
    event = get("/pokemon", strategy="index")
    del event["queryStringParameters"]
    assert json.loads(handle(event)["body"])["count"] == 150


def test_the_query_may_name_every_field(handle: Handle) -> None:
    body = json.loads(handle(get("/pokemon", range="1-2", strategy="sync", fresh="true"))["body"])
    assert (body["range"], body["strategy"], body["names"]) == ("1-2", "sync", ["bulbasaur", "ivysaur"])


def test_the_trace_comes_on_demand(handle: Handle) -> None:
    assert "trace" not in json.loads(handle(get("/pokemon", range="1-2"))["body"])
    body = json.loads(handle(get("/pokemon", range="1-3", trace="true"))["body"])
    assert [exchange["number"] for exchange in body["trace"]] == [3]  # the others are known


@pytest.mark.parametrize("path", ["/pokemon/151/", "/prod/pokemon/151", "//pokemon/151", "/pokemon/%31%35%31"])
def test_the_same_path_written_otherwise(handle: Handle, path: str) -> None:
    event = get(path)
    event["requestContext"]["stage"] = "prod"
    assert json.loads(handle(event)["body"])["names"] == ["mew"]


@pytest.mark.parametrize(
    "accept", ["text/plain", "TEXT/PLAIN", "text/plain, */*;q=0.1", "application/json;q=0.5,text/plain"]
)
def test_names_one_a_line(handle: Handle, accept: str) -> None:
    reply = handle(get("/pokemon", accept, range="1-3,1026"))
    assert reply["headers"]["Content-Type"] == "text/plain; charset=utf-8"
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
def test_json_unless_text_ranks_higher(handle: Handle, accept: str) -> None:
    assert handle(get("/pokemon", accept, range="1"))["headers"]["Content-Type"] == "application/json"


def test_a_race_runs_every_strategy_on_the_same_range(pokeapi: PokeAPI, handle: Handle) -> None:
    body = json.loads(handle(get("/race", range="1-5"))["body"])
    assert [entry["strategy"] for entry in body["race"]] == list(STRATEGIES)
    assert {entry["range"] for entry in body["race"]} == {body["range"]} == {"1-5"}
    assert len({tuple(entry["names"]) for entry in body["race"]}) == 1
    assert pokeapi.requests == 5 + 5 + 5 + 1


def test_a_race_between_some_of_them(pokeapi: PokeAPI, handle: Handle) -> None:
    body = json.loads(handle(get("/race", range="1-5", strategies="index, gather,index"))["body"])
    told = [(entry["strategy"], entry["speedup"]) for entry in body["race"]]
    assert told == [("gather", None), ("index", None)]
    assert pokeapi.requests == 5 + 1
    lines = handle(get("/race", "text/plain", range="1-5", strategies="index"))["body"].splitlines()
    assert [line.split()[-2:] for line in lines] == [["5", "names"]]


@pytest.mark.parametrize(
    "accept",
    [BROWSER, "text/html", "text/*;q=0.2, text/html;q=0.3", "text/html;q=0.9, */*;q=0.8, application/json;q=0"],
)
def test_a_race_is_a_page_for_browsers(handle: Handle, accept: str) -> None:
    reply = handle(get("/race", accept, range="1-3"))
    assert reply["statusCode"] == 200
    assert reply["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert reply["headers"]["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert (reply["headers"]["Vary"], reply["headers"]["Cache-Control"]) == ("Accept", "no-store")
    assert '<li value="3">venusaur</li>' in reply["body"]


@pytest.mark.parametrize("accept", ["", "*/*", AXIOS, "text/html;q=0.5, */*", "text/html, application/json", "image/*"])
def test_and_json_for_who_asks_for_that_as_well(handle: Handle, accept: str) -> None:
    assert handle(get("/race", accept, range="1"))["headers"]["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"range": "<script>"}, 400, "range: got &#x27;&lt;script&gt;&#x27;, allowed: numbers from 1"),
        (
            {"strategies": "all"},
            400,
            "strategies: got &#x27;all&#x27;, allowed: some of gather, sequential, sync, index",
        ),
        ({"range": "1026"}, 404, "no Pokémon has any of these numbers"),
    ],
)
def test_what_is_wrong_is_on_the_page(handle: Handle, query: dict[str, str], status: int, message: str) -> None:
    reply = handle(get("/race", BROWSER, **query))
    assert (reply["statusCode"], reply["headers"]["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert message in reply["body"]
    assert "<form>" in reply["body"]


def test_other_paths_and_methods_have_no_page(handle: Handle) -> None:
    for event in (get("/docs", BROWSER), get("/race", BROWSER, method="POST"), get("/pokemon", BROWSER, range="x")):
        assert handle(event)["headers"]["Content-Type"] == "application/problem+json"


def test_a_race_as_text_is_a_line_for_each_strategy(handle: Handle) -> None:
    lines = handle(get("/race", "text/plain", range="1-5"))["body"].splitlines()
    assert [line.split()[0] for line in lines] == list(STRATEGIES)
    assert all(line.endswith(" 5 names") for line in lines)


@pytest.mark.parametrize(
    ("event", "status", "detail"),
    [
        (get("/docs"), 404, f"path: got '/docs', allowed: {PATHS}"),
        (get("/pokemon/1/moves"), 404, f"path: got '/pokemon/1/moves', allowed: {PATHS}"),
        (get("/pokemons", method="POST"), 404, f"path: got '/pokemons', allowed: {PATHS}"),
        (get("/race", method="HEAD"), 405, "method: got 'HEAD', allowed: GET"),
        (get("/pokemon", limit="3"), 400, f"limit: got '3', allowed: {ONLY}"),
        (get("/pokemon", range="1-9999"), 400, "range: got '1-9999', allowed: at most 1500 numbers"),
        (get("/pokemon", fresh="1"), 400, "fresh: got '1', allowed: true or false"),
        (get("/pokemon/mew"), 400, "number: got 'mew', allowed: a number such as 151"),
        (get("/pokemon/1-3"), 400, "number: got '1-3', allowed: a number such as 151"),
        (get("/pokemon/151", range="1"), 400, "range: got '1', allowed: nothing, /pokemon sets it"),
        (get("/race", strategy="sync"), 400, "strategy: got 'sync', allowed: nothing, /race sets it"),
        (get("/race", strategies=""), 400, "strategies: got '', allowed: some of gather, sequential, sync, index"),
        (get("/pokemon", strategies="sync"), 400, f"strategies: got 'sync', allowed: {ONLY}"),
        (get("/race", fresh="true"), 400, "fresh: got 'true', allowed: nothing, /race sets it"),
    ],
)
def test_a_problem_names_the_field_what_came_and_what_is_allowed(
    handle: Handle, event: dict[str, Any], status: int, detail: str
) -> None:
    reply = handle(event)
    body = json.loads(reply["body"])
    assert reply["headers"]["Content-Type"] == "application/problem+json"
    assert reply["statusCode"] == body["status"] == status
    assert body["type"] == "about:blank"
    assert body["detail"] == detail == f"{body['field']}: got '{body['given']}', allowed: {body['allowed']}"


def test_the_description_is_served(handle: Handle, pokeapi: PokeAPI) -> None:
    reply = handle(get("/openapi.yaml"))
    assert (reply["statusCode"], reply["headers"]["Content-Type"]) == (200, "application/yaml")
    assert reply["body"].startswith("openapi: 3.1.0\n")
    assert pokeapi.requests == 0


def test_a_page_describes_it_for_people(handle: Handle, pokeapi: PokeAPI) -> None:
    reply = handle(get("/"))
    assert (reply["statusCode"], reply["headers"]["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<h2>GET /pokemon/{number}</h2>" in reply["body"]
    assert pokeapi.requests == 0


def test_a_wrong_method_is_told_the_right_one(handle: Handle) -> None:
    assert handle(get("/pokemon", method="PUT"))["headers"]["Allow"] == "GET"


def header(reply: dict[str, Any], name: str) -> Any:
    return reply["headers"].get(name) if "headers" in reply else reply["multiValueHeaders"].get(name, [None])[0]


def test_a_complete_reply_may_be_kept_for_a_day(handle: Handle) -> None:
    first, second = (handle(get("/pokemon", range="1-3")) for _ in range(2))
    assert header(first, "Cache-Control") == "public, max-age=86400"
    assert header(first, "ETag") == header(second, "ETag")
    assert json.loads(first["body"])["timing"] != json.loads(second["body"])["timing"]


def test_its_tag_is_that_of_the_names_and_of_how_they_are_written(handle: Handle) -> None:
    replies = [get("/pokemon", range="1-3"), get("/pokemon", range="1-2"), get("/pokemon", "text/plain", range="1-3")]
    assert len({header(handle(event), "ETag") for event in replies}) == 3


@pytest.mark.parametrize("name", ["http-api", "rest-api", "function-url", "alb", "alb-multi-value"])
@pytest.mark.parametrize("given", ["{}", '"other", {}', "*"])
def test_who_has_it_already_gets_304_and_no_body(handle: Handle, name: str, given: str) -> None:
    event = sample(name)
    first = handle(event)
    condition = given.format(header(first, "ETag"))
    if "multiValueHeaders" in event:
        event["multiValueHeaders"]["If-None-Match"] = [condition]
    else:
        event["headers"]["If-None-Match"] = condition
    reply = handle(event)
    assert (reply["statusCode"], reply["body"]) == (304, "")
    for field in ("ETag", "Cache-Control", "Vary"):
        assert header(reply, field) == header(first, field)


def test_who_has_another_gets_the_reply(handle: Handle) -> None:
    event = get("/pokemon", range="1")
    event["headers"]["if-none-match"] = 'W/"other"'
    assert handle(event)["statusCode"] == 200


@pytest.mark.parametrize(
    "event",
    [
        get("/pokemon", range="1,1026"),
        get("/pokemon", range="1", fresh="true"),
        get("/pokemon", range="1-x"),
        get("/pokemon/1026"),
        get("/race", range="1"),
    ],
)
def test_nothing_else_is_kept(handle: Handle, event: dict[str, Any]) -> None:
    event["headers"]["if-none-match"] = "*"
    reply = handle(event)
    assert header(reply, "Cache-Control") == "no-store"
    assert header(reply, "ETag") is None
    assert reply["statusCode"] != HTTPStatus.NOT_MODIFIED


NOT_FOUND = answers.text(404, "Not Found")
DOWN = answers.text(500, "Internal Server Error")
LATE = answers.hang  # no answer before the timeout


def test_with_pokeapi_down_all_150_are_accounted_for(
    pokeapi: PokeAPI, handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SILENCE_TIMEOUT", 0.4)
    pokeapi.answers = dict.fromkeys(range(1, 151), DOWN)
    reply = handle(get("/pokemon"))
    body = json.loads(reply["body"])
    assert reply["statusCode"] == 502
    assert [failure["number"] for failure in body["failures"]] == list(range(1, 151))
    attempts = sum(failure["attempts"] for failure in body["failures"])
    assert pokeapi.requests <= attempts <= 250  # the last may be cut off before it arrives


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
def test_the_status_when_no_name_comes(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI,
    url: str,
    load_app: Callable[..., ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    first: Answer,
    second: Answer | None,
    status: int,
) -> None:
    monkeypatch.setattr(fetch, "SILENCE_TIMEOUT", 0.5)
    pokeapi.answers = {PokeAPI.LIST: DOWN, 1: first} | ({2: second} if second else {})
    app = load_app()
    late = [number for number, answer in pokeapi.answers.items() if answer is LATE]
    monkeypatch.setattr(app, "clients", TimingOut(url, *late))
    reply = app.handler(get(path, range="1-2"), Context())
    body = json.loads(reply["body"])
    assert reply["statusCode"] == status
    if path == "/pokemon":
        assert len(body["failures"]) == 2 - body["count"]
    if status != HTTPStatus.OK:
        assert reply["headers"]["Content-Type"] == "application/problem+json"
        assert body["status"] == status
        assert body["title"] == HTTPStatus(status).phrase
        assert body["detail"]
