"""No invocation outlives its deadline, however slow the network, and the next one is unaffected."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import web

from pokemon_names.fetching.fetcher import Fetcher
from pokemon_names.http.client import Answer, Clients, Decode
from pokemon_names.http.connections import Limits
from pokemon_names.http.transport import Transport
from pokemon_names.model import Failure, Fetched, Found
from tests.conftest import (
    NO_RETRIES,
    QUICK,
    LoadApp,
    TimingOut,
    both_clients,
    every_strategy,
    failures_of,
    fetch_range,
    http_event,
    over_both_clients,
    sample,
)
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

BULBASAUR = Found(1, "bulbasaur")
IVYSAUR = Found(2, "ivysaur")
VENUSAUR = Found(3, "venusaur")
SLOW = {"silence": answers.hang, "drip": answers.drip, "stuck body": answers.stuck}

# It is left to the fetch to end an attempt.
PATIENT = Limits(connect_timeout=60.0, read_timeout=60.0, total_timeout=60.0)
IMPATIENT = msgspec.structs.replace(QUICK, straggler_timeout=0.3)


@pytest.fixture
def clients(url: str) -> Clients:
    return Clients(url, limits=PATIENT)


async def in_time(fetching: Coroutine[Any, Any, Fetched]) -> Fetched:
    """Return what is fetched; raise TimeoutError where nothing else ends the fetch."""
    return await asyncio.wait_for(fetching, timeout=20)


@over_both_clients("slow", SLOW, smoke="silence")
async def test_names_that_came_are_returned_and_all_other_numbers_fail(
    pokeapi: PokeAPI, clients: Clients, strategy: str, slow: str
) -> None:
    await fetch_range(clients, range="1", strategy=strategy)  # so that it comes in time below
    pokeapi.answers = {2: SLOW[slow], PokeAPI.LIST: SLOW[slow]}
    fetched = await in_time(fetch_range(clients, seconds=0.8, range="1-3", strategy=strategy))
    first, *rest = fetched.results
    if strategy == "index":
        assert isinstance(first, Failure)
    else:
        assert first == BULBASAUR
    late = [result for result in rest if isinstance(result, Failure)]
    assert late[0] == Failure(2, "deadline", None, attempts=1, detail="no time was left")
    assert {failure.reason for failure in late} == {"deadline"}
    if strategy in {"sequential", "sync"}:
        assert late[1] == Failure(3, "deadline", None, attempts=0, detail="no time was left")
    pokeapi.answers = {}
    again = await fetch_range(clients, range="1-3", strategy=strategy)
    assert again.results == [BULBASAUR, IVYSAUR, VENUSAUR]


class LosingACancellation(Clients):
    """Clients that lose the first one, as pyreqwest does one that comes just as a response does."""

    has_lost_one = False

    async def get(
        self, path: str, decode: Decode[Any], seconds: float | None = None
    ) -> Answer[Any]:
        try:
            return await super().get(path, decode, seconds)
        except asyncio.CancelledError:
            if self.has_lost_one:
                raise
            self.has_lost_one = True
            return await super().get(path, decode, seconds)


@pytest.mark.parametrize("strategy", ["gather", "index"])
async def test_a_lost_cancellation_is_repeated(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.answers = {2: answers.hang, PokeAPI.LIST: answers.hang}
    clients = LosingACancellation(url, limits=PATIENT)
    fetched = await in_time(fetch_range(clients, seconds=0.3, range="1-3", strategy=strategy))
    assert clients.has_lost_one
    assert {failure.reason for failure in failures_of(fetched)} == {"deadline"}


@pytest.mark.parametrize("strategy", ["gather", "sync", "index"])
async def test_the_failure_names_the_error_before_the_deadline(
    pokeapi: PokeAPI, clients: Clients, strategy: str
) -> None:
    answer = answers.first(answers.status(503), then=answers.hang)
    pokeapi.answers = {1: answer, PokeAPI.LIST: answer}
    (failure,) = (await fetch_range(clients, seconds=0.5, range="1", strategy=strategy)).results
    assert isinstance(failure, Failure)
    assert failure.reason == "deadline"
    assert failure.attempts == 2
    assert failure.detail.startswith("no time was left, after: ")
    assert "503" in failure.detail


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
async def test_a_slow_number_does_not_delay_the_others(
    pokeapi: PokeAPI, clients: Clients, slow: answers.Answer
) -> None:
    pokeapi.answers = {2: slow, PokeAPI.LIST: slow}
    fetched = await in_time(fetch_range(clients, policy=IMPATIENT, range="1-3"))
    late = Failure(2, "timeout", None, attempts=1, detail="no answer came while others did")
    assert fetched.results == [BULBASAUR, late, VENUSAUR]


async def test_more_than_a_tenth_of_the_numbers_are_no_stragglers(
    pokeapi: PokeAPI, clients: Clients
) -> None:
    policy = msgspec.structs.replace(QUICK, straggler_timeout=0.2)
    later = threading.Event()
    threading.Timer(0.6, later.set).start()
    for number in (1, 2):
        pokeapi.answers[number] = answers.after(later, answers.json('{"name": "missingno"}'))
    fetched = await fetch_range(clients, policy=policy, range="1-4")
    assert failures_of(fetched) == []


async def test_while_names_come_there_is_no_silence(pokeapi: PokeAPI, url: str) -> None:
    policy = msgspec.structs.replace(QUICK, silence_timeout=1.0)
    pokeapi.delay = 0.11
    fetched = await fetch_range(url, policy=policy, range="1-10", strategy="sequential")
    assert failures_of(fetched) == []


@pytest.mark.parametrize("the_list", [answers.status(404), answers.hang], ids=["404", "silence"])
async def test_a_number_that_failed_in_time_has_its_own_reason(
    pokeapi: PokeAPI, clients: Clients, the_list: answers.Answer
) -> None:
    pokeapi.answers = {1: answers.status(404), 2: answers.hang, PokeAPI.LIST: the_list}
    fetched = await in_time(fetch_range(clients, seconds=0.8, range="1-2"))
    first, second = failures_of(fetched)
    assert (first.reason, first.status) == ("not_found", 404)
    assert first.detail.startswith("Not Found; the list of all Pokémon could not be fetched: ")
    assert not first.detail.endswith("None")
    assert (second.reason, second.status) == ("deadline", None)


async def test_a_slow_number_has_no_part_in_the_errors_of_others(
    pokeapi: PokeAPI, clients: Clients
) -> None:
    policy = msgspec.structs.replace(NO_RETRIES, straggler_timeout=0.3)
    pokeapi.answers = {1: answers.status(503), 2: answers.hang, PokeAPI.LIST: answers.status(404)}
    fetched = await fetch_range(clients, policy=policy, range="1-2")
    assert fetched.results == [
        Failure(1, "bad_status", 503, attempts=1, detail="Service Unavailable"),
        Failure(2, "timeout", None, attempts=1, detail="no answer came while others did"),
    ]


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
async def test_strategies_that_go_one_at_a_time_look_slow_numbers_up(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    clients = Clients(url, limits=msgspec.structs.replace(PATIENT, read_timeout=0.5))
    pokeapi.answers[1] = answers.hang
    fetching = fetch_range(clients, policy=IMPATIENT, range="1-3", strategy=strategy)
    fetched = await in_time(fetching)
    assert fetched.results == [BULBASAUR, IVYSAUR, VENUSAUR]
    assert [attempt.number for attempt in fetched.attempts] == [1, None, 2, 3]


@pytest.mark.parametrize("numbers", [1, 2])
async def test_the_time_for_which_the_environment_is_frozen_does_not_count(
    pokeapi: PokeAPI, clients: Clients, monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    has_arrived = threading.Event()
    has_looked = threading.Event()
    looks = 0

    def clock() -> float:
        return time.monotonic() + 20 * has_arrived.is_set()

    def look(self: Fetcher) -> float:
        nonlocal looks
        looks += has_arrived.is_set()
        if looks == 3:
            has_looked.set()
        return seconds_left(self)

    async def answer(request: web.Request) -> web.StreamResponse:
        has_arrived.set()
        answer_late = answers.after(has_looked, answers.json('{"name": "mew"}'))
        return await answer_late(request)

    seconds_left = Fetcher.seconds_left
    monkeypatch.setattr(Fetcher, "seconds_left", look)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    pokeapi.answers[numbers] = answer
    fetched = await fetch_range(clients, seconds=60, range=f"1-{numbers}")
    assert fetched.results[-1] == Found(numbers, "mew")
    assert looks >= 3


@every_strategy
async def test_without_any_time_nothing_is_sent(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    fetched = await fetch_range(url, seconds=0, range="1-3", strategy=strategy)
    detail = "no time was left"
    assert fetched.results == [
        Failure(number, "deadline", None, attempts=0, detail=detail) for number in (1, 2, 3)
    ]
    assert pokeapi.requests == 0


@pytest.fixture
def mute_port() -> Iterator[int]:
    """Listen where the system accepts connections, but nobody answers: no TLS handshake ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def full_port() -> Iterator[int]:
    """Listen with a full backlog: connecting never ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        clients = [socket.socket() for _ in range(8)]
        for client in clients:
            client.settimeout(0)
            client.connect_ex(address)
        yield address[1]
        for client in clients:
            client.close()


DEAD_ENDS = {
    "no handshake": ("https", "mute_port"),
    "no answer": ("http", "mute_port"),
    "no connection": ("http", "full_port"),
}


@over_both_clients("dead_end", DEAD_ENDS, smoke="no handshake")
async def test_a_connection_that_leads_nowhere(
    request: pytest.FixtureRequest, strategy: str, dead_end: str
) -> None:
    scheme, fixture = DEAD_ENDS[dead_end]
    port = request.getfixturevalue(fixture)
    clients = Clients(f"{scheme}://127.0.0.1:{port}", limits=PATIENT)
    for _ in range(2):
        fetching = fetch_range(clients, seconds=0.3, range="1-3", strategy=strategy)
        fetched = await in_time(fetching)
        assert {failure.reason for failure in failures_of(fetched)} == {"deadline"}


async def test_connecting_has_a_timeout_of_its_own(full_port: int) -> None:
    transport = Transport(msgspec.structs.replace(PATIENT, connect_timeout=0.2))
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await asyncio.wait_for(client.get(f"http://127.0.0.1:{full_port}"), timeout=20)


@both_clients
def test_lambda_never_times_out(pokeapi: PokeAPI, load_app: LoadApp, strategy: str) -> None:
    pokeapi.answers = dict.fromkeys([2, PokeAPI.LIST], answers.hang)
    event = {"range": "1-3", "strategy": strategy}
    app = load_app()
    started = time.monotonic()
    seconds = app.MARGIN_SECONDS + 0.5
    report = app.handler(event, Context(seconds=seconds))
    assert time.monotonic() - started < seconds
    assert {failure["reason"] for failure in report["failures"]} == {"deadline"}
    pokeapi.answers = {}
    assert app.handler(event, Context())["count"] == 3


def test_an_http_caller_gets_504_before_api_gateway_gives_up(
    pokeapi: PokeAPI, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    pokeapi.answers[1] = answers.hang
    app = load_app()
    # Of the 29 s that API Gateway waits, whatever Lambda's timeout is.
    monkeypatch.setattr(app, "MARGIN_SECONDS", 28.5)
    reply = app.handler(http_event("/pokemon", range="1"), Context(seconds=900))
    body = json.loads(reply["body"])
    assert reply["statusCode"] == 504
    assert body["status"] == 504
    assert body["detail"] == "PokeAPI gave none of the names in time"
    assert [failure["reason"] for failure in body["failures"]] == ["deadline"]


def deadlines_of(app: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the deadlines of an event's fetches, in seconds from the start of its invocation."""
    deadlines = []

    async def note(*arguments: Any) -> Fetched:
        deadlines.append(arguments[4])
        return Fetched([BULBASAUR], [], 1.0)

    monkeypatch.setattr(app, "fetch", note)
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: 0.0))  # no time goes by
    app.handler(event, Context())
    return deadlines


