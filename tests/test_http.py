"""HTTP requests and their replies; test_openapi.py compares these with their description."""

import hashlib
import json
import re
from base64 import b64encode
from html import unescape
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names.model import STRATEGIES, Failure, Fetched, Reason
from pokemon_names.report import Report
from pokemon_names.sources import responses
from pokemon_names.sources.base import Deployment
from pokemon_names.sources.http import Http
from tests.conftest import (
    Handle,
    LoadApp,
    TimingOut,
    header_of,
    http_event,
    make_request,
    sample,
)
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

PATHS = "/, /pokemon, /pokemon/{number}, /race, /race.svg, /openapi.yaml"
FIELDS = "only the fields range, strategy, fresh, trace"
RANGES = "up to 1,500 numbers, as in 1-151,10001-10010"
SOME_STRATEGIES = "some of gather, sequential, sync, index"

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
SVG = "image/svg+xml"
PROBLEM = "application/problem+json"

WARM_UP = 1  # request of each client, before a race

# Accept headers
AXIOS = "application/json, text/plain, */*"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


SHAPES = ["http-api", "rest-api", "function-url", "alb", "alb-multi-value"]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def shaped_event(shape: str, path: str, method: str = "GET", **query: str) -> dict[str, Any]:
    """Return the event that a sample's kind of API makes of a request."""
    event = sample(shape)
    if "rawPath" in event:
        event["rawPath"] = path
        event["requestContext"]["http"]["method"] = method
    else:
        event["path"] = path
        event["httpMethod"] = method
    event["queryStringParameters"] = query
    event.pop("multiValueQueryStringParameters", None)
    return event


def add_header(event: dict[str, Any], name: str, value: str) -> None:
    if "headers" in event:
        event["headers"][name] = value
    if "multiValueHeaders" in event:
        event["multiValueHeaders"][name] = [value]


def links_in(reply: dict[str, Any]) -> list[str]:
    """Return the links to other pages."""
    return re.findall('href="([^"#]+)"', reply["body"])


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


def test_by_index_all_names_are_listed_but_those_that_are_cached(handle: Handle) -> None:
    get_json(handle, "/pokemon", range="1-2")
    timing = get_json(handle, "/pokemon", range="1-5,1026", strategy="index")["timing"]
    assert timing["cached"] == 2
    assert timing["listed"] == 3


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


@every_shape
@pytest.mark.parametrize(
    "path",
    ["/v1/pokemon/151", "/v1/pokemon/151/", "/a/b/pokemon/151"],
)
def test_a_base_path_may_stand_before_the_path(handle: Handle, shape: str, path: str) -> None:
    assert json.loads(handle(shaped_event(shape, path))["body"])["names"] == ["mew"]


@given(
    base_path=st.lists(st.sampled_from(["", "v1", "prod", "pokemons", "1"])),
    number=st.integers(1, 1500),
)
def test_whatever_stands_before_it_the_path_means_the_same(
    base_path: list[str], number: int
) -> None:
    path = "/".join(["", *base_path, "pokemon", str(number)])
    source = Http.from_event(http_event(path), Deployment())
    assert source
    assert source.event.route == ["pokemon", str(number)]


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/v1",
        "/v1/",
        "/v1/pokemons",
        "/production",
        "/prod/docs",
        "/pokemon/1/2",
        "/pokemon/pokemon/1",
        "/race/1",
    ],
)
def test_any_other_path_is_not_found(handle: Handle, path: str) -> None:
    event = http_event(path)
    event["requestContext"]["stage"] = "prod"
    reply = handle(event)
    assert reply["statusCode"] == 404
    assert json.loads(reply["body"])["given"] == path


@pytest.mark.parametrize("path", ["", "/", "/prod", "/prod/", "/v1/", "/a/b/"])
def test_every_link_of_the_documentation_is_served_behind_a_base_path(
    handle: Handle, path: str
) -> None:
    event = http_event(path)
    event["requestContext"] |= {"stage": "prod", "domainPrefix": "names"}
    links = links_in(handle(event))
    assert len(links) == len(PATHS.split(", "))  # one is the button's, for the root has none
    for link in links:
        url = urlsplit(urljoin(path, link))
        assert url.path.startswith(path)
        reply = handle(http_event(url.path, **dict(parse_qsl(url.query))))
        assert reply["statusCode"] == 200


def test_the_links_of_the_documentation_keep_the_stage_of_a_rest_api(handle: Handle) -> None:
    event = shaped_event("rest-api", "/")
    event["requestContext"]["path"] = "/prod"
    assert urljoin("/prod", links_in(handle(event))[2]) == "/prod/pokemon/151"
    event["requestContext"]["path"] = "/prod/"
    assert urljoin("/prod/", links_in(handle(event))[2]) == "/prod/pokemon/151"


