"""HTTP responses: statuses, content types, caching. test_openapi.py checks their description."""

import hashlib
import json
import re
from base64 import b64encode
from http import HTTPStatus
from typing import Any

import pytest

from pokemon_names.model import Failure, Fetched, Found, Reason, Result
from pokemon_names.report import Report
from pokemon_names.sources import responses
from tests.conftest import NO_RETRIES, Handle, LoadApp, header_of, http_event, make_request, sample
from tests.sources.test_http import (
    BROWSER,
    HTML,
    PRIVATE,
    PROBLEM,
    SOME_STRATEGIES,
    add_header,
    get_json,
)
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
SVG = "image/svg+xml"

AXIOS = "application/json, text/plain, */*"  # the Accept header that axios sends

BAD_RANGE = "range: got &#x27;&lt;script&gt;&#x27;, allowed: up to 1,500 numbers"
BAD_STRATEGIES = f"strategies: got &#x27;all&#x27;, allowed: {SOME_STRATEGIES}"


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "TEXT/PLAIN",
        "text/*",
        "text/plain, */*;q=0.1",
        "text/plain;q=0.6, application/*;q=0.5",
        "application/json;q=0.5,text/plain",
        "application/json;q=0, */*",
    ],
)
def test_names_as_text_are_one_per_line(warm: Handle, accept: str) -> None:
    reply = warm(http_event("/pokemon", accept, range="1-3,1026"))
    assert header_of(reply, "Content-Type") == TEXT
    assert reply["body"] == "bulbasaur\nivysaur\nvenusaur\n"


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "text/plain;q=0.4, application/json; q=0.5",
        "text/plain, application/json;q=1.0",
        "text/plain; q=0",
        AXIOS,
        BROWSER,
        ";q=,",
    ],
)
def test_names_are_json_unless_text_ranks_higher(warm: Handle, accept: str) -> None:
    reply = warm(http_event("/pokemon", accept, range="1"))
    assert header_of(reply, "Content-Type") == JSON


@pytest.mark.parametrize(
    "accept",
    [
        BROWSER,
        "text/html",
        "text/*;q=0.2, text/html;q=0.3",
        "text/html;q=0.9, */*;q=0.8, application/json;q=0",
    ],
)
def test_a_race_is_a_page_for_browsers(warm: Handle, accept: str) -> None:
    reply = warm(http_event("/race", accept, range="1-3", strategies="index"))
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
def test_a_race_is_json_unless_html_ranks_higher(warm: Handle, accept: str) -> None:
    reply = warm(http_event("/race", accept, range="1", strategies="index"))
    assert header_of(reply, "Content-Type") == JSON


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"range": "<script>"}, 400, BAD_RANGE),
        ({"range": "1-76"}, 400, "up to 75 numbers by URL with sequential and sync"),
        ({"strategies": "all"}, 400, BAD_STRATEGIES),
        ({"range": "1026", "strategies": "index"}, 404, "no Pokémon has any of these numbers"),
    ],
)
def test_the_page_of_a_race_shows_what_is_wrong(
    warm: Handle, query: dict[str, str], status: int, message: str
) -> None:
    reply = warm(http_event("/race", BROWSER, **query))
    assert reply["statusCode"] == status
    assert header_of(reply, "Content-Type") == HTML
    assert message in reply["body"]
    assert "<form>" in reply["body"]


@pytest.mark.parametrize(
    "event",
    [
        http_event("/docs", BROWSER),
        http_event("/race", BROWSER, method="POST"),
        http_event("/pokemon/1026", BROWSER),
    ],
)
def test_other_errors_have_no_page(warm: Handle, event: dict[str, Any]) -> None:
    assert header_of(warm(event), "Content-Type") == PROBLEM


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("/pokemon", {"range": "<script>"}, BAD_RANGE),
        ("/pokemon", {"limit": "3"}, "limit: got &#x27;…&#x27;, allowed: only the fields range"),
        ("/pokemon/x", {}, "number: got &#x27;x&#x27;, allowed: a number such as 151"),
        ("/race.svg", {"range": "<script>"}, BAD_RANGE),
    ],
)
def test_a_bad_request_is_a_page_for_browsers_and_a_problem_for_others(
    warm: Handle, path: str, query: dict[str, str], message: str
) -> None:
    page = warm(http_event(path, BROWSER, **query))
    assert page["statusCode"] == 400
    assert header_of(page, "Content-Type") == HTML
    assert header_of(page, "Content-Security-Policy").startswith("default-src 'none'; ")
    assert header_of(page, "Cache-Control") == "no-store"
    assert message in page["body"]
    assert "<form" in page["body"]
    for accept in ("", "*/*", AXIOS, "text/plain", "image/*,*/*;q=0.8"):
        problem = warm(http_event(path, accept, **query))
        assert problem["statusCode"] == 400
        assert header_of(problem, "Content-Type") == PROBLEM


