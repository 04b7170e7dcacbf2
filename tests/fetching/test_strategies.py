"""Whole fetches over a real socket, with every strategy and every kind of answer from PokeAPI."""

import asyncio
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count

import msgspec
import pytest
from aiohttp import web

from pokemon_names.fetching.fetcher import NOT_LISTED, Fetcher
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import one_at_a_time
from pokemon_names.fetching.window import Window
from pokemon_names.http import client
from pokemon_names.http.client import Clients
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError
from pokemon_names.model import STRATEGIES, Failure, Found, Reason, Result
from tests.conftest import (
    NAMES,
    QUICK,
    TimingOut,
    both_clients,
    every_strategy,
    failures_of,
    fetch_range,
    names_of,
)
from tests.fetching.small import right
from tests.fetching.test_pokeapi import TOO_DEEP
from tests.fetching.virtual import fetch_virtually
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.faults import FAULTS, Faults

BULBASAUR = Found(1, "bulbasaur")
VENUSAUR = Found(3, "venusaur")
FIRST_THREE = ["bulbasaur", "ivysaur", "venusaur"]

# Without "silence" and "drip", which end with a timeout (timeouts have their own tests), and
# without "bomb", which is not retried.
QUICK_FAULTS = [fault for fault in FAULTS if fault not in {"silence", "drip", "bomb"}]

# One retry for each number, because the answers never get better. The names received add shared
# retries, but fewer than 100.
IMPATIENT = msgspec.structs.replace(
    QUICK, own_retries=1, shared_retries=-100, max_unreadable=2, max_list_attempts=2
)
NO_LIST = {PokeAPI.LIST: answers.status(501)}

every_strategy_but_index = pytest.mark.parametrize(
    "strategy", [strategy for strategy in STRATEGIES if strategy != "index"]
)
one_at_a_time_by_both_clients = pytest.mark.parametrize("strategy", ["sequential", "sync"])