@pytest.mark.parametrize("shape", ["http-api", "rest-api"])
def test_the_root_has_the_documentation_behind_a_base_path(handle: Handle, shape: str) -> None:
    event = shaped_event(shape, "/v1/")
    event["requestContext"]["domainPrefix"] = "names"  # only a custom domain has base paths
    reply = handle(event)
    assert header_of(reply, "Content-Type") == HTML
    assert "<h2>GET /pokemon/{number}</h2>" in reply["body"]


@pytest.mark.parametrize("shape", ["http-api", "alb-multi-value"])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/pokemon", {"range": "1-3"}),
        ("/pokemon", {"range": "x"}),
        ("/pokemon/151", {}),
        ("/race", {"range": "1", "strategies": "index"}),
        ("/", {}),
        ("/openapi.yaml", {}),
        ("/docs", {}),
    ],
)
def test_head_is_answered_as_get_is_without_the_body(
    handle: Handle, shape: str, path: str, query: dict[str, str]
) -> None:
    reply = handle(shaped_event(shape, path, **query))
    assert reply["body"]
    assert handle(shaped_event(shape, path, "HEAD", **query)) == {**reply, "body": ""}


@every_shape
@pytest.mark.parametrize(
    "content",
    [
        {"body": '{"range": "25"}', "isBase64Encoded": False},
        {"body": "eyJyYW5nZSI6ICIyNSJ9", "isBase64Encoded": True},
        {"body": "no Base64", "isBase64Encoded": True},
    ],
)
def test_a_body_is_ignored(handle: Handle, shape: str, content: dict[str, Any]) -> None:
    reply = handle(shaped_event(shape, "/pokemon", range="151") | content)
    assert json.loads(reply["body"])["names"] == ["mew"]
    refusal = handle(shaped_event(shape, "/pokemon", "POST", range="151") | content)
    assert refusal["statusCode"] == 405


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "TEXT/PLAIN",
        "text/*",
        "text/plain, */*;q=0.1",
        "text/plain;q=0.6, application/*;q=0.5",
        "application/json;q=0.5,text/plain",
    ],
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
        "text/plain, application/json;q=1.0",
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
    assert pokeapi.requests == WARM_UP + WARM_UP + 5 + 5 + 5 + 1


def test_a_race_between_some_of_the_strategies(pokeapi: PokeAPI, handle: Handle) -> None:
    body = get_json(handle, "/race", range="1-5", strategies="index, gather,index")
    speedups = [(entry["strategy"], entry["speedup"]) for entry in body["race"]]
    assert speedups == [("gather", None), ("index", None)]
    assert pokeapi.requests == WARM_UP + 5 + 1
    reply = handle(http_event("/race", "text/plain", range="1-5", strategies="index"))
    (line,) = reply["body"].splitlines()
    assert line.split()[-2:] == ["5", "names"]


def test_a_race_without_a_range_is_one_that_every_strategy_finishes(handle: Handle) -> None:
    race = get_json(handle, "/race", strategies="index")
    assert race["range"] == "1-50"
    assert race["race"][0]["count"] == 50


GATHER_AND_INDEX = "gather and index take 1,500"


@pytest.mark.parametrize(
    ("path", "query", "allowed"),
    [
        ("/pokemon", {"strategy": "sync"}, "150 numbers by URL with sync"),
        ("/pokemon", {"strategy": "sequential"}, "150 numbers by URL with sequential"),
        ("/race", {}, "75 numbers by URL with sequential and sync"),
        ("/race", {"strategies": "sync,sequential"}, "75 numbers by URL with sequential and sync"),
        ("/race", {"strategies": "gather,sync"}, "150 numbers by URL with sync"),
        ("/race", {"strategies": "sequential,index"}, "150 numbers by URL with sequential"),
    ],
)
def test_the_slow_strategies_take_a_range_that_they_can_finish(
    handle: Handle, pokeapi: PokeAPI, path: str, query: dict[str, str], allowed: str
) -> None:
    reply = handle(http_event(path, range="1-151", **query))
    body = json.loads(reply["body"])
    assert reply["statusCode"] == 400
    assert body["field"] == "range"
    assert body["given"] == "1-151"
    assert body["allowed"] == f"up to {allowed}; {GATHER_AND_INDEX}"
    assert body["detail"].endswith("(151 numbers)")
    assert pokeapi.requests == 0