def test_the_picture_of_a_race_is_a_document_with_its_own_policy(warm: Handle) -> None:
    reply = warm(http_event("/race.svg", range="1-3", strategies="gather,sync"))
    assert header_of(reply, "Content-Type") == SVG
    assert reply["body"].count('class="code"') == 2
    (style,) = re.findall("<style>(.*?)</style>", reply["body"], re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in header_of(reply, "Content-Security-Policy")


def test_a_race_without_names_has_no_picture(warm: Handle) -> None:
    reply = warm(http_event("/race.svg", BROWSER, range="1026", strategies="gather,index"))
    assert reply["statusCode"] == 404
    assert header_of(reply, "Content-Type") == PROBLEM
    assert len(json.loads(reply["body"])["race"]) == 2


def test_a_race_as_text_has_a_line_for_each_strategy(warm: Handle) -> None:
    reply = warm(http_event("/race", "text/plain", range="1-3", strategies="gather,sync"))
    assert header_of(reply, "Content-Type") == TEXT
    lines = reply["body"].splitlines()
    assert [line.split()[0] for line in lines] == ["gather", "sync"]
    assert all(line.endswith(" 3 names") for line in lines)


def test_the_descriptions_of_the_api_need_no_request_to_pokeapi(
    handle: Handle, pokeapi: PokeAPI
) -> None:
    for_programs, for_people = handle(http_event("/openapi.yaml")), handle(http_event("/"))
    assert for_programs["statusCode"] == for_people["statusCode"] == 200
    assert header_of(for_programs, "Content-Type") == "application/yaml"
    assert for_programs["body"].startswith("openapi: 3.1.0\n")
    assert header_of(for_people, "Content-Type") == HTML
    assert "<h2>GET /pokemon/{number}</h2>" in for_people["body"]
    assert pokeapi.requests == 0


def test_the_reply_to_a_wrong_method_names_the_right_one(warm: Handle) -> None:
    reply = warm(http_event("/pokemon", method="PUT"))
    assert header_of(reply, "Allow") == "GET, HEAD"


def test_a_complete_reply_may_be_cached_for_a_day(handle: Handle) -> None:
    first = handle(http_event("/pokemon", range="1-3"))
    second = handle(http_event("/pokemon", range="1-3"))
    assert header_of(first, "Cache-Control") == PRIVATE
    assert header_of(first, "ETag") == header_of(second, "ETag")
    assert json.loads(first["body"])["timing"] != json.loads(second["body"])["timing"]


def test_the_etag_depends_on_the_names_and_on_the_content_type(warm: Handle) -> None:
    events = [
        http_event("/pokemon", range="1-3"),
        http_event("/pokemon", range="1-2"),
        http_event("/pokemon", "text/plain", range="1-3"),
    ]
    tags = {header_of(warm(event), "ETag") for event in events}
    assert len(tags) == 3


@pytest.mark.parametrize(
    ("shape", "template"),
    [
        ("http-api", "{}"),
        ("http-api", '"other", {}'),
        ("http-api", '"other",{}'),
        ("http-api", "*"),
        ("http-api", " * "),
        ("http-api", "strong {}"),
        ("http-api", '"other", strong {}'),
        ("alb-multi-value", "{}"),
    ],
)
def test_a_caller_that_has_the_names_gets_304_and_no_body(
    warm: Handle, shape: str, template: str
) -> None:
    event = sample(shape)
    first = warm(event)
    if_none_match = template.format(header_of(first, "ETag")).replace("strong W/", "")
    add_header(event, "If-None-Match", if_none_match)
    reply = warm(event)
    assert reply["statusCode"] == 304
    assert reply["body"] == ""
    for header in ("Content-Type", "ETag", "Cache-Control", "Vary"):
        assert header_of(reply, header) == header_of(first, header)


@pytest.mark.parametrize("tags", ['W/"other"', '"other"', '"a, *, b"', '"other", *', "W/", "", "W"])
def test_a_caller_that_has_other_names_gets_the_reply(warm: Handle, tags: str) -> None:
    event = http_event("/pokemon", range="1")
    event["headers"]["if-none-match"] = tags
    assert warm(event)["statusCode"] == 200


@pytest.mark.parametrize(
    "event",
    [
        http_event("/"),
        http_event("/openapi.yaml"),
        http_event("/pokemon", range="1"),
        http_event("/pokemon", "text/plain", range="1"),
        http_event("/pokemon", range="x"),
        http_event("/docs"),
        http_event("/race", BROWSER, range="1", strategies="index"),
        http_event("/race.svg", range="1", strategies="index"),
        sample("alb-multi-value"),
    ],
)
def test_no_browser_guesses_the_type_of_a_reply(warm: Handle, event: dict[str, Any]) -> None:
    assert header_of(warm(event), "X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "event",
    [
        http_event("/pokemon", range="1,1026"),
        http_event("/pokemon", range="1", fresh="true"),
        http_event("/pokemon", range="1-x"),
        http_event("/pokemon/1026"),
        http_event("/race", range="1", strategies="index"),
    ],
)
def test_no_other_reply_may_be_cached(warm: Handle, event: dict[str, Any]) -> None:
    event["headers"]["if-none-match"] = "*"
    reply = warm(event)
    assert header_of(reply, "Cache-Control") == "no-store"
    assert header_of(reply, "ETag") is None
    assert reply["statusCode"] != HTTPStatus.NOT_MODIFIED


def test_with_pokeapi_down_the_reply_has_a_failure_for_each_number(
    pokeapi: PokeAPI, load_app: LoadApp
) -> None:
    app = load_app()
    vars(app)["policy"] = NO_RETRIES
    pokeapi.answers = dict.fromkeys(range(1, 11), answers.status(500))
    pokeapi.answers[PokeAPI.LIST] = answers.status(403)
    body = get_json(lambda event: app.handler(event, Context()), "/pokemon", range="1-10")
    failures = body["failures"]
    assert body["status"] == 502
    assert [failure["number"] for failure in failures] == list(range(1, 11))
    assert sum(failure["attempts"] for failure in failures) <= body["timing"]["requests"]


def report(*reasons: Reason | None) -> Report:
    """Return a report of numbers that failed for these reasons; None stands for a name."""
    results: list[Result] = []
    for number, reason in enumerate(reasons, start=1):
        failed = reason and Failure(number, reason, None, 1, "why")
        results.append(failed or Found(number, f"name-{number}"))
    return Report(make_request(range=f"1-{len(reasons)}"), Fetched(results, [], 1.0))


@pytest.mark.parametrize(
    ("reasons", "status"),
    [
        (["not_found", "not_found"], 404),
        (["bad_status", "not_found"], 502),
        (["bad_status", "unreachable"], 502),
        (["bad_body"], 502),
        (["timeout", "not_found"], 504),
        (["timeout", "timeout"], 504),
        (["not_found", "timeout", "deadline"], 504),
        (["timeout", "bad_status"], 502),
    ],
)
def test_without_names_the_status_depends_on_why_the_numbers_failed(
    reasons: list[Reason], status: int
) -> None:
    failed = report(*reasons)
    raced = responses.race([failed], {}, "")
    for response in (responses.names(failed, "", ""), raced):
        body = json.loads(response.body)
        assert response.content_type == PROBLEM
        assert response.status == body["status"] == status
        assert body["title"] == HTTPStatus(status).phrase
        assert body["detail"]
    assert len(json.loads(responses.names(failed, "", "").body)["failures"]) == len(reasons)


def test_with_one_name_the_status_is_200() -> None:
    some = report("bad_status", None)
    assert responses.names(some, "", "").status == HTTPStatus.OK
    assert responses.race([report("bad_status"), some], {}, "").status == HTTPStatus.OK