@every_strategy
async def test_every_strategy_fetches_the_same_names_in_the_order_of_the_range(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    fetched = await fetch_range(url, range="151,1-5,10001-10003", strategy=strategy)
    numbers = [151, *range(1, 6), *range(10001, 10004)]
    assert fetched.results == [Found(number, pokeapi.pokemon[number].name) for number in numbers]
    assert (
        fetched.total_ms
        >= max(attempt.end_ms - attempt.start_ms for attempt in fetched.attempts)
        > 0
    )


@every_strategy_but_index
async def test_each_number_costs_one_request(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    fetched = await fetch_range(url, range="1-3", strategy=strategy)
    assert len(fetched.attempts) == pokeapi.requests == 3
    assert sum(attempt.bytes for attempt in fetched.attempts) > 3 * 50_000


async def test_index_sends_a_single_request(pokeapi: PokeAPI, url: str) -> None:
    fetched = await fetch_range(url, range="1-1025,10001-10326", strategy="index")
    assert names_of(fetched) == list(NAMES.values())
    assert len(fetched.attempts) == pokeapi.requests == 1


async def test_as_many_requests_are_in_flight_as_the_policy_allows(
    pokeapi: PokeAPI, url: str
) -> None:
    is_full = threading.Event()

    def full(number: int) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            if pokeapi.in_flight == 7:
                is_full.set()
            return await answers.after(is_full, right(number))(request)

        return answer

    pokeapi.answers = {number: full(number) for number in range(1, 21)}
    policy = msgspec.structs.replace(QUICK, concurrency=7)
    assert len(names_of(await fetch_range(url, policy=policy, range="1-20"))) == 20
    assert pokeapi.most_in_flight == 7


@one_at_a_time_by_both_clients
async def test_the_slow_strategies_send_one_request_at_a_time(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
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


Bad = tuple[Reason, int | None, int, str]  # a Failure's fields

TOO_LARGE: Bad = ("bad_body", None, 1, "more than 4000000 bytes")
BAD_ANSWERS: dict[str, tuple[Answer, Bad]] = {
    "no such number": (
        answers.status(404),
        (
            "not_found",
            404,
            1,
            "Not Found; the list of all Pokémon could not be fetched: 501 Not Implemented",
        ),
    ),
    "bad request": (answers.text(400, "x" * 9999), ("bad_status", 400, 1, "x" * 200)),
    "redirect": (answers.elsewhere, ("bad_status", 302, 1, "Found")),
    "plain text error": (
        answers.text(500, "Internal\n"),
        ("bad_status", 500, 2, "Internal"),
    ),
    "error without a body": (
        answers.text(503, ""),
        ("bad_status", 503, 2, "Service Unavailable"),
    ),
    "error with a body that is not gzip": (
        answers.text(500, "not gzip", **{"Content-Encoding": "gzip"}),
        ("bad_status", 500, 2, "Internal Server Error"),
    ),
    "error that is not UTF-8": (
        answers.raw(b"caf\xe9", 500),
        ("bad_status", 500, 2, "caf\ufffd"),
    ),
    "not JSON": (
        answers.text(200, "<html>"),
        ("bad_body", None, 2, "JSON is malformed: invalid character (byte 0)"),
    ),
    "empty": (answers.json(""), ("bad_body", None, 2, "Input data was truncated")),
    "another number's": (
        answers.json('{"id": 7, "name": "squirtle"}'),
        ("bad_body", None, 2, "the body belongs to number 7"),
    ),
    "not UTF-8": (
        FAULTS["bad_utf8"],
        (
            "bad_body",
            None,
            2,
            "Invalid UTF-8 encoded string",
        ),
    ),
    "nested deeply": (
        FAULTS["deep_json"],
        ("bad_body", None, 2, TOO_DEEP),
    ),
    "not gzip": (
        answers.broken_gzip,
        ("bad_body", None, 2, "Error -3 while decompressing data: incorrect header check"),
    ),
    "short gzip": (answers.short_gzip, ("bad_body", None, 2, "the gzip stream is truncated")),
    "truncated": (
        answers.truncated,
        ("bad_body", None, 2, "end of file before message length reached"),
    ),
    "large": (answers.large(5_000_000), TOO_LARGE),
    "large, said to be small": (answers.large(5_000_000, 10), TOO_LARGE),
    "endless": (answers.endless, TOO_LARGE),
    "reset": (
        answers.reset,
        ("unreachable", None, 2, "connection closed before message completed"),
    ),
}


@one_at_a_time_by_both_clients
async def test_a_bad_answer_fails_only_its_number_and_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    """Between any two bad answers there is a good one."""
    clients = Clients(url)
    pokeapi.answers = dict(NO_LIST)
    expected: list[Result] = []
    for number, (answer, failure) in zip(count(1, step=2), BAD_ANSWERS.values(), strict=False):
        pokeapi.answers[number] = right(number)
        pokeapi.answers[number + 1] = answer
        expected += [Found(number, NAMES[number]), Failure(number + 1, *failure)]
    numbers = f"1-{len(expected)}"
    fetched = await fetch_range(clients, policy=IMPATIENT, range=numbers, strategy=strategy)
    assert fetched.results == expected
    sent = Counter(attempt.number for attempt in fetched.attempts)
    assert all(sent[failure.number] == failure.attempts for failure in failures_of(fetched))
    pokeapi.answers = {}
    again = await fetch_range(clients, range="1-3", strategy=strategy)
    assert names_of(again) == FIRST_THREE


@pytest.mark.parametrize(
    "bad",
    ["no such number", "redirect", "plain text error", "not JSON", "truncated", "large", "reset"],
)
async def test_whatever_the_answer_is_the_list_has_the_name_or_denies_it(
    pokeapi: PokeAPI, url: str, bad: str
) -> None:
    answer, (_, status, attempts, _) = BAD_ANSWERS[bad]
    pokeapi.answers = {2: answer, 1026: answer}
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-3,1026", strategy="sequential")
    denied = Failure(1026, "not_found", status, 1, NOT_LISTED)
    assert fetched.results == [BULBASAUR, Found(2, "ivysaur"), VENUSAUR, denied]
    assert fetched.listed == 1
    assert [attempt.number for attempt in fetched.attempts] == [1, *[2] * attempts, None, 3, 1026]


@both_clients
async def test_without_the_list_a_timeout_fails_its_number_and_no_other(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers |= NO_LIST
    clients = TimingOut(url, 2)
    fetched = await fetch_range(clients, policy=IMPATIENT, range="1-3", strategy=strategy)
    failure = Failure(2, "timeout", None, attempts=2, detail="operation timed out")
    assert fetched.results == [BULBASAUR, failure, VENUSAUR]


@both_clients
async def test_a_number_that_always_times_out_comes_from_the_list(url: str, strategy: str) -> None:
    clients = TimingOut(url, 2)
    fetched = await fetch_range(clients, policy=IMPATIENT, range="1-3", strategy=strategy)
    assert names_of(fetched) == FIRST_THREE
    assert fetched.listed == 1


@both_clients
async def test_after_a_timeout_the_name_comes_from_the_list(url: str, strategy: str) -> None:
    fetched = await fetch_range(TimingOut(url, 2, times=1), range="1-3", strategy=strategy)
    attempts = [attempt.ordinal for attempt in fetched.attempts if attempt.number == 2]
    assert names_of(fetched) == FIRST_THREE
    assert attempts == [1]
    assert fetched.listed == 1


@both_clients
async def test_without_the_list_a_single_timeout_costs_a_retry_and_no_name(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(501)
    fetched = await fetch_range(TimingOut(url, 2, times=1), range="1-3", strategy=strategy)
    attempts = [attempt.ordinal for attempt in fetched.attempts if attempt.number == 2]
    assert names_of(fetched) == FIRST_THREE
    assert attempts == [1, 2]


@pytest.mark.parametrize(
    ("strategy", "answer"),
    [("gather", answers.hang), ("gather", answers.stuck), ("sync", answers.drip)],
)
async def test_a_real_timeout_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer
) -> None:
    clients = Clients(url, limits=Limits(read_timeout=0.3, total_timeout=0.4))
    pokeapi.answers = {2: answer, **NO_LIST}
    fetched = await fetch_range(clients, policy=IMPATIENT, range="2", strategy=strategy)
    failure = Failure(2, "timeout", None, attempts=2, detail="operation timed out")
    assert fetched.results == [failure]
    pokeapi.answers = {}
    again = await fetch_range(clients, range="1-3", strategy=strategy)
    assert names_of(again) == FIRST_THREE


async def test_a_body_may_be_as_large_as_the_limit(pokeapi: PokeAPI, url: str) -> None:
    body = '{"name": "mew"}'
    pokeapi.answers = {151: answers.json(body), **NO_LIST}
    within = await fetch_range(Clients(url, len(body)), range="151")
    beyond = await fetch_range(Clients(url, len(body) - 1), range="151")
    assert names_of(within) == ["mew"]
    (failure,) = failures_of(beyond)
    assert failure.detail == "more than 14 bytes"


async def test_numbers_that_the_list_lacks_are_not_found(url: str) -> None:
    fetched = await fetch_range(url, range="1025-1026", strategy="index")
    not_found = Failure(1026, "not_found", None, attempts=1, detail=NOT_LISTED)
    assert fetched.results == [Found(1025, "pecharunt"), not_found]


PART = '{"count": 2, "results": [{"name": "mew", "url": "/151/"}]}'


@pytest.mark.parametrize(
    ("answer", "reason", "status", "detail"),
    [
        (answers.text(504, "Gateway Timeout"), "bad_status", 504, "Gateway Timeout"),
        (answers.status(404), "bad_status", 404, "Not Found"),
        (answers.json(PART), "bad_body", None, "the list has 1 of 2 Pokémon"),
        (
            answers.reset,
            "unreachable",
            None,
            "connection closed before message completed",
        ),
    ],
)
async def test_if_the_list_cannot_be_fetched_index_returns_only_failures(  # noqa: PLR0913, PLR0917  the cases' values
    pokeapi: PokeAPI, url: str, answer: Answer, reason: Reason, status: int | None, detail: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answer
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-3", strategy="index")
    assert fetched.results == [Failure(number, reason, status, 2, detail) for number in (1, 2, 3)]
    assert len(fetched.attempts) == 2


@both_clients
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


@one_at_a_time_by_both_clients
async def test_a_temporary_fault_costs_a_retry_and_no_name(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    for number, fault in enumerate(QUICK_FAULTS, 1):
        pokeapi.answers[number] = answers.first(FAULTS[fault], then=right(number))
    numbers = range(1, len(QUICK_FAULTS) + 1)
    fetched = await fetch_range(url, range=f"1-{numbers[-1]}", strategy=strategy)
    assert fetched.results == [Found(number, NAMES[number]) for number in numbers]
    assert [attempt.ordinal for attempt in fetched.attempts] == [1, 2] * len(numbers)
    assert fetched.listed == 0


async def test_a_temporary_fault_of_the_list_costs_a_retry(pokeapi: PokeAPI, url: str) -> None:
    list_of_all = answers.first(answers.truncated, then=right(PokeAPI.LIST))
    pokeapi.answers[PokeAPI.LIST] = list_of_all
    fetched = await fetch_range(url, range="1-3", strategy="index")
    assert names_of(fetched) == FIRST_THREE
    assert [attempt.ok for attempt in fetched.attempts] == [False, True]


@pytest.mark.parametrize("strategy", ["gather", "sync", "index"])
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
    assert [attempt.ordinal for attempt in attempts] == [1, 2, 3]
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


def test_a_request_that_waits_for_its_turn_is_ready_before_it_is_sent() -> None:
    fetched = fetch_virtually(lambda _: None, policy=Policy(concurrency=1), range="1-2")
    first, second = fetched.attempts
    assert second.ready_ms == first.ready_ms == 0
    assert second.start_ms == first.end_ms > 0


@both_clients
async def test_a_response_begins_before_its_body_has_arrived(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    has_begun = threading.Event()

    def clock() -> float:
        has_begun.set()
        return time.monotonic() - 1000  # so that the assertion below recognises it

    monkeypatch.setattr(client, "monotonic", clock)
    pokeapi.answers[151] = answers.in_two(b'{"name": ', has_begun, b'"mew"}')
    fetched = await fetch_range(url, range="151", strategy=strategy)
    (attempt,) = fetched.attempts
    assert names_of(fetched) == ["mew"]
    assert attempt.first_byte_ms is not None
    assert -1_000_000 <= attempt.first_byte_ms < 0 < attempt.end_ms


MORE_FAULTS = [fault for fault in FAULTS if fault != "bomb"]


@pytest.mark.parametrize(
    ("seed", "faults", "size"),
    [
        (0, QUICK_FAULTS, 100),
        *(pytest.param(seed, MORE_FAULTS, 1025, marks=pytest.mark.fuzz) for seed in range(20)),
    ],
)
async def test_with_faults_in_30_percent_of_the_answers_every_name_arrives(
    pokeapi: PokeAPI, url: str, seed: int, faults: Sequence[str], size: int
) -> None:
    pokeapi.answers = {number: right(number) for number in range(1, size + 1)}
    pokeapi.faults = Faults(dict.fromkeys(faults, 0.3 / len(faults)), seed)
    clients = Clients(url, limits=Limits(read_timeout=1.5, total_timeout=2.0))
    fetched = await fetch_range(clients, seconds=60, range=f"1-{size}")
    assert fetched.results == [Found(number, NAMES[number]) for number in range(1, size + 1)]
    assert fetched.listed > 0
    assert sum(not attempt.ok for attempt in fetched.attempts) > size / 5


async def test_of_numbers_fetched_one_at_a_time_slow_ones_come_last(url: str) -> None:
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


async def test_the_list_comes_after_all_numbers_once_it_is_wanted(url: str) -> None:
    fetcher = Fetcher(range(1, 4), Clients(url), Window(QUICK), QUICK, time.monotonic(), math.inf)
    assert fetcher.next_downloads() == fetcher.numbers
    fetcher.look_up_all()
    assert fetcher.next_downloads() == [fetcher.list]
