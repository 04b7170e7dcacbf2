"""The app: its settings, its logs, its imports, and what it keeps between invocations."""

import logging
import subprocess
import sys
import threading
from types import SimpleNamespace

import httpx
import msgspec
import pytest
from aiohttp import web

from pokemon_names.fetching import pokeapi as api
from pokemon_names.model import InvalidRequest
from tests.conftest import EVENTS, ROOT, Handle, LoadApp, http_event
from tests.sources.conftest import together
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

# Modules that neither a direct call nor an HTTP request may import. Powertools imports botocore's
# __init__, so botocore.session stands for the rest of botocore.
UNUSED_MODULES = {
    "aiohttp",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes",
    "boto3",
    "botocore.session",
    "pokemon_names.sources.messages",
    "pokemon_names.sources.s3",
    "pokemon_names.sources.sqs",
    "pokemon_names.sources.stepfunctions",
    "pokemon_names.views.pages",
    "pydantic",
}

# Exits as abruptly as tests/tools/invoke.py, which explains why.
INVOKE_AND_PRINT_MODULES = """
import json, os, sys
from tests.tools.invoke import invoke
for path in sys.argv[1:]:
    with open(path) as event:
        invoke(json.load(event))
    print(*sys.modules, file=sys.stderr, flush=True)
os._exit(0)
"""


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("library", ["boto3", "botocore.credentials", "httpx", "httpx2", "urllib3"])
def test_libraries_log_only_warnings_and_errors(
    load_app: LoadApp, caplog: pytest.LogCaptureFixture, library: str
) -> None:
    """With the stack's parameter LogLevel=DEBUG, botocore would log session tokens."""
    caplog.set_level(logging.DEBUG)  # Lambda sets the level of the root logger
    logging.getLogger(library.partition(".")[0]).setLevel(logging.NOTSET)
    load_app(AWS_LAMBDA_LOG_LEVEL="DEBUG")
    assert logging.getLogger(library).getEffectiveLevel() == logging.WARNING


def test_httpx_does_not_log_each_request(handle: Handle, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(httpx.__name__).setLevel(logging.NOTSET)  # or httpx2: `make test-httpx2`
    caplog.set_level(logging.INFO)
    handle({"range": "1-3"})
    (record,) = caplog.records
    assert record.name == "pokemon-names"
    assert record.message == "fetched"


def test_without_the_list_a_404_is_not_found_and_says_why_there_is_no_list(
    pokeapi: PokeAPI, load_app: LoadApp
) -> None:
    list_requested = threading.Event()  # because of the 404 for 1026

    async def hang(request: web.Request) -> web.Response:
        list_requested.set()
        return await answers.hang(request)

    pokeapi.answers = {
        PokeAPI.LIST: hang,
        2: answers.after(list_requested, answers.json('{"name": "ivysaur"}')),
    }
    app = load_app()
    vars(app)["policy"] = msgspec.structs.replace(app.policy, straggler_timeout=0.0)
    (failure,) = app.handler({"range": "1-2,1026"}, Context())["failures"]
    reason = "the list of all Pokémon could not be fetched: no response, although others got one"
    assert failure["reason"] == "not_found"
    assert failure["detail"] == f"Not Found; {reason}"


@pytest.mark.parametrize(("seconds", "expected"), [(30.0, 1.0), (4.0, 0.2)])
def test_the_warm_up_before_a_race_takes_at_most_a_second_or_a_tenth_of_the_time(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: float
) -> None:
    app = load_app()
    warm_ups: set[tuple[str, float, bool]] = set()

    async def warm_up(path: str, seconds: float, *, blocking: bool) -> None:
        warm_ups.add((path, seconds, blocking))

    monkeypatch.setattr(app.clients, "warm_up", warm_up)
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: 0.0))
    app.handler(http_event("/race", range="1"), Context(seconds=seconds))
    assert warm_ups == {("pokemon/1/", expected, True), ("pokemon/1/", expected, False)}


@pytest.mark.parametrize(("strategy", "blocking"), [("gather", False), ("sync", True)])
def test_a_race_warms_up_the_clients_that_it_uses(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch, strategy: str, *, blocking: bool
) -> None:
    app = load_app()
    warmed_up = []

    async def warm_up(_path: str, _seconds: float, *, blocking: bool) -> None:
        warmed_up.append(blocking)

    monkeypatch.setattr(app.clients, "warm_up", warm_up)
    app.handler(http_event("/race", range="1", strategies=strategy), Context())
    assert warmed_up == [blocking]


def test_environment_variables_set_the_limits(pokeapi: PokeAPI, load_app: LoadApp) -> None:
    pokeapi.answers = dict.fromkeys(range(1, 11), together(2))
    pokeapi.delay = 0.02  # long enough for a third request to arrive
    app = load_app(MAX_CONCURRENCY="2", MAX_NUMBERS="10")
    assert app.handler({"range": "1-10"}, Context())["count"] == 10
    assert pokeapi.most_in_flight == 2
    with pytest.raises(InvalidRequest, match="11 numbers; the maximum is 10"):
        app.handler({"range": "1-11"}, Context())


def test_an_environment_variable_sets_the_size_of_the_largest_body(load_app: LoadApp) -> None:
    (failure,) = load_app(MAX_BODY_BYTES="1000").handler({"range": "1"}, Context())["failures"]
    assert failure["reason"] == "bad_body"
    assert failure["detail"] == "more than 1000 bytes"


def test_the_headers_of_the_api_are_sent(
    pokeapi: PokeAPI, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []

    async def answer(request: web.Request) -> web.Response:
        keys.append(request.headers["X-Api-Key"])
        return web.Response(text='{"name": "bulbasaur"}')

    monkeypatch.setattr(api, "HEADERS", {"X-Api-Key": "a key"})
    pokeapi.answers[1] = answer
    assert load_app().handler({"range": "1"}, Context())["count"] == 1
    assert keys == ["a key"]


def test_connections_stay_warm_from_one_invocation_to_the_next(
    pokeapi: PokeAPI, handle: Handle
) -> None:
    wait = together(5)
    connections = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        connections.add(request.transport)
        return await wait(request)

    pokeapi.answers = dict.fromkeys(range(1, 11), answer)
    for numbers in ("1-5", "6-10"):
        assert handle({"range": numbers})["count"] == 5
    assert len(connections) < 10  # some may become free just too late to be used again


def test_an_invocation_imports_nothing_it_does_not_use(url: str) -> None:
    """Imports are most of a cold start; boto3 alone would double it."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", INVOKE_AND_PRINT_MODULES),
            *(EVENTS / "direct-one.json", EVENTS / "http-api-one.json"),
        ],
        cwd=ROOT,
        env={"PYTHONPATH": "src", "POKEAPI_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    direct, http = [set(line.split()) for line in done.stderr.splitlines()]
    assert "pokemon_names.app" in direct
    assert http - direct >= {"pokemon_names.sources.http"}
    assert not http & UNUSED_MODULES
