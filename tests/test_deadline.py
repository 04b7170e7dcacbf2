"""No invocation outlives its deadline, however slow the network is, or affects the next one."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import web

from pokemon_names.fetching.fetcher import Fetcher
from pokemon_names.fetching.policy import Policy
from pokemon_names.http.client import Answer, Clients, Decode
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError
from pokemon_names.http.transport import Transport
from pokemon_names.model import Failure, Fetched, Found, Request
from tests.conftest import (
    NO_RETRIES,
    QUICK,
    LoadApp,
    TimingOut,
    both_clients,
    failures_of,
    fetch_range,
    http_event,
    sample,
)
from tests.fetching.virtual import BUSY, MISSING, SILENCE, fetch_virtually, first_for
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

BULBASAUR = Found(1, "bulbasaur")
IVYSAUR = Found(2, "ivysaur")
VENUSAUR = Found(3, "venusaur")
# With these limits, only the fetch itself ends an attempt, never the client.
PATIENT = Limits(connect_timeout=60.0, read_timeout=60.0, total_timeout=60.0)
TIMED_OUT = GetError(kind="service", reason="timeout", detail="operation timed out")


@pytest.fixture
def clients(url: str) -> Clients:
    return Clients(url, limits=PATIENT)


@pytest.fixture
async def late(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event that moves the loop's clock past every deadline once it is set."""
    late = threading.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: time.monotonic() + 1000 * late.is_set())
    return late


@pytest.fixture
def over(url: str) -> Iterator[threading.Event]:
    """Yield an event that ends hanging requests; set it at the end, so that no thread waits."""
    assert url  # the server depends on it: it stops only after this fixture
    over = threading.Event()
    yield over
    over.set()


def noting(event: threading.Event, answer: answers.Answer) -> answers.Answer:
    """Return an answer that sets an event when its request arrives."""

    async def note(request: web.Request) -> web.StreamResponse:
        event.set()
        return await answer(request)

    return note


@pytest.mark.parametrize(
    ("strategy", "slow"),
    [
        ("gather", "silence"),
        ("gather", "stuck body"),
        ("sequential", "silence"),
        ("sync", "silence"),
        ("index", "silence"),
    ],
)
async def test_at_the_deadline_fetched_names_are_returned_and_all_other_numbers_fail(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI,
    clients: Clients,
    late: threading.Event,
    over: threading.Event,
    strategy: str,
    slow: str,
) -> None:
    hang = answers.after(over, answers.status(503))
    if slow == "stuck body":
        hang = answers.in_two(b'{"name": ', over, b'"ivysaur"}')
    pokeapi.answers = dict.fromkeys([2, PokeAPI.LIST], noting(late, hang))
    one_by_one = msgspec.structs.replace(QUICK, concurrency=1)
    fetching = fetch_range(clients, policy=one_by_one, seconds=100, range="1-3", strategy=strategy)
    fetched = await fetching
    attempts = {2: 1, 3: 0}
    if strategy == "index":
        attempts = {1: 1, 2: 1, 3: 1}
    failures = [
        Failure(number, "deadline", None, attempts, "ran out of time")
        for number, attempts in attempts.items()
    ]
    assert fetched.results == [BULBASAUR, *failures][-3:]
    over.set()
    late.clear()
    pokeapi.answers = {}
    again = await fetch_range(clients, range="1-3", strategy=strategy)
    assert again.results == [BULBASAUR, IVYSAUR, VENUSAUR]


class LosingACancellation(Clients):
    """Clients that lose one cancellation, as pyreqwest may if a response arrives with it."""

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
async def test_a_lost_cancellation_is_repeated(
    pokeapi: PokeAPI, url: str, late: threading.Event, strategy: str
) -> None:
    pokeapi.answers = dict.fromkeys([2, PokeAPI.LIST], noting(late, answers.hang))
    clients = LosingACancellation(url, limits=PATIENT)
    fetching = fetch_range(clients, seconds=100, range="1-3", strategy=strategy)
    fetched = await asyncio.wait_for(fetching, timeout=1020)  # 20 s after the clock jumps
    assert clients.has_lost_one
    assert {failure.reason for failure in failures_of(fetched)} == {"deadline"}


