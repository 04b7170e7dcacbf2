"""HTTP requests: paths, queries and methods, in all of AWS's event shapes."""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names.model import STRATEGIES, Fetched, Found, InvalidRequest, Request
from pokemon_names.report import Outcome, Report
from pokemon_names.sources import http
from tests.conftest import SETTINGS, Handle, LoadApp, header_of, http_event, make_request, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI

PATHS = "/, /pokemon, /pokemon/{number}, /race, /race.svg, /openapi.yaml"
FIELDS = "only the fields range, strategy, fresh, trace"
RANGES = "up to 1,500 numbers, as in 1-151,10001-10010"
SOME_STRATEGIES = "some of gather, sequential, sync, index"
GATHER_AND_INDEX = "gather and index take 1,500"

HTML = "text/html; charset=utf-8"
PROBLEM = "application/problem+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PRIVATE = "private, max-age=86400"

WARM_UP = 1  # the request that each client sends before a race


def shaped_event(shape: str, path: str, method: str = "GET", **query: str) -> dict[str, Any]:
    """Return the event that the API in a sample would send for a request."""
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
    return re.findall('<a [^>]*href="([^"#]+)"', reply["body"])


def get_json(handle: Handle, path: str, **query: str) -> Any:
    return json.loads(handle(http_event(path, **query))["body"])


def test_without_a_range_the_first_150_are_fetched(warm: Handle) -> None:
    get_json(warm, "/pokemon", range="1-150", strategy="index")
    event = http_event("/pokemon")
    del event["queryStringParameters"]
    body = json.loads(warm(event)["body"])
    assert body["range"] == "1-150"
    assert body["count"] == 150


def test_the_query_may_have_every_field(warm: Handle) -> None:
    query = {"range": "1-2", "strategy": "sync", "fresh": "true", "trace": "true"}
    body = get_json(warm, "/pokemon", **query)
    assert body["range"] == "1-2"
    assert body["strategy"] == "sync"
    assert body["names"] == ["bulbasaur", "ivysaur"]
    assert [attempt["number"] for attempt in body["trace"]] == [1, 2]


def test_with_index_all_names_except_cached_ones_come_from_the_list(handle: Handle) -> None:
    get_json(handle, "/pokemon", range="1-2")
    timing = get_json(handle, "/pokemon", range="1-5,1026", strategy="index")["timing"]
    assert timing["cached"] == 2
    assert timing["listed"] == 3


def test_the_trace_is_included_on_request(handle: Handle) -> None:
    assert "trace" not in get_json(handle, "/pokemon", range="1-2")
    body = get_json(handle, "/pokemon", range="1-3", trace="true")
    assert [attempt["number"] for attempt in body["trace"]] == [3]  # the others are cached


@pytest.mark.parametrize(
    "path", ["/pokemon/151/", "/prod/pokemon/151", "//pokemon/151", "/pokemon/%31%35%31"]
)
def test_a_path_may_be_spelled_in_several_ways(warm: Handle, path: str) -> None:
    event = http_event(path)
    event["requestContext"]["stage"] = "prod"
    assert json.loads(warm(event)["body"])["names"] == ["mew"]


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("http-api", "/v1/pokemon/151"),
        ("rest-api", "/v1/pokemon/151/"),
        ("alb", "/a/b/pokemon/151"),
    ],
)
def test_a_base_path_may_precede_the_path(warm: Handle, shape: str, path: str) -> None:
    assert json.loads(warm(shaped_event(shape, path))["body"])["names"] == ["mew"]


@given(
    base_path=st.lists(st.sampled_from(["", "v1", "prod", "pokemons", "1"])),
    number=st.integers(1, 1500),
)
def test_a_path_means_the_same_after_any_base_path(base_path: list[str], number: int) -> None:
    path = "/".join(["", *base_path, "pokemon", str(number)])
    invocation = http.read(http_event(path), SETTINGS)
    assert invocation
    (job,) = invocation.jobs
    assert isinstance(job.request, Request)
    assert job.request.numbers == (number,)


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
def test_any_other_path_is_not_found(warm: Handle, path: str) -> None:
    event = http_event(path)
    event["requestContext"]["stage"] = "prod"
    reply = warm(event)
    assert reply["statusCode"] == 404
    assert json.loads(reply["body"])["given"] == "…"