def test_in_a_race_the_slow_strategies_have_twice_the_time_of_the_others(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlines = deadlines_of(load_app(), http_event("/race", range="1"), monkeypatch)
    assert deadlines == [27 / 6, 27 * 2 / 5, 27 * 2 / 3, 27]


def test_there_is_time_to_store_the_report_of_a_message(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load_app()
    (seconds,) = deadlines_of(app, sample("direct"), monkeypatch)
    deadlines = deadlines_of(app, sample("sqs"), monkeypatch)
    assert deadlines == [seconds - app.STORE_TIMEOUT]


def test_in_a_race_a_slow_strategy_takes_no_time_from_the_others(
    pokeapi: PokeAPI, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    pokeapi.answers[2] = answers.hang
    app = load_app()
    monkeypatch.setattr(app, "MARGIN_SECONDS", 26.0)
    reply = app.handler(http_event("/race", range="1-2"), Context())
    race = json.loads(reply["body"])["race"]
    assert [entry["count"] for entry in race] == [1, 1, 1, 2]
    assert [entry["cut_off"] for entry in race] == [True, True, True, False]
    reasons = {failure["reason"] for entry in race for failure in entry["failures"]}
    assert reasons == {"deadline"}


async def test_a_timeout_with_little_time_left_is_retried(url: str) -> None:
    clients = TimingOut(url, 2, times=1)
    fetching = fetch_range(clients, seconds=0.9, range="1-3", strategy="sync")
    assert (await fetching).results == [BULBASAUR, IVYSAUR, VENUSAUR]