@pytest.mark.parametrize("strategy", ["gather", "sync", "index"])
async def test_the_failure_quotes_the_last_error_before_the_deadline(
    pokeapi: PokeAPI,
    clients: Clients,
    late: threading.Event,
    over: threading.Event,
    strategy: str,
) -> None:
    hang = noting(late, answers.after(over, answers.status(503)))
    answer = answers.first(answers.status(503), then=hang)
    pokeapi.answers = {1: answer, PokeAPI.LIST: answer}
    fetched = await fetch_range(clients, seconds=100, range="1", strategy=strategy)
    detail = "ran out of time; last error: 503 Service Unavailable"
    assert fetched.results == [Failure(1, "deadline", None, 2, detail)]


@pytest.mark.parametrize("slow", [answers.hang, answers.stuck], ids=["silence", "stuck body"])
async def test_a_slow_number_does_not_delay_the_others(
    pokeapi: PokeAPI, clients: Clients, slow: answers.Answer
) -> None:
    pokeapi.answers = {2: slow, PokeAPI.LIST: slow}
    policy = msgspec.structs.replace(QUICK, straggler_timeout=0.05)
    fetched = await fetch_range(clients, policy=policy, range="1-3")
    timed_out = Failure(
        2, "timeout", None, attempts=1, detail="no response, although others got one"
    )
    assert fetched.results == [BULBASAUR, timed_out, VENUSAUR]


@pytest.mark.parametrize("the_list", [MISSING, SILENCE], ids=["404", "silence"])
def test_a_number_that_failed_before_the_deadline_keeps_its_own_reason(the_list: GetError) -> None:
    fetched = fetch_virtually(
        lambda arrival: {None: the_list, 1: MISSING, 2: SILENCE}[arrival.number],
        policy=Policy(lag_timeout=60.0),
        seconds=3.0,
        range="1-2",
    )
    first, second = failures_of(fetched)
    assert (first.reason, first.status) == ("not_found", 404)
    assert first.detail.startswith("Not Found; the list of all Pokémon could not be fetched: ")
    assert not first.detail.endswith("None")
    assert (second.reason, second.status) == ("deadline", None)
    assert 3_000 <= fetched.total_ms < 3_500


def test_the_errors_of_other_numbers_do_not_end_a_slow_one() -> None:
    fetched = fetch_virtually(
        lambda arrival: {None: MISSING, 1: BUSY, 2: SILENCE}[arrival.number],
        policy=msgspec.structs.replace(NO_RETRIES, straggler_timeout=1.0),
        range="1-2",
    )
    assert fetched.results == [
        Failure(1, "bad_status", 503, attempts=1, detail="Service Unavailable"),
        Failure(2, "timeout", None, attempts=1, detail="no response, although others got one"),
    ]


def test_a_timeout_with_little_time_left_is_retried() -> None:
    fetched = fetch_virtually(
        first_for([2], TIMED_OUT), seconds=0.9, range="1-3", strategy="sequential"
    )
    assert failures_of(fetched) == []


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
async def test_strategies_that_send_one_request_at_a_time_look_up_slow_numbers(
    url: str, strategy: str
) -> None:
    fetched = await fetch_range(TimingOut(url, 1), range="1-3", strategy=strategy)
    assert fetched.results == [BULBASAUR, IVYSAUR, VENUSAUR]
    assert [attempt.number for attempt in fetched.attempts] == [1, None, 2, 3]