def test_every_link_of_the_documentation_is_served(load_app: LoadApp) -> None:
    app = load_app()
    links = links_in(app.handler(http_event("/"), Context()))
    # One link for each path except the page's own, and one for the button.
    assert len(links) == len(PATHS.split(", "))
    statuses = []
    for link in links:
        url = urlsplit(urljoin("/", unescape(link)))
        event = http_event(url.path, **dict(parse_qsl(url.query)))
        statuses.append(app.handler(event, Context(seconds=app.MARGIN_SECONDS))["statusCode"])
    # There is no time to fetch anything, so links to names and races get a 504.
    assert statuses == [504, 504, 504, 504, 504, 200]


@pytest.mark.parametrize("path", ["", "/", "/prod", "/prod/", "/v1/", "/a/b/"])
def test_the_links_of_the_documentation_keep_the_base_path(warm: Handle, path: str) -> None:
    event = http_event(path)
    event["requestContext"] |= {"stage": "prod", "domainPrefix": "names"}
    base = path.rstrip("/")
    expected = [f"{base}/{link}" for link in links_in(warm(http_event("/")))]
    assert [urljoin(path or "/", link) for link in links_in(warm(event))] == expected


@pytest.mark.parametrize("path", ["/prod", "/prod/"])
def test_the_links_of_the_documentation_keep_the_stage_of_a_rest_api(
    warm: Handle, path: str
) -> None:
    event = shaped_event("rest-api", "/")
    event["requestContext"]["path"] = path
    assert urljoin(path, links_in(warm(event))[2]) == "/prod/pokemon/151"


@pytest.mark.parametrize("shape", ["http-api", "rest-api"])
def test_the_root_below_a_base_path_is_the_documentation(warm: Handle, shape: str) -> None:
    event = shaped_event(shape, "/v1/")
    event["requestContext"]["domainPrefix"] = "names"  # only a custom domain has base paths
    reply = warm(event)
    assert header_of(reply, "Content-Type") == HTML
    assert "<h2>GET /pokemon/{number}</h2>" in reply["body"]


@pytest.mark.parametrize(
    ("shape", "path", "query"),
    [
        ("http-api", "/pokemon", {"range": "1-3"}),
        ("http-api", "/pokemon", {"range": "x"}),
        ("http-api", "/race", {"range": "1", "strategies": "index"}),
        ("http-api", "/", {}),
        ("http-api", "/docs", {}),
        ("alb-multi-value", "/pokemon", {"range": "1-3"}),
    ],
)
def test_head_is_answered_like_get_without_the_body(
    warm: Handle, shape: str, path: str, query: dict[str, str]
) -> None:
    reply = warm(shaped_event(shape, path, **query))
    assert reply["body"]
    assert warm(shaped_event(shape, path, "HEAD", **query)) == {**reply, "body": ""}


@pytest.mark.parametrize(
    "content",
    [
        {"body": '{"range": "25"}', "isBase64Encoded": False},
        {"body": "eyJyYW5nZSI6ICIyNSJ9", "isBase64Encoded": True},
        {"body": "no Base64", "isBase64Encoded": True},
    ],
)
def test_a_body_is_ignored(warm: Handle, content: dict[str, Any]) -> None:
    reply = warm(http_event("/pokemon", range="151") | content)
    assert json.loads(reply["body"])["names"] == ["mew"]
    refusal = warm(http_event("/pokemon", method="POST", range="151") | content)
    assert refusal["statusCode"] == 405


def test_only_an_alb_with_multi_value_headers_gets_such_headers(warm: Handle) -> None:
    assert "headers" not in warm(sample("alb-multi-value"))
    for name in ("alb", "rest-api", "http-api", "function-url"):
        assert "multiValueHeaders" not in warm(sample(name))


