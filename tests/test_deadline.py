"""No invocation outlives its deadline, however slow the network, and the next one is none the worse for it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web

from pokemon_names import fetch, server
from pokemon_names.client import Clients
from pokemon_names.outcome import Failed, Found
from pokemon_names.request import STRATEGIES
from tests.conftest import both_clients, failures, fetched, over_both_clients, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

SLOW = {"silence": answers.hang, "drip": answers.drip, "stuck body": answers.stuck}
Load = Callable[..., ModuleType]

strategy = pytest.mark.parametrize("strategy", STRATEGIES)
pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the deadline to give up."""
    monkeypatch.setattr(server, "CONNECT_TIMEOUT", timedelta(seconds=60))
    monkeypatch.setattr(server, "READ_TIMEOUT", timedelta(seconds=60))
    monkeypatch.setattr(server, "TOTAL_TIMEOUT", timedelta(seconds=60))


@over_both_clients("slow", SLOW, smoke="silence")
async def test_what_came_by_then_is_kept_and_the_rest_accounted_for(
    pokeapi: PokeAPI, url: str, strategy: str, slow: str
) -> None:
    clients = Clients(url)
    await fetched(clients, range="1", strategy=strategy)  # what comes first must not take long
    pokeapi.answers = {2: SLOW[slow], PokeAPI.LIST: SLOW[slow]}
    result = await asyncio.wait_for(fetched(clients, seconds=0.8, range="1-3", strategy=strategy), timeout=20)
    first, *rest = result.outcomes
    assert first == Found(1, "bulbasaur") if strategy != "index" else isinstance(first, Failed)
    late = [outcome for outcome in rest if isinstance(outcome, Failed)]
    assert late[0] == Failed(2, "deadline", None, attempts=1, detail="no time was left")
    assert {failed.reason for failed in late} == {"deadline"}
    if strategy in {"sequential", "sync"}:
        assert late[1] == Failed(3, "deadline", None, attempts=0, detail="no time was left")
    pokeapi.answers = {}
    again = await fetched(clients, range="1-3", strategy=strategy)
    assert again.outcomes == [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]