@pytest.mark.parametrize("numbers", [1, 2])
async def test_time_while_the_environment_is_frozen_does_not_count(
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


@both_clients
async def test_without_any_time_nothing_is_sent(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    fetched = await fetch_range(url, seconds=0, range="1-3", strategy=strategy)
    detail = "ran out of time"
    assert fetched.results == [
        Failure(number, "deadline", None, attempts=0, detail=detail) for number in (1, 2, 3)
    ]
    assert pokeapi.requests == 0


@pytest.fixture
def mute_port() -> Iterator[int]:
    """Yield a port that accepts connections but never answers, not even a TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def full_port() -> Iterator[int]:
    """Yield a port with a full backlog, to which no connection is ever established."""
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


@both_clients
@pytest.mark.parametrize("dead_end", DEAD_ENDS)
async def test_a_fetch_over_a_dead_connection_ends_at_the_deadline(
    request: pytest.FixtureRequest, strategy: str, dead_end: str
) -> None:
    scheme, fixture = DEAD_ENDS[dead_end]
    port = request.getfixturevalue(fixture)
    clients = Clients(f"{scheme}://127.0.0.1:{port}", limits=PATIENT)
    for _ in range(2):
        fetched = await fetch_range(clients, seconds=0.15, range="1-3", strategy=strategy)
        assert {failure.reason for failure in failures_of(fetched)} == {"deadline"}


async def test_connecting_has_its_own_timeout(full_port: int) -> None:
    transport = Transport(msgspec.structs.replace(PATIENT, connect_timeout=0.2))
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await asyncio.wait_for(client.get(f"http://127.0.0.1:{full_port}"), timeout=20)


@both_clients
def test_lambda_never_times_out(
    pokeapi: PokeAPI, url: str, load_app: LoadApp, strategy: str
) -> None:
    pokeapi.answers = dict.fromkeys([2, PokeAPI.LIST], answers.hang)
    event = {"range": "1-3", "strategy": strategy}
    app = load_app()
    vars(app)["clients"] = Clients(url, limits=PATIENT)
    started = time.monotonic()
    report = app.handler(event, Context(seconds=app.MARGIN_SECONDS + 0.5))
    assert time.monotonic() - started < 30  # the clients themselves would wait 60 s
    assert {failure["reason"] for failure in report["failures"]} == {"deadline"}
    pokeapi.answers = {}
    assert app.handler(event, Context())["count"] == 3


def test_an_http_caller_gets_504_before_api_gateway_times_out(
    pokeapi: PokeAPI, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    pokeapi.answers[1] = answers.hang
    app = load_app()
    # API Gateway waits 29 s, whatever Lambda's timeout is. This margin leaves 0.2 s to fetch.
    monkeypatch.setattr(app, "MARGIN_SECONDS", 28.8)
    reply = app.handler(http_event("/pokemon", range="1"), Context(seconds=900))
    body = json.loads(reply["body"])
    assert reply["statusCode"] == 504
    assert body["status"] == 504
    assert body["detail"] == "PokeAPI returned none of the names in time"
    assert [failure["reason"] for failure in body["failures"]] == ["deadline"]


def deadlines_of(app: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the deadlines of an event's fetches, in seconds from the start of its invocation."""
    deadlines, _ = invoke_on_time(app, event, monkeypatch)
    return deadlines


def invoke_on_time(
    app: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *slow: str
) -> tuple[list[float], Any]:
    """Return the deadlines of an event's fetches, and the reply.

    A fetch by a slow strategy takes all its time and fails; any other takes no time.
    """
    deadlines = []
    now = 0.0

    async def fetch(request: Request, *arguments: Any) -> Fetched:
        nonlocal now
        deadline = arguments[3]
        deadlines.append(deadline)
        if request.strategy not in slow:
            return Fetched([BULBASAUR], [], 1.0)
        now = deadline
        return Fetched([Failure(1, "deadline", None, 1, "ran out of time")], [], 1.0)

    monkeypatch.setattr(app, "fetch", fetch)
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: now))
    return deadlines, app.handler(event, Context())


def test_in_a_race_the_slow_strategies_get_twice_as_much_time_as_the_others(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlines = deadlines_of(load_app(), http_event("/race", range="1"), monkeypatch)
    assert deadlines == [27 / 6, 27 * 2 / 5, 27 * 2 / 3, 27]


def test_there_is_time_to_store_the_report_of_a_message_if_there_is_a_bucket(
    load_app: LoadApp, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = sample("sqs")
    (seconds,) = deadlines_of(load_app(), event, monkeypatch)
    app = load_app(RESULTS_BUCKET=bucket.name)
    assert deadlines_of(app, sample("direct"), monkeypatch) == [seconds]
    assert deadlines_of(app, event, monkeypatch) == [seconds - app.STORE_TIMEOUT]


def test_in_a_race_a_slow_strategy_takes_no_time_from_the_others(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = ("gather", "sequential", "sync")
    event = http_event("/race", range="1")
    deadlines, reply = invoke_on_time(load_app(), event, monkeypatch, *slow)
    race = json.loads(reply["body"])["race"]
    assert deadlines == [4.5, 13.5, 22.5, 27.0]
    assert [entry["count"] for entry in race] == [0, 0, 0, 1]
    assert [entry["cut_off"] for entry in race] == [True, True, True, False]
