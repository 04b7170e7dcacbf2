import json
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from types import ModuleType
from typing import Any

import pytest

from pokemon_names import client
from pokemon_names.request import STRATEGIES
from tests import answers
from tests.conftest import Handle, sample
from tests.invoke import Context
from tests.pokeapi import PokeAPI
from tests.pokeapi.server import Answer

AXIOS = "application/json, text/plain, */*"
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


def test_a_race_as_text_is_a_line_for_each_strategy(handle: Handle) -> None:
    lines = handle(get("/race", "text/plain", range="1-5"))["body"].splitlines()
    assert [line.split()[0] for line in lines] == list(STRATEGIES)
    assert all(line.endswith(" 5 names") for line in lines)


@pytest.mark.parametrize(
    ("event", "status", "detail"),
    [
        (get("/"), 404, "path: got '/', allowed: /pokemon, /pokemon/{number}, /race"),
        (get("/pokemon/1/moves"), 404, "path: got '/pokemon/1/moves', allowed: /pokemon, /pokemon/{number}, /race"),
        (get("/pokemons", method="POST"), 404, "path: got '/pokemons', allowed: /pokemon, /pokemon/{number}, /race"),
        (get("/race", method="HEAD"), 405, "method: got 'HEAD', allowed: GET"),
        (get("/pokemon", limit="3"), 400, "limit: got '3', allowed: only the fields range, strategy, fresh"),
        (get("/pokemon", range="1-9999"), 400, "range: got '1-9999', allowed: at most 1500 numbers"),
        (get("/pokemon", fresh="1"), 400, "fresh: got '1', allowed: true or false"),
        (get("/pokemon/mew"), 400, "number: got 'mew', allowed: a number such as 151"),
        (get("/pokemon/1-3"), 400, "number: got '1-3', allowed: a number such as 151"),
        (get("/pokemon/151", range="1"), 400, "range: got '1', allowed: nothing, /pokemon sets it"),
        (get("/race", strategy="sync"), 400, "strategy: got 'sync', allowed: nothing, /race sets it"),
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


def test_a_wrong_method_is_told_the_right_one(handle: Handle) -> None:
    assert handle(get("/pokemon", method="PUT"))["headers"]["Allow"] == "GET"


NOT_FOUND = answers.text(404, "Not Found")
DOWN = answers.text(500, "Internal Server Error")


@pytest.mark.parametrize(
    ("path", "first", "second", "status"),
    [
        ("/pokemon", NOT_FOUND, NOT_FOUND, 404),
        ("/pokemon", DOWN, NOT_FOUND, 502),
        ("/pokemon", DOWN, answers.reset, 502),
        ("/pokemon", answers.hang, NOT_FOUND, 504),
        ("/pokemon", answers.hang, answers.stuck, 504),
        ("/pokemon", answers.hang, DOWN, 502),
        ("/pokemon", DOWN, None, 200),
        ("/race", DOWN, NOT_FOUND, 502),
    ],
)
def test_the_status_when_no_name_comes(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI,
    load_app: Callable[..., ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    first: Answer,
    second: Answer | None,
    status: int,
) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", timedelta(milliseconds=200))
    pokeapi.answers = {PokeAPI.LIST: DOWN, 1: first} | ({2: second} if second else {})
    reply = load_app().handler(get(path, range="1-2"), Context())
    body = json.loads(reply["body"])
    assert reply["statusCode"] == status
    if path == "/pokemon":
        assert len(body["failures"]) == 2 - body["count"]
    if status != HTTPStatus.OK:
        assert reply["headers"]["Content-Type"] == "application/problem+json"
        assert body["status"] == status
        assert body["title"] == HTTPStatus(status).phrase
        assert body["detail"]