@pytest.mark.parametrize(
    ("path", "query", "count"),
    [
        ("/pokemon", {"strategy": "sync"}, 3),
        ("/pokemon", {"strategy": "gather"}, 4),
        ("/race", {"strategies": "gather,sync"}, 3),
        ("/race", {"strategies": "sequential,sync"}, 1),
        ("/race", {"strategies": "gather,index"}, 4),
    ],
)
def test_each_strategy_takes_as_many_numbers_as_the_deployment_allows(
    load_app: LoadApp, path: str, query: dict[str, str], count: int
) -> None:
    app = load_app(MAX_SEQUENTIAL_NUMBERS="3", MAX_NUMBERS="4")
    for numbers in range(1, 6):
        event = http_event(path, range=f"1-{numbers}", **query)
        status = 200 if numbers <= count else 400
        assert app.handler(event, Context())["statusCode"] == status


def test_the_page_of_a_race_shows_how_many_numbers_it_takes(handle: Handle) -> None:
    reply = handle(http_event("/race", BROWSER, range="1-76"))
    assert reply["statusCode"] == 400
    assert "up to 75 numbers by URL with sequential and sync" in reply["body"]


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
def test_without_a_url_the_slow_strategies_take_any_range(load_app: LoadApp, strategy: str) -> None:
    app = load_app(MAX_SEQUENTIAL_NUMBERS="1")
    assert app.handler({"range": "1-3", "strategy": strategy}, Context())["count"] == 3


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


def test_the_links_of_a_race_are_served_behind_a_stage(handle: Handle) -> None:
    for path in ("/race", "/prod/race", "/prod/race/"):
        event = http_event(path, BROWSER, range="1,3-4", strategies="gather,sync")
        picture, names, documentation = links_in(handle(event))
        for link, content_type in ((picture, SVG), (names, JSON), (documentation, HTML)):
            url = urlsplit(urljoin(path, unescape(link)))
            query = dict(parse_qsl(url.query))
            event = http_event(url.path, **query)
            event["requestContext"]["stage"] = "prod"
            reply = handle(event)
            assert reply["statusCode"] == 200
            assert header_of(reply, "Content-Type") == content_type


def test_the_picture_of_a_race_is_a_document_with_a_policy_of_its_own(handle: Handle) -> None:
    reply = handle(http_event("/race.svg", range="1-3", strategies="gather,sync"))
    assert header_of(reply, "Content-Type") == SVG
    assert reply["body"].count('class="lane"') == 2
    (style,) = re.findall("<style>(.*?)</style>", reply["body"], re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in header_of(reply, "Content-Security-Policy")


def test_the_picture_of_a_race_shows_new_requests(pokeapi: PokeAPI, handle: Handle) -> None:
    event = http_event("/race.svg", range="1-3", strategies="gather")
    requests = []
    for _ in range(2):
        handle(event)
        requests.append(pokeapi.requests)
    assert requests == [WARM_UP + 3, 2 * (WARM_UP + 3)]


def test_a_race_without_names_has_no_picture(handle: Handle) -> None:
    reply = handle(http_event("/race.svg", BROWSER, range="1026"))
    assert reply["statusCode"] == 404
    assert header_of(reply, "Content-Type") == PROBLEM
    assert len(json.loads(reply["body"])["race"]) == 4


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
            http_event("/race", method="PUT"),
            405,
            "method: got 'PUT', allowed: GET, HEAD",
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
    assert header_of(reply, "Allow") == "GET, HEAD"


def test_a_complete_reply_may_be_cached_for_a_day(handle: Handle) -> None:
    first = handle(http_event("/pokemon", range="1-3"))
    second = handle(http_event("/pokemon", range="1-3"))
    assert header_of(first, "Cache-Control") == PUBLIC
    assert header_of(first, "ETag") == header_of(second, "ETag")
    assert json.loads(first["body"])["timing"] != json.loads(second["body"])["timing"]


PUBLIC = "public, max-age=86400"
PRIVATE = "private, max-age=86400"


@pytest.mark.parametrize("shape", ["http-api", "rest-api"])
@pytest.mark.parametrize(
    ("context", "cache_control"),
    [
        ({"authorizer": {}}, PUBLIC),
        ({"authorizer": None}, PUBLIC),
        ({"identity": {"userArn": None, "apiKey": None, "sourceIp": "203.0.113.7"}}, PUBLIC),
        ({"identity": None}, PUBLIC),
        ({"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/ash"}}}, PRIVATE),
        ({"authorizer": {"jwt": {"claims": {"sub": "ash"}, "scopes": None}}}, PRIVATE),
        ({"authorizer": {"principalId": "ash", "integrationLatency": 3}}, PRIVATE),
        ({"identity": {"userArn": "arn:aws:iam::123456789012:user/ash"}}, PRIVATE),
        ({"identity": {"apiKey": "secret"}}, PRIVATE),
        ({"identity": {"clientCert": {"subjectDN": "CN=ash"}}}, PRIVATE),
        ({"authentication": {"clientCert": {"subjectDN": "CN=ash"}}}, PRIVATE),
    ],
)
def test_a_reply_to_a_caller_whom_the_api_knows_is_for_that_caller_alone(
    handle: Handle, shape: str, context: dict[str, Any], cache_control: str
) -> None:
    event = shaped_event(shape, "/pokemon", range="1-3")
    event["requestContext"] |= context
    assert header_of(handle(event), "Cache-Control") == cache_control