def test_a_race_runs_every_strategy_on_the_same_range(pokeapi: PokeAPI, handle: Handle) -> None:
    body = get_json(handle, "/race", range="1-3")
    entries = body["race"]
    assert body["range"] == "1-3"
    assert [entry["strategy"] for entry in entries] == list(STRATEGIES)
    assert {entry["range"] for entry in entries} == {"1-3"}
    assert len({tuple(entry["names"]) for entry in entries}) == 1
    assert pokeapi.requests == WARM_UP + WARM_UP + 3 + 3 + 3 + 1


def test_a_race_may_be_between_some_of_the_strategies(pokeapi: PokeAPI, handle: Handle) -> None:
    body = get_json(handle, "/race", range="1-3", strategies="index, gather,index")
    speedups = [(entry["strategy"], entry["speedup"]) for entry in body["race"]]
    assert speedups == [("gather", None), ("index", None)]
    assert pokeapi.requests == WARM_UP + 3 + 1


def test_by_default_a_race_has_a_range_that_every_strategy_finishes(warm: Handle) -> None:
    race = get_json(warm, "/race", strategies="index")
    assert race["range"] == "1-50"
    assert race["race"][0]["count"] == 50


def test_the_picture_of_a_race_shows_new_requests(pokeapi: PokeAPI, handle: Handle) -> None:
    event = http_event("/race.svg", range="1-3", strategies="gather")
    requests = []
    for _ in range(2):
        handle(event)
        requests.append(pokeapi.requests)
    assert requests == [WARM_UP + 3, 2 * (WARM_UP + 3)]


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
def test_the_slow_strategies_take_only_ranges_they_can_finish(
    warm: Handle, path: str, query: dict[str, str], allowed: str
) -> None:
    reply = warm(http_event(path, range="1-151", **query))
    body = json.loads(reply["body"])
    assert reply["statusCode"] == 400
    assert body["field"] == "range"
    assert body["given"] == "1-151"
    assert body["allowed"] == f"up to {allowed}; {GATHER_AND_INDEX}"
    assert body["detail"].endswith("(151 numbers)")


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
    for numbers, status in ((count, 200), (count + 1, 400)):
        event = http_event(path, range=f"1-{numbers}", **query)
        assert app.handler(event, Context())["statusCode"] == status


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/race", "Up to 1 numbers with sequential and sync, 3 with one of them, 4 with neither."),
        ("/pokemon", "Up to 4 numbers, as in 1-151,10001-10010."),
    ],
)
def test_the_page_says_how_many_numbers_the_deployment_allows(
    load_app: LoadApp, path: str, hint: str
) -> None:
    app = load_app(MAX_SEQUENTIAL_NUMBERS="3", MAX_NUMBERS="4")
    reply = app.handler(http_event(path, BROWSER, range="x"), Context())
    assert f'<small id="hint">{hint}</small>' in reply["body"]


def test_the_page_of_a_race_allows_no_more_numbers_than_the_other_strategies_take(
    load_app: LoadApp,
) -> None:
    app = load_app(MAX_SEQUENTIAL_NUMBERS="3000", MAX_NUMBERS="5")
    reply = app.handler(http_event("/race", BROWSER, range="x"), Context())
    assert "Up to 5 numbers with sequential and sync, 5 with one of them" in reply["body"]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/pokemon", "/pokemon"),
        ("/prod/pokemon", "/prod/pokemon"),
        ("/prod/pokemon/", "/prod/pokemon"),
        ("/prod/pokemon/x", "/prod/pokemon"),
        ("/pokemon/x/", "/pokemon"),
    ],
)
def test_the_form_of_a_bad_request_for_names_keeps_the_stage(
    warm: Handle, path: str, target: str
) -> None:
    reply = warm(http_event(path, BROWSER, range="x"))
    (action,) = re.findall('<form action="([^"]+)"', reply["body"])
    assert urljoin(path, action) == target