@pytest.mark.parametrize("strategy", ["gather", "sync", "index"])
async def test_a_fault_before_the_deadline_is_told(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    answer = answers.first(answers.status(503), then=answers.hang)
    pokeapi.answers = {1: answer, PokeAPI.LIST: answer}
    (failed,) = (await fetched(url, seconds=0.5, range="1", strategy=strategy)).outcomes
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.attempts) == ("deadline", 2)
    assert failed.detail.startswith("no time was left, after: ")
    assert "503" in failed.detail


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
async def test_one_that_is_silent_does_not_hold_up_the_rest(pokeapi: PokeAPI, url: str, slow: answers.Answer) -> None:
    pokeapi.answers[2] = slow
    result = await asyncio.wait_for(fetched(url, straggler_timeout=0.3, range="1-3"), timeout=20)
    late = Failed(2, "timeout", None, attempts=1, detail="no answer came while others did")
    assert result.outcomes == [Found(1, "bulbasaur"), late, Found(3, "venusaur")]


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
async def test_one_after_another_the_silent_come_last(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr(server, "READ_TIMEOUT", timedelta(seconds=0.5))
    pokeapi.answers[1] = answers.hang
    result = await asyncio.wait_for(fetched(url, straggler_timeout=0.3, range="1-3", strategy=strategy), timeout=20)
    assert result.outcomes[1:] == [Found(2, "ivysaur"), Found(3, "venusaur")]
    assert [exchange.number for exchange in result.exchanges] == [1, 2, 3, 1]
    assert isinstance(failed := result.outcomes[0], Failed)
    assert (failed.reason, failed.attempts) == ("timeout", 2)


@pytest.mark.parametrize("numbers", [1, 2])
async def test_the_time_that_it_is_frozen_does_not_count(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    arrived, seen = threading.Event(), threading.Event()
    looks = count()

    def clock() -> float:
        if not arrived.is_set():
            return time.monotonic()
        if next(looks) == 10:
            seen.set()
        return time.monotonic() + 20

    async def answer(request: web.Request) -> web.StreamResponse:
        arrived.set()
        return await answers.after(seen, answers.json('{"name": "mew"}'))(request)

    monkeypatch.setattr(fetch, "monotonic", clock)
    monkeypatch.setattr(fetch, "_GLANCE", 0.01)
    pokeapi.answers[numbers] = answer
    result = await fetched(url, seconds=60, range=f"1-{numbers}")
    assert result.outcomes[-1] == Found(numbers, "mew")


@strategy
async def test_no_time_at_all(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    result = await fetched(url, seconds=0, range="1-3", strategy=strategy)
    assert result.outcomes == [Failed(n, "deadline", None, 0, "no time was left") for n in (1, 2, 3)]
    assert pokeapi.requests == 0


@pytest.fixture
def mute() -> Iterator[int]:
    """Listen where the system accepts connections and nobody ever speaks: no TLS handshake ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def full() -> Iterator[int]:
    """Listen with a full backlog: connecting never ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(address)
        yield address[1]
        for one in waiting:
            one.close()


NOWHERE = {"no handshake": ("https", "mute"), "no answer": ("http", "mute"), "no connection": ("http", "full")}


@over_both_clients("where", NOWHERE, smoke="no handshake")
async def test_a_connection_that_leads_nowhere(request: pytest.FixtureRequest, strategy: str, where: str) -> None:
    scheme, port = NOWHERE[where]
    clients = Clients(f"{scheme}://127.0.0.1:{request.getfixturevalue(port)}")
    for _ in range(2):
        running = fetched(clients, seconds=0.3, range="1-3", strategy=strategy)
        result = await asyncio.wait_for(running, timeout=20)
        assert {failed.reason for failed in failures(result)} == {"deadline"}


def get(name: str, **query: str) -> dict[str, Any]:
    return {**sample(name), "queryStringParameters": query}


@both_clients
def test_lambda_never_times_out(pokeapi: PokeAPI, load_app: Load, strategy: str) -> None:
    pokeapi.answers = dict.fromkeys([2, PokeAPI.LIST], answers.hang)
    app, started = load_app(), time.monotonic()
    report = app.handler({"range": "1-3", "strategy": strategy}, Context(seconds=app.MARGIN_SECONDS + 0.5))
    assert time.monotonic() - started < app.MARGIN_SECONDS + 0.5
    assert {failure["reason"] for failure in report["failures"]} == {"deadline"}
    pokeapi.answers = {}
    assert app.handler({"range": "1-3", "strategy": strategy}, Context())["count"] == 3


def test_an_http_caller_gets_504_before_api_gateway_gives_up(
    pokeapi: PokeAPI, load_app: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    pokeapi.answers[1] = answers.hang
    app = load_app()
    monkeypatch.setattr(app, "MARGIN_SECONDS", 28.5)  # of the 29 that API Gateway waits, whatever Lambda's timeout
    reply = app.handler(get("http-api", range="1"), Context(seconds=900))
    body = json.loads(reply["body"])
    assert (reply["statusCode"], body["status"]) == (504, 504)
    assert body["detail"] == "PokeAPI gave none of the names in time"
    assert [failure["reason"] for failure in body["failures"]] == ["deadline"]


def test_in_a_race_a_slow_strategy_takes_no_other_ones_time(
    pokeapi: PokeAPI, load_app: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    pokeapi.answers[2] = answers.hang
    app = load_app()
    monkeypatch.setattr(app, "MARGIN_SECONDS", 28.0)
    race = json.loads(app.handler(get("http-api-race", range="1-2"), Context())["body"])["race"]
    assert [entry["count"] for entry in race] == [1, 1, 1, 2]
