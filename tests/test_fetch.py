"""Whole fetches over a real socket: every strategy, and whatever PokeAPI answers."""

import asyncio
import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from pokemon_names.fetching.fetcher import NOT_LISTED, Fetcher
from pokemon_names.fetching.strategies import one_at_a_time
from pokemon_names.fetching.window import Window
from pokemon_names.http import client
from pokemon_names.http.client import Clients
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError
from pokemon_names.model import STRATEGIES, Failure, Found, Reason
from tests.conftest import (
    NAMES,
    QUICK,
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

# A single retry, for answers that never get better. Up to ten names earn none.
IMPATIENT = msgspec.structs.replace(
    QUICK, own_retries=1, shared_retries=-10, max_unreadable=2, max_list_attempts=2
)
NO_LIST = {PokeAPI.LIST: answers.status(501)}

every_strategy_but_index = pytest.mark.parametrize(
    "strategy", [strategy for strategy in STRATEGIES if strategy != "index"]
)
every_fault = over_both_clients("fault", QUICK_FAULTS, smoke="503")


@every_strategy
async def test_every_strategy_fetches_the_same_names_in_the_order_of_the_range(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    fetched = await fetch_range(url, range="151,1-20,10001-10003", strategy=strategy)
    numbers = [151, *range(1, 21), *range(10001, 10004)]
    assert fetched.results == [Found(number, pokeapi.pokemon[number].name) for number in numbers]
    assert (
        fetched.total_ms
        >= max(attempt.end_ms - attempt.start_ms for attempt in fetched.attempts)
        > 0
    )


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
    pokeapi.delay = 1.0  # a busy machine makes connections slowly
    await fetch_range(url, range="1-150")
    assert pokeapi.most_in_flight == 100


async def test_at_most_as_many_requests_are_in_flight_as_the_policy_allows(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.delay = 0.01
    policy = msgspec.structs.replace(QUICK, concurrency=7)
    assert len(names_of(await fetch_range(url, policy=policy, range="1-50"))) == 50
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
        answers.status(404),
        failure_of_1026(
            "not_found",
            "Not Found; the list of all Pokémon could not be fetched: 501 Not Implemented",
            status=404,
            attempts=1,
        ),
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
    "another number's": (
        answers.json('{"id": 7, "name": "squirtle"}'),
        failure_of_1026("bad_body", "the body is that of number 7"),
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


every_bad_answer = pytest.mark.parametrize(
    ("answer", "failure"), BAD_ANSWERS.values(), ids=BAD_ANSWERS
)


@both_clients
@every_bad_answer
async def test_without_the_list_a_bad_answer_fails_its_number_and_no_other(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer, failure: Failure
) -> None:
    pokeapi.answers = {1026: answer, **NO_LIST}
    fetched = await fetch_range(url, policy=IMPATIENT, range="1,1026,3", strategy=strategy)
    attempts = [attempt for attempt in fetched.attempts if attempt.number == 1026]
    assert fetched.results == [BULBASAUR, failure, VENUSAUR]
    assert len(attempts) == failure.attempts


@both_clients
@every_bad_answer
async def test_the_list_has_the_name_whatever_the_answer_is(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer, failure: Failure
) -> None:
    pokeapi.answers[2] = answer
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-3", strategy=strategy)
    attempts = [attempt for attempt in fetched.attempts if attempt.number == 2]
    assert names_of(fetched) == FIRST_THREE
    assert fetched.listed == 1
    assert len(attempts) == failure.attempts


@both_clients
@every_bad_answer
async def test_what_the_list_lacks_does_not_exist_whatever_the_answer_is(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer, failure: Failure
) -> None:
    pokeapi.answers[1026] = answer
    fetched = await fetch_range(url, policy=IMPATIENT, range="1,1026,3", strategy=strategy)
    not_found = failure_of_1026(
        "not_found", NOT_LISTED, status=failure.status, attempts=failure.attempts
    )
    assert fetched.results == [BULBASAUR, not_found, VENUSAUR]
    assert fetched.listed == 0


@every_strategy_but_index
async def test_without_the_list_a_timeout_fails_its_number_and_no_other(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers |= NO_LIST
    clients = TimingOut(url, 2)
    fetched = await fetch_range(clients, policy=IMPATIENT, range="1-3", strategy=strategy)
    failure = Failure(2, "timeout", None, attempts=2, detail="operation timed out")
    assert fetched.results == [BULBASAUR, failure, VENUSAUR]


@every_strategy_but_index
async def test_a_number_that_always_times_out_comes_from_the_list(url: str, strategy: str) -> None:
    clients = TimingOut(url, 2)
    fetched = await fetch_range(clients, policy=IMPATIENT, range="1-3", strategy=strategy)
    assert names_of(fetched) == FIRST_THREE
    assert fetched.listed == 1


@every_strategy_but_index
async def test_after_a_timeout_the_name_comes_from_the_list(url: str, strategy: str) -> None:
    fetched = await fetch_range(TimingOut(url, 2, times=1), range="1-3", strategy=strategy)
    attempts = [attempt.attempt for attempt in fetched.attempts if attempt.number == 2]
    assert names_of(fetched) == FIRST_THREE
    assert attempts == [1]
    assert fetched.listed == 1


@every_strategy_but_index
async def test_without_the_list_a_timeout_that_passes_costs_a_retry_and_no_name(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(501)
    fetched = await fetch_range(TimingOut(url, 2, times=1), range="1-3", strategy=strategy)
    attempts = [attempt.attempt for attempt in fetched.attempts if attempt.number == 2]
    assert names_of(fetched) == FIRST_THREE
    assert attempts == [1, 2]


@pytest.mark.parametrize(
    ("strategy", "answer"),
    [("gather", answers.hang), ("gather", answers.stuck), ("sync", answers.drip)],
)
async def test_a_real_timeout_fails_its_number_alone_and_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer
) -> None:
    clients = Clients(url, limits=Limits(read_timeout=1.0, total_timeout=1.5))
    pokeapi.answers = {2: answer, **NO_LIST}
    fetched = await fetch_range(clients, policy=IMPATIENT, range="1-3", strategy=strategy)
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
    pokeapi.answers = {151: answers.json(body), **NO_LIST}
    within = await fetch_range(Clients(url, len(body)), range="151", strategy=strategy)
    beyond = await fetch_range(Clients(url, len(body) - 1), range="151", strategy=strategy)
    assert names_of(within) == ["mew"]
    (failure,) = failures_of(beyond)
    assert failure.detail == "more than 14 bytes"


async def test_numbers_that_the_index_lacks_are_not_found(url: str) -> None:
    fetched = await fetch_range(url, range="1025-1026", strategy="index")
    not_found = Failure(1026, "not_found", None, attempts=1, detail=NOT_LISTED)
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
async def test_without_the_index_every_number_fails(
    pokeapi: PokeAPI, url: str, answer: Answer, reason: str, status: int | None
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answer
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-3", strategy="index")
    failures = failures_of(fetched)
    assert [failure.number for failure in failures] == [1, 2, 3]
    assert {(failure.reason, failure.status) for failure in failures} == {(reason, status)}
    assert len(fetched.attempts) == 2


async def test_a_part_of_the_list_is_a_failure_that_says_so(pokeapi: PokeAPI, url: str) -> None:
    listed = f'{{"count": 2, "next": null, "results": [{LISTED}]}}'
    pokeapi.answers[PokeAPI.LIST] = answers.json(listed)
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-3", strategy="index")
    failures = failures_of(fetched)
    assert {failure.detail for failure in failures} == {"the list has 1 of 2 Pokémon"}


@every_strategy
@pytest.mark.parametrize(
    ("dead_url", "detail"),
    [
        ("http://127.0.0.1:1/api/v2", "Connection refused"),
        ("http://pokeapi.invalid/api/v2", "failed to lookup address information"),
    ],
)
async def test_without_a_server_every_number_fails(
    strategy: str, dead_url: str, detail: str
) -> None:
    fetched = await fetch_range(dead_url, policy=IMPATIENT, range="1-3", strategy=strategy)
    failures = failures_of(fetched)
    assert [failure.number for failure in failures] == [1, 2, 3]
    for failure in failures:
        assert failure.reason == "unreachable"
        assert detail in failure.detail


@every_fault
async def test_a_fault_fails_its_number_alone_and_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, strategy: str, fault: str
) -> None:
    clients = Clients(url)
    pokeapi.answers = {2: FAULTS[fault], PokeAPI.LIST: FAULTS[fault]}
    fetched = await fetch_range(clients, policy=IMPATIENT, range="1-3", strategy=strategy)
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
    policy = msgspec.structs.replace(QUICK, concurrency=1)
    first, second = (await fetch_range(url, policy=policy, range="1-2")).attempts
    assert second.ready_ms < first.end_ms < second.start_ms


@both_clients
async def test_a_response_begins_before_its_body_has_come(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    has_begun = threading.Event()

    def clock() -> float:
        has_begun.set()
        return time.monotonic() - 1000  # so that it is known by it

    monkeypatch.setattr(client, "monotonic", clock)
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
async def test_with_faults_in_30_percent_of_the_answers_every_name_comes(
    pokeapi: PokeAPI, url: str, seed: int, faults: Sequence[str]
) -> None:
    names = {number: NAMES[number] for number in range(1, 1026)}
    for number, name in names.items():
        pokeapi.answers[number] = answers.json(f'{{"name": "{name}"}}')  # small, to be quick
    pokeapi.faults = Faults(dict.fromkeys(faults, 0.3 / len(faults)), seed)
    clients = Clients(url, limits=Limits(read_timeout=1.5, total_timeout=2.0))
    fetched = await fetch_range(clients, seconds=60, range="1-1025")
    assert names_of(fetched) == list(names.values())
    assert fetched.listed > 0
    assert sum(not attempt.ok for attempt in fetched.attempts) > 200


async def test_one_at_a_time_slow_numbers_come_last(url: str) -> None:
    policy = msgspec.structs.replace(QUICK, max_delay=10.0)
    now = time.monotonic()
    fetcher = Fetcher(range(1, 8), Clients(url), Window(policy), policy, now, math.inf)
    late, failing, good, waiting, unprocessed, looked_up, hopeless = fetcher.numbers
    service_error = GetError(kind="service", reason="bad_status", detail="", status=500)
    late.error = GetError(kind="service", reason="timeout", detail="operation timed out")
    failing.error = service_error
    failing.retry_at = now + 1
    good.settled = True
    waiting.error = service_error
    waiting.retry_at = now + 1000
    looked_up.waits = True
    order = []
    for download in one_at_a_time(fetcher):
        order.append(download)
        if download is hopeless:
            hopeless.waits = True
        if len(order) > 9:
            download.settled = True
    first_round = [*[failing] * 3, *[unprocessed] * 3, hopeless, late, waiting]
    assert order == [*first_round, failing, unprocessed, late, waiting]


async def test_one_at_a_time_the_list_comes_last_once_it_is_wanted(url: str) -> None:
    fetcher = Fetcher(range(1, 4), Clients(url), Window(QUICK), QUICK, time.monotonic(), math.inf)
    assert fetcher.next_downloads() == fetcher.numbers
    fetcher.look_up_all()
    assert fetcher.next_downloads() == [fetcher.list]
