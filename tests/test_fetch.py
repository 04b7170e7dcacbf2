"""Whole fetches over a real socket: every strategy, and whatever PokeAPI answers."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from pokemon_names.fetching import connections, retry, strategies, transport
from pokemon_names.fetching.attempt_error import AttemptError
from pokemon_names.fetching.client import Clients
from pokemon_names.fetching.download import Download
from pokemon_names.fetching.pokeapi import Pokemon
from pokemon_names.fetching.strategies import one_at_a_time
from pokemon_names.model import STRATEGIES, Failure, Found, Reason
from tests.conftest import (
    NAMES,
    TimingOut,
    both_clients,
    every_strategy,
    failures_of,
    fetch_range,
    names_of,
    over_both_clients,
)
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.faults import FAULTS, Faults

BULBASAUR = Found(1, "bulbasaur")
VENUSAUR = Found(3, "venusaur")
FIRST_THREE = ["bulbasaur", "ivysaur", "venusaur"]

# Silence and drip end as timeouts, which have tests of their own; a bomb is not retried.
QUICK_FAULTS = [fault for fault in FAULTS if fault not in {"silence", "drip", "bomb"}]
UNREADABLE_FAULTS = ["broken_gzip", "not_json", "wrong_json", "deep_json", "bad_utf8"]

every_strategy_but_index = pytest.mark.parametrize(
    "strategy", [strategy for strategy in STRATEGIES if strategy != "index"]
)
every_fault = over_both_clients("fault", QUICK_FAULTS, smoke="503")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow a single retry, for answers that never get better."""
    monkeypatch.setattr(retry, "OWN_RETRIES", 1)
    monkeypatch.setattr(retry, "SHARED_RETRIES", -10)  # so that up to ten names earn none
    monkeypatch.setattr(retry, "MAX_UNREADABLE", 2)