@pytest.mark.parametrize(
    ("path", "base"), [("/race", ""), ("/prod/race", "/prod"), ("/prod/race/", "/prod")]
)
def test_the_links_of_a_race_keep_the_stage(warm: Handle, path: str, base: str) -> None:
    event = http_event(path, BROWSER, range="1,3-4", strategies="index,index")
    assert [urljoin(path, unescape(link)) for link in links_in(warm(event))] == [
        f"{base}/race.svg?range=1%2C3-4&strategies=index%2Cindex",
        f"{base}/pokemon?range=1%2C3-4",
        f"{base}/",
    ]


@pytest.mark.parametrize(
    ("event", "status", "detail"),
    [
        (
            http_event("/docs"),
            404,
            f"path: got '…', allowed: {PATHS}",
        ),
        (
            http_event("/pokemon/1/moves"),
            404,
            f"path: got '…', allowed: {PATHS}",
        ),
        (
            http_event("/pokemons", method="POST"),
            404,
            f"path: got '…', allowed: {PATHS}",
        ),
        (
            http_event("/race", method="PUT"),
            405,
            "method: got 'PUT', allowed: GET, HEAD",
        ),
        (
            http_event("/pokemon", limit="3"),
            400,
            f"limit: got '…', allowed: {FIELDS}",
        ),
        (
            http_event("/pokemon", range="1-9999"),
            400,
            f"range: got '1-9999', allowed: {RANGES} (9,999 numbers; the maximum is 1,500)",
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
            "range: got '1', allowed: nothing, because /pokemon sets it",
        ),
        (
            http_event("/race", strategy="sync"),
            400,
            "strategy: got 'sync', allowed: nothing, because /race sets it",
        ),
        (
            http_event("/race", strategies=""),
            400,
            f"strategies: got '', allowed: {SOME_STRATEGIES}",
        ),
        (
            http_event("/pokemon", strategies="sync"),
            400,
            f"strategies: got '…', allowed: {FIELDS}",
        ),
        (
            http_event("/race", fresh="true"),
            400,
            "fresh: got 'true', allowed: nothing, because /race sets it",
        ),
    ],
)
def test_a_problem_names_the_field_its_value_and_what_is_allowed(
    warm: Handle, event: dict[str, Any], status: int, detail: str
) -> None:
    reply = warm(event)
    body = json.loads(reply["body"])
    assert header_of(reply, "Content-Type") == PROBLEM
    assert reply["statusCode"] == body["status"] == status
    assert body["type"] == "about:blank"
    assert body["detail"] == detail
    assert detail.startswith(f"{body['field']}: got '{body['given']}', allowed: {body['allowed']}")


@pytest.mark.parametrize("accept", [None, BROWSER])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/pokemon", {"access_token": "s3cret"}),
        ("/race", {"range": "1", "strategies": "index", "access_token": "s3cret"}),
        ("/race.svg", {"access_token": "s3cret"}),
        ("/s3cret", {}),
        ("/pokemon/1/s3cret", {}),
        ("/race/s3cret", {}),
    ],
)
def test_a_refusal_neither_repeats_nor_logs_a_possible_secret(
    warm: Handle,
    caplog: pytest.LogCaptureFixture,
    path: str,
    query: dict[str, str],
    accept: str | None,
) -> None:
    reply = warm(http_event(path, accept, **query))
    assert reply["statusCode"] in {400, 404}
    (record,) = caplog.records
    assert record.message == "invalid request"
    assert "s3cret" not in json.dumps(reply) + str(vars(record))


@pytest.mark.parametrize("shape", ["http-api", "rest-api", "alb", "alb-multi-value"])
@pytest.mark.parametrize("path", ["/race", "/pokemon", "/race.svg"])
def test_invalid_unicode_is_escaped(warm: Handle, shape: str, path: str) -> None:
    event = shaped_event(shape, path, range="\ud800")
    add_header(event, "Accept", BROWSER)
    if shape in {"rest-api", "alb-multi-value"}:
        event["multiValueQueryStringParameters"] = {"range": ["\ud800", "x"]}
    reply = warm(event)
    assert reply["statusCode"] == 400
    assert r"\ud800" in reply["body"]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [("/race", {"\ud800": "1"}, 400), ("/\ud800", {}, 404), ("/\ud800/race/", {"range": "1"}, 200)],
)
@pytest.mark.parametrize("shape", ["http-api", "alb-multi-value"])
def test_no_part_of_a_request_has_to_be_valid_unicode(
    warm: Handle, shape: str, path: str, query: dict[str, str], status: int
) -> None:
    event = shaped_event(shape, path, **query)
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()}
    add_header(event, "Accept", BROWSER)
    add_header(event, "If-None-Match", "\ud800")
    assert warm(event)["statusCode"] == status