@pytest.mark.parametrize("shape", ["http-api", "alb-multi-value"])
@pytest.mark.parametrize("path", ["/", "/openapi.yaml", "/pokemon/151"])
@pytest.mark.parametrize(
    "header",
    ["Authorization", "X-Api-Key", "X-Amzn-Oidc-Identity", "X-Amzn-Mtls-Clientcert-Subject"],
)
def test_a_reply_to_a_request_with_credentials_is_for_that_caller_alone(
    handle: Handle, shape: str, path: str, header: str
) -> None:
    event = shaped_event(shape, path)
    assert header_of(handle(event), "Cache-Control") == PUBLIC
    add_header(event, header, "secret")
    assert header_of(handle(event), "Cache-Control") == PRIVATE


@pytest.mark.parametrize("shape", ["rest-api", "alb"])
def test_a_request_without_path_is_for_the_documentation(handle: Handle, shape: str) -> None:
    event = sample(shape)
    del event["path"]
    event["requestContext"].pop("path", None)
    reply = handle(event)
    assert reply["statusCode"] == 200
    assert header_of(reply, "Content-Type") == HTML


def test_a_request_without_fields_is_a_wrong_method(handle: Handle) -> None:
    event = sample("http-api")
    del event["rawPath"], event["requestContext"]["http"]["method"]
    reply = handle(event)
    assert reply["statusCode"] == 405
    assert json.loads(reply["body"])["given"] == ""


def test_a_request_without_method_is_a_wrong_method(handle: Handle) -> None:
    event = sample("alb")
    del event["httpMethod"]
    reply = handle(event)
    assert reply["statusCode"] == 405
    assert json.loads(reply["body"])["given"] == ""


def test_the_etag_depends_on_the_names_and_on_the_content_type(handle: Handle) -> None:
    events = [
        http_event("/pokemon", range="1-3"),
        http_event("/pokemon", range="1-2"),
        http_event("/pokemon", "text/plain", range="1-3"),
    ]
    tags = {header_of(handle(event), "ETag") for event in events}
    assert len(tags) == 3


@every_shape
@pytest.mark.parametrize("template", ["{}", '"other", {}', '"other",{}', "*"])
def test_a_caller_that_has_the_names_gets_304_and_no_body(
    handle: Handle, shape: str, template: str
) -> None:
    event = sample(shape)
    first = handle(event)
    if_none_match = template.format(header_of(first, "ETag"))
    add_header(event, "If-None-Match", if_none_match)
    reply = handle(event)
    assert reply["statusCode"] == 304
    assert header_of(reply, "Content-Type") == header_of(first, "Content-Type")
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
    pokeapi: PokeAPI, load_app: LoadApp
) -> None:
    app = load_app()
    vars(app)["policy"] = msgspec.structs.replace(app.policy, silence_timeout=0.4)
    pokeapi.answers = dict.fromkeys([PokeAPI.LIST, *range(1, 151)], DOWN)
    reply = app.handler(http_event("/pokemon"), Context())
    body = json.loads(reply["body"])
    failures = body["failures"]
    attempts = sum(failure["attempts"] for failure in failures)
    requests = body["timing"]["requests"]  # those for the list of all included
    assert reply["statusCode"] == 502
    assert [failure["number"] for failure in failures] == list(range(1, 151))
    assert attempts <= requests
    assert pokeapi.requests <= requests <= 250  # the last may be cut off before they arrive


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
    path: str,
    first: Answer,
    second: Answer | None,
    status: int,
) -> None:
    pokeapi.answers = {PokeAPI.LIST: DOWN, 1: first}
    if second:
        pokeapi.answers[2] = second
    late = [number for number, answer in pokeapi.answers.items() if answer is LATE]
    app = load_app()
    vars(app)["policy"] = msgspec.structs.replace(app.policy, silence_timeout=0.5)
    vars(app)["clients"] = TimingOut(url, *late)
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


def test_names_that_failed_for_every_reason_of_time_are_late() -> None:
    reasons: list[Reason] = ["not_found", "timeout", "deadline"]
    failures = [Failure(1, reason, None, 1, "late") for reason in reasons]
    report = Report(make_request(range="1-3"), Fetched(failures, [], 1.0))
    assert responses.names(report, "", "").status == HTTPStatus.GATEWAY_TIMEOUT