@every_strategy
async def test_every_strategy_fetches_the_same_names_in_the_order_of_the_range(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    fetched = await fetch_range(url, range="151,1-20,10001-10003", strategy=strategy)
    numbers = [151, *range(1, 21), *range(10001, 10004)]
    assert fetched.results == [Found(number, pokeapi.pokemon[number].name) for number in numbers]
    assert fetched.total_ms >= max(attempt.duration_ms for attempt in fetched.attempts) > 0


@every_strategy_but_index
async def test_a_request_for_each_number(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    fetched = await fetch_range(url, range="1-20", strategy=strategy)
    assert len(fetched.attempts) == pokeapi.requests == 20
    assert sum(attempt.bytes for attempt in fetched.attempts) > 20 * 50_000


async def test_the_index_is_a_single_request(pokeapi: PokeAPI, url: str) -> None:
    fetched = await fetch_range(url, range="1-1025,10001-10326", strategy="index")
    assert names_of(fetched) == list(NAMES.values())
    assert len(fetched.attempts) == pokeapi.requests == 1


async def test_gather_fills_the_window(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.delay = 0.3
    await fetch_range(url, range="1-150")
    assert pokeapi.most_in_flight == 100


async def test_at_most_as_many_requests_are_in_flight_as_the_window_has_room_for(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.delay = 0.01
    assert len(names_of(await fetch_range(url, size=7, range="1-50"))) == 50
    assert pokeapi.most_in_flight <= 7


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
async def test_one_at_a_time(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    await fetch_range(url, range="1-5", strategy=strategy)
    assert pokeapi.most_in_flight == 1


async def test_the_blocking_client_does_not_block_the_event_loop(
    pokeapi: PokeAPI, url: str
) -> None:
    go_on = threading.Event()
    pokeapi.answers[1] = answers.after(go_on, answers.json('{"name": "bulbasaur"}'))
    clients = Clients(url)
    blocked = asyncio.create_task(fetch_range(clients, range="1", strategy="sync"))
    assert names_of(await fetch_range(clients, range="2")) == ["ivysaur"]
    assert not blocked.done()
    go_on.set()
    assert names_of(await blocked) == ["bulbasaur"]


def failure_of_1026(
    reason: Reason, detail: str, *, status: int | None = None, attempts: int = 2
) -> Failure:
    return Failure(1026, reason, status, attempts, detail)


TOO_LARGE = failure_of_1026("bad_body", "more than 4000000 bytes", attempts=1)
BAD_ANSWERS = {
    "no such number": (
        None,
        failure_of_1026("not_found", "Not Found", status=404, attempts=1),
    ),
    "bad request": (
        answers.text(400, "x" * 9999),
        failure_of_1026("bad_status", "x" * 200, status=400, attempts=1),
    ),
    "redirect": (
        answers.elsewhere,
        failure_of_1026("bad_status", "Found", status=302, attempts=1),
    ),
    "plain text error": (
        answers.text(500, "Internal\n"),
        failure_of_1026("bad_status", "Internal", status=500),
    ),
    "error without a body": (
        answers.text(503, ""),
        failure_of_1026("bad_status", "Service Unavailable", status=503),
    ),
    "error with a body that is no gzip": (
        answers.text(500, "not gzip", **{"Content-Encoding": "gzip"}),
        failure_of_1026("bad_status", "Internal Server Error", status=500),
    ),
    "error in no UTF-8": (
        answers.raw(b"caf\xe9", 500),
        failure_of_1026("bad_status", "caf\ufffd", status=500),
    ),
    "not JSON": (
        answers.text(200, "<html>"),
        failure_of_1026("bad_body", "JSON is malformed: invalid character (byte 0)"),
    ),
    "empty": (
        answers.json(""),
        failure_of_1026("bad_body", "Input data was truncated"),
    ),
    "another JSON": (
        answers.json("[1]"),
        failure_of_1026("bad_body", "Expected `object`, got `array`"),
    ),
    "no name": (
        answers.json('{"id": 7}'),
        failure_of_1026("bad_body", "Object missing required field `name`"),
    ),
    "name not text": (
        answers.json('{"name": 7}'),
        failure_of_1026("bad_body", "Expected `str`, got `int` - at `$.name`"),
    ),
    "empty name": (
        answers.json('{"name": ""}'),
        failure_of_1026("bad_body", "Expected `str` of length >= 1 - at `$.name`"),
    ),
    "no UTF-8": (
        FAULTS["bad_utf8"],
        failure_of_1026(
            "bad_body", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
        ),
    ),
    "nested deeply": (
        FAULTS["deep_json"],
        failure_of_1026(
            "bad_body", "maximum recursion depth exceeded while deserializing an object"
        ),
    ),
    "no gzip": (
        answers.broken_gzip,
        failure_of_1026("bad_body", "Error -3 while decompressing data: incorrect header check"),
    ),
    "short gzip": (
        answers.short_gzip,
        failure_of_1026("bad_body", "the gzip stream breaks off"),
    ),
    "truncated": (
        answers.truncated,
        failure_of_1026("bad_body", "end of file before message length reached"),
    ),
    "large": (answers.large(5_000_000), TOO_LARGE),
    "large, said to be small": (answers.large(5_000_000, 10), TOO_LARGE),
    "endless": (answers.endless, TOO_LARGE),
    "reset": (
        answers.reset,
        failure_of_1026("unreachable", "connection closed before message completed"),
    ),
}


@both_clients
@pytest.mark.parametrize(("answer", "failure"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@pytest.mark.usefixtures("impatient")
async def test_a_bad_answer_fails_its_number_and_no_other(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer | None, failure: Failure
) -> None:
    if answer:
        pokeapi.answers[1026] = answer
    fetched = await fetch_range(url, range="1,1026,3", strategy=strategy)
    attempts = [attempt for attempt in fetched.attempts if attempt.number == 1026]
    assert fetched.results == [BULBASAUR, failure, VENUSAUR]
    assert len(attempts) == failure.attempts


@every_strategy_but_index
@pytest.mark.usefixtures("impatient")
async def test_a_timeout_fails_its_number_and_no_other(url: str, strategy: str) -> None:
    fetched = await fetch_range(TimingOut(url, 2), range="1-3", strategy=strategy)
    failure = Failure(2, "timeout", None, attempts=2, detail="operation timed out")
    assert fetched.results == [BULBASAUR, failure, VENUSAUR]


@every_strategy_but_index
async def test_a_timeout_that_passes_costs_a_retry_and_no_name(url: str, strategy: str) -> None:
    fetched = await fetch_range(TimingOut(url, 2, times=1), range="1-3", strategy=strategy)
    attempts = [attempt.attempt for attempt in fetched.attempts if attempt.number == 2]
    assert names_of(fetched) == FIRST_THREE
    assert attempts == [1, 2]


@pytest.mark.parametrize(
    ("strategy", "answer"),
    [("gather", answers.hang), ("gather", answers.stuck), ("sync", answers.drip)],
)
@pytest.mark.usefixtures("impatient")
async def test_a_real_timeout_fails_its_number_alone_and_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str, answer: Answer
) -> None:
    monkeypatch.setattr(connections, "READ_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(connections, "TOTAL_TIMEOUT", timedelta(seconds=1.5))
    clients = Clients(url)
    pokeapi.answers[2] = answer
    fetched = await fetch_range(clients, range="1-3", strategy=strategy)
    failure = Failure(2, "timeout", None, attempts=2, detail="operation timed out")
    assert fetched.results == [BULBASAUR, failure, VENUSAUR]
    pokeapi.answers = {}
    again = await fetch_range(clients, range="1-3", strategy=strategy)
    assert names_of(again) == FIRST_THREE


@every_strategy_but_index
async def test_a_body_may_be_as_large_as_the_limit(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    body = '{"name": "mew"}'
    pokeapi.answers[151] = answers.json(body)
    within = await fetch_range(Clients(url, len(body)), range="151", strategy=strategy)
    beyond = await fetch_range(Clients(url, len(body) - 1), range="151", strategy=strategy)
    assert names_of(within) == ["mew"]
    (failure,) = failures_of(beyond)
    assert failure.detail == "more than 14 bytes"


async def test_numbers_that_the_index_lacks_are_not_found(url: str) -> None:
    fetched = await fetch_range(url, range="1025-1026", strategy="index")
    detail = "not in the list of all Pokémon"
    not_found = Failure(1026, "not_found", None, attempts=1, detail=detail)
    assert fetched.results == [Found(1025, "pecharunt"), not_found]


LISTED = '{"name": "mew", "url": "https://pokeapi.co/api/v2/pokemon/151/"}'
NEXT = "https://pokeapi.co/api/v2/pokemon?offset=1&limit=1"
BAD_INDEX_ANSWERS = [
    (answers.text(504, "Gateway Timeout"), "bad_status", 504),
    (answers.json('{"results": [{"name": "mew", "url": "mew"}]}'), "bad_body", None),
    (answers.json('{"count": 0}'), "bad_body", None),
    (answers.json('{"count": 0, "next": null, "results": []}'), "bad_body", None),
    (answers.json(f'{{"count": 2, "next": null, "results": [{LISTED}]}}'), "bad_body", None),
    (answers.json(f'{{"count": 1, "next": "{NEXT}", "results": [{LISTED}]}}'), "bad_body", None),
    (answers.json('{"results": [{"name": "", "url": "/151/"}]}'), "bad_body", None),
    (
        answers.json(f'{{"results": [{{"name": "mew", "url": "/{"1" * 5000}/"}}]}}'),
        "bad_body",
        None,
    ),
    (answers.reset, "unreachable", None),
]


@pytest.mark.parametrize(("answer", "reason", "status"), BAD_INDEX_ANSWERS)
@pytest.mark.usefixtures("impatient")
async def test_without_the_index_every_number_fails(
    pokeapi: PokeAPI, url: str, answer: Answer, reason: str, status: int | None
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answer
    fetched = await fetch_range(url, range="1-3", strategy="index")
    failures = failures_of(fetched)
    assert [failure.number for failure in failures] == [1, 2, 3]
    assert {(failure.reason, failure.status) for failure in failures} == {(reason, status)}
    assert len(fetched.attempts) == 2


async def test_a_part_of_the_list_is_a_failure_that_says_so(pokeapi: PokeAPI, url: str) -> None:
    listed = f'{{"count": 2, "next": null, "results": [{LISTED}]}}'
    pokeapi.answers[PokeAPI.LIST] = answers.json(listed)
    failures = failures_of(await fetch_range(url, range="1-3", strategy="index"))
    assert {failure.detail for failure in failures} == {"the list has 1 of 2 Pokémon"}


@every_strategy
@pytest.mark.parametrize(
    ("dead_url", "detail"),
    [
        ("http://127.0.0.1:1/api/v2", "Connection refused"),
        ("http://pokeapi.invalid/api/v2", "failed to lookup address information"),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_without_a_server_every_number_fails(
    strategy: str, dead_url: str, detail: str
) -> None:
    fetched = await fetch_range(dead_url, range="1-3", strategy=strategy)
    failures = failures_of(fetched)
    assert [failure.number for failure in failures] == [1, 2, 3]
    for failure in failures:
        assert failure.reason == "unreachable"
        assert detail in failure.detail


@every_fault
@pytest.mark.usefixtures("impatient")
async def test_a_fault_fails_its_number_alone_and_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, strategy: str, fault: str
) -> None:
    clients = Clients(url)
    pokeapi.answers = {2: FAULTS[fault], PokeAPI.LIST: FAULTS[fault]}
    fetched = await fetch_range(clients, range="1-3", strategy=strategy)
    expected = ["bulbasaur", "venusaur"]
    if strategy == "index":
        expected = []
    assert names_of(fetched) == expected
    failures = failures_of(fetched)
    reasons = {failure.reason for failure in failures}
    assert {failure.attempts for failure in failures} == {2}
    assert reasons <= {"bad_status", "bad_body", "unreachable"}
    pokeapi.answers = {}
    again = await fetch_range(clients, range="1-3", strategy=strategy)
    assert names_of(again) == FIRST_THREE


@every_fault
async def test_a_fault_that_passes_costs_a_retry_and_no_name(
    url: str, monkeypatch: pytest.MonkeyPatch, strategy: str, fault: str
) -> None:
    was_met = False

    def next_fault(*_: Any) -> Answer | None:
        nonlocal was_met
        if was_met:
            return None
        was_met = True
        return FAULTS[fault]

    monkeypatch.setattr(Faults, "next", next_fault)
    fetched = await fetch_range(url, range="1-3", strategy=strategy)
    assert names_of(fetched) == FIRST_THREE
    assert sum(attempt.attempt > 1 for attempt in fetched.attempts) == 1


@every_strategy
async def test_every_attempt_is_recorded_from_its_turn_to_its_end(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    body = '{"name": "mew", "results": [{"name": "mew", "url": "/151/"}]}'
    answer = answers.first(answers.status(503), answers.reset, then=answers.json(body))
    pokeapi.answers = {151: answer, PokeAPI.LIST: answer}
    first, second, third = (await fetch_range(url, range="151", strategy=strategy)).attempts
    number: int | None = 151
    if strategy == "index":
        number = None
    attempts = [first, second, third]
    assert [attempt.number for attempt in attempts] == [number] * 3
    assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
    assert [attempt.ok for attempt in attempts] == [False, False, True]
    assert [attempt.bytes for attempt in attempts] == [19, 0, len(body)]
    assert first.first_byte_ms is not None
    assert second.first_byte_ms is None
    assert third.first_byte_ms is not None
    assert first.ready_ms <= first.start_ms <= first.first_byte_ms <= first.end_ms
    assert second.ready_ms <= second.start_ms <= second.end_ms
    assert third.ready_ms <= third.start_ms <= third.first_byte_ms <= third.end_ms
    assert second.ready_ms == first.end_ms
    assert third.ready_ms == second.end_ms


async def test_a_request_that_waits_for_its_turn_is_ready_before_it_is_sent(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.delay = 0.1
    first, second = (await fetch_range(url, size=1, range="1-2")).attempts
    assert second.ready_ms < first.end_ms < second.start_ms


@both_clients
async def test_a_response_begins_before_its_body_has_come(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    has_begun = threading.Event()

    def clock() -> float:
        has_begun.set()
        return time.perf_counter() - 1000  # so that it is known by it

    monkeypatch.setattr(transport, "perf_counter", clock)
    pokeapi.answers[151] = answers.in_two(b'{"name": ', has_begun, b'"mew"}')
    fetched = await fetch_range(url, range="151", strategy=strategy)
    (attempt,) = fetched.attempts
    assert names_of(fetched) == ["mew"]
    assert attempt.first_byte_ms is not None
    assert -1_000_000 <= attempt.first_byte_ms < 0 < attempt.end_ms


def fault_cases() -> Iterator[Any]:
    """Yield seeds and faults; more of them, with slow faults among them, where all is fuzzed."""
    yield 0, QUICK_FAULTS
    yield 1, QUICK_FAULTS
    with_slow_faults = [fault for fault in FAULTS if fault != "bomb"]
    for seed in range(20):
        yield pytest.param(seed, with_slow_faults, marks=pytest.mark.fuzz)


@pytest.mark.parametrize(("seed", "faults"), [*fault_cases()])
async def test_with_faults_in_30_percent_of_the_answers_every_name_comes_that_can(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, seed: int, faults: Sequence[str]
) -> None:
    monkeypatch.setattr(connections, "READ_TIMEOUT", timedelta(seconds=1.5))
    monkeypatch.setattr(connections, "TOTAL_TIMEOUT", timedelta(seconds=2))
    names = {number: NAMES[number] for number in range(1, 1026)}
    for number, name in names.items():
        pokeapi.answers[number] = answers.json(f'{{"name": "{name}"}}')  # small, to be quick
    rates = dict.fromkeys(faults, 0.3 / len(faults))
    pokeapi.faults = Faults(rates, seed)
    hopeless = unreadable_thrice(Faults(rates, seed), names)
    fetched = await fetch_range(url, seconds=60, range="1-1025")
    assert {failure.number for failure in failures_of(fetched)} == hopeless
    assert names_of(fetched) == [name for number, name in names.items() if number not in hopeless]
    assert len(fetched.attempts) > 1300


def unreadable_thrice(faults: Faults, numbers: Iterable[int]) -> set[int]:
    """Return the numbers whose third unreadable answer comes before their name."""
    unreadable_answers = [FAULTS[fault] for fault in UNREADABLE_FAULTS]
    hopeless = set()
    for number in numbers:
        unreadable = 0
        while True:
            answer = faults.next(f"/api/v2/pokemon/{number}")
            if answer is None:
                break
            unreadable += answer in unreadable_answers
        if unreadable >= 3:
            hopeless.add(number)
    return hopeless


def test_one_at_a_time_slow_numbers_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "MAX_DELAY", 10.0)
    now = time.monotonic()
    downloads = [Download(number, "", Pokemon) for number in range(1, 6)]
    late, failing, good, waiting, unprocessed = downloads
    late.error = AttemptError("service", "timeout", "operation timed out")
    failing.error = AttemptError("service", "bad_status", "Internal Server Error", 500)
    failing.retry_at = now + 1
    good.settled = True
    waiting.error = AttemptError("service", "bad_status", "Too Many Requests", 429)
    waiting.retry_at = now + 1000
    order = []
    for download in one_at_a_time(downloads):
        order.append(download)
        if len(order) > 9:
            download.settled = True
    assert order[:9] == [late, *[failing] * 3, good, waiting, *[unprocessed] * 3]
    assert order[9:] == [failing, unprocessed, late, waiting]