def test_multiple_values_that_are_not_a_list_are_ignored(warm: Handle) -> None:
    event = shaped_event("rest-api", "/pokemon", range="1")
    event["multiValueQueryStringParameters"] = {"range": "2", "strategy": [3]}
    reply = warm(event)
    assert json.loads(reply["body"])["field"] == "strategy"
    event["multiValueQueryStringParameters"] = {"range": "2"}
    assert json.loads(warm(event)["body"])["range"] == "1"


@pytest.mark.parametrize(
    ("shape", "method", "path", "count", "status"),
    [
        ("alb", "GET", "/pokemon", 600, 200),
        ("alb", "HEAD", "/pokemon", 600, 200),
        ("alb", "GET", "/pokemon", 800, 400),
        ("alb", "HEAD", "/pokemon", 800, 400),
        ("alb-multi-value", "GET", "/pokemon", 800, 400),
        ("http-api", "GET", "/pokemon", 800, 200),
        ("http-api", "GET", "/pokemon", 4500, 400),
        ("rest-api", "GET", "/pokemon", 4500, 400),
        ("function-url", "GET", "/race", 1100, 400),
    ],
)
def test_a_reply_that_its_caller_cannot_receive_is_refused(
    shape: str, method: str, path: str, count: int, status: int
) -> None:
    event = shaped_event(shape, path, method, range="1")
    invocation = http.read(event, SETTINGS)
    assert invocation
    found = [Found(number, "\N{LIZARD}" * 100) for number in range(count)]
    report = Report(make_request(), Fetched(found, [], 1.0))
    reply = invocation.reply([Outcome(report)] * len(invocation.jobs))
    assert reply["statusCode"] == status
    assert header_of(reply, "Content-Type") == (PROBLEM if status == 400 else "application/json")
    if method == "HEAD":
        assert reply["body"] == ""
    elif status == 400:
        assert json.loads(reply["body"])["field"] == "reply"


@pytest.mark.parametrize("shape", ["http-api", "rest-api", "function-url", "alb"])
def test_only_the_caller_may_store_a_reply(warm: Handle, shape: str) -> None:
    """A shared cache would serve it to callers whom the API refuses."""
    reply = warm(shaped_event(shape, "/pokemon/151"))
    assert header_of(reply, "Cache-Control") == PRIVATE


@pytest.mark.parametrize("shape", ["rest-api", "alb"])
def test_a_request_without_a_path_gets_the_documentation(warm: Handle, shape: str) -> None:
    event = sample(shape)
    del event["path"]
    event["requestContext"].pop("path", None)
    reply = warm(event)
    assert reply["statusCode"] == 200
    assert header_of(reply, "Content-Type") == HTML


def test_an_http_api_request_without_path_and_method_is_not_allowed(warm: Handle) -> None:
    event = sample("http-api")
    del event["rawPath"], event["requestContext"]["http"]["method"]
    reply = warm(event)
    assert reply["statusCode"] == 405
    assert json.loads(reply["body"])["given"] == ""


def test_an_alb_request_without_a_method_is_not_allowed(warm: Handle) -> None:
    event = sample("alb")
    del event["httpMethod"]
    reply = warm(event)
    assert reply["statusCode"] == 405
    assert json.loads(reply["body"])["given"] == ""


@pytest.mark.parametrize("context", [None, "x", {}, {"accountId": "1"}])
def test_a_request_context_alone_is_not_an_http_request(warm: Handle, context: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^requestContext: got .*, allowed: only the fields"):
        warm({"requestContext": context})
