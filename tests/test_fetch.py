import asyncio
import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from itertools import count, takewhile
from typing import Any

import pytest

from pokemon_names import retry, server, transport
from pokemon_names.client import Clients
from pokemon_names.outcome import Failed, Found
from pokemon_names.request import STRATEGIES
from tests.conftest import TimingOut, both_clients, failures, fetched, names, over_both_clients
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.faults import FAULTS, Faults

ONE_EACH = [strategy for strategy in STRATEGIES if strategy != "index"]

# Silence and drip end as timeouts, which have tests of their own; a bomb is not asked for twice.
QUICK_FAULTS = [fault for fault in FAULTS if fault not in {"silence", "drip", "bomb"}]

strategy = pytest.mark.parametrize("strategy", STRATEGIES)
one_each = pytest.mark.parametrize("strategy", ONE_EACH)
every_fault = over_both_clients("fault", QUICK_FAULTS, smoke="503")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after a second attempt, for answers that never get better."""
    monkeypatch.setattr(retry, "OWN_RETRIES", 1)
    monkeypatch.setattr(retry, "SHARED_RETRIES", -10)  # ten names that come earn none
    monkeypatch.setattr(retry, "MAX_UNREADABLE", 2)


@strategy
async def test_every_strategy_gives_the_same_names_in_the_order_asked_for(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    result = await fetched(url, range="151,1-20,10001-10003", strategy=strategy)
    asked = [151, *range(1, 21), *range(10001, 10004)]
    assert result.outcomes == [Found(number, pokeapi.pokemon[number].name) for number in asked]
    assert result.total_ms >= max(exchange.ms for exchange in result.exchanges) > 0


@one_each
async def test_a_request_for_each_number(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    result = await fetched(url, range="1-20", strategy=strategy)
    assert len(result.exchanges) == pokeapi.requests == 20
    assert sum(exchange.bytes for exchange in result.exchanges) > 20 * 50_000


async def test_the_index_is_a_single_request(pokeapi: PokeAPI, url: str) -> None:
    result = await fetched(url, range="1-1025,10001-10326", strategy="index")
    assert names(result) == [one.name for one in pokeapi.pokemon.values()]
    assert len(result.exchanges) == pokeapi.requests == 1


async def test_gather_has_all_in_flight_at_once(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.delay = 0.3
    await fetched(url, range="1-150")
    assert pokeapi.most_in_flight == 100


async def test_no_more_in_flight_than_the_window_lets_in(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.delay = 0.01
    assert len(names(await fetched(url, size=7, range="1-50"))) == 50
    assert pokeapi.most_in_flight <= 7


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
async def test_one_after_another(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    await fetched(url, range="1-5", strategy=strategy)
    assert pokeapi.most_in_flight == 1


async def test_the_blocking_client_does_not_block_the_event_loop(pokeapi: PokeAPI, url: str) -> None:
    go_on = threading.Event()
    pokeapi.answers[1] = answers.after(go_on, answers.json('{"name": "bulbasaur"}'))
    clients = Clients(url)
    blocked = asyncio.create_task(fetched(clients, range="1", strategy="sync"))
    assert names(await fetched(clients, range="2")) == ["ivysaur"]
    assert not blocked.done()
    go_on.set()
    assert names(await blocked) == ["bulbasaur"]


BAD_ANSWERS = {
    "no such number": (None, "not_found", 404, 1, "Not Found"),
    "bad request": (answers.text(400, "x" * 9999), "bad_status", 400, 1, "x" * 200),
    "redirect": (answers.elsewhere, "bad_status", 302, 1, "Found"),
    "plain text error": (answers.text(500, "Internal\n"), "bad_status", 500, 2, "Internal"),
    "error without a body": (answers.text(503, ""), "bad_status", 503, 2, "Service Unavailable"),
    "not JSON": (answers.text(200, "<html>"), "bad_body", None, 2, "JSON is malformed: invalid character (byte 0)"),
    "empty": (answers.json(""), "bad_body", None, 2, "Input data was truncated"),
    "another JSON": (answers.json("[1]"), "bad_body", None, 2, "Expected `object`, got `array`"),
    "no name": (answers.json('{"id": 7}'), "bad_body", None, 2, "Object missing required field `name`"),
    "name not text": (answers.json('{"name": 7}'), "bad_body", None, 2, "Expected `str`, got `int` - at `$.name`"),
    "empty name": (answers.json('{"name": ""}'), "bad_body", None, 2, "Expected `str` of length >= 1 - at `$.name`"),
    "no UTF-8": (
        FAULTS["bad_utf8"],
        "bad_body",
        None,
        2,
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "nested deeply": (
        FAULTS["deep_json"],
        "bad_body",
        None,
        2,
        "maximum recursion depth exceeded while deserializing an object",
    ),
    "no gzip": (answers.broken_gzip, "bad_body", None, 2, "Error -3 while decompressing data: incorrect header check"),
    "short gzip": (answers.zipped_short, "bad_body", None, 2, "the gzip stream breaks off"),
    "truncated": (answers.truncated, "bad_body", None, 2, "end of file before message length reached"),
    "large": (answers.large(5_000_000), "bad_body", None, 1, "more than 4000000 bytes"),
    "large, said to be small": (answers.large(5_000_000, 10), "bad_body", None, 1, "more than 4000000 bytes"),
    "endless": (answers.endless, "bad_body", None, 1, "more than 4000000 bytes"),
    "reset": (answers.reset, "unreachable", None, 2, "connection closed before message completed"),
}


@both_clients
@pytest.mark.parametrize(("answer", "reason", "status", "attempts", "detail"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@pytest.mark.usefixtures("impatient")
async def test_a_bad_answer_fails_its_number_and_no_other(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI, url: str, strategy: str, answer: Any, reason: Any, status: int | None, attempts: int, detail: str
) -> None:
    if answer:
        pokeapi.answers[1026] = answer
    result = await fetched(url, range="1,1026,3", strategy=strategy)
    failed = Failed(1026, reason, status, attempts, detail)
    assert result.outcomes == [Found(1, "bulbasaur"), failed, Found(3, "venusaur")]
    assert len([exchange for exchange in result.exchanges if exchange.number == 1026]) == attempts


@one_each
@pytest.mark.usefixtures("impatient")
async def test_a_timeout_fails_its_number_and_no_other(url: str, strategy: str) -> None:
    result = await fetched(TimingOut(url, 2), range="1-3", strategy=strategy)
    failed = Failed(2, "timeout", None, attempts=2, detail="operation timed out")
    assert result.outcomes == [Found(1, "bulbasaur"), failed, Found(3, "venusaur")]


@one_each
async def test_a_timeout_that_passes_costs_a_retry_and_no_name(url: str, strategy: str) -> None:
    result = await fetched(TimingOut(url, 2, times=1), range="1-3", strategy=strategy)
    assert names(result) == ["bulbasaur", "ivysaur", "venusaur"]
    assert [exchange.attempt for exchange in result.exchanges if exchange.number == 2] == [1, 2]


@pytest.mark.parametrize(
    ("strategy", "answer"), [("gather", answers.hang), ("gather", answers.stuck), ("sync", answers.drip)]
)
@pytest.mark.usefixtures("impatient")
async def test_a_real_timeout_fails_its_number_alone_and_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str, answer: Answer
) -> None:
    monkeypatch.setattr(server, "READ_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(server, "TOTAL_TIMEOUT", timedelta(seconds=1.5))
    clients = Clients(url)
    pokeapi.answers[2] = answer
    result = await fetched(clients, range="1-3", strategy=strategy)
    failed = Failed(2, "timeout", None, attempts=2, detail="operation timed out")
    assert result.outcomes == [Found(1, "bulbasaur"), failed, Found(3, "venusaur")]
    pokeapi.answers = {}
    assert names(await fetched(clients, range="1-3", strategy=strategy)) == ["bulbasaur", "ivysaur", "venusaur"]


@one_each
async def test_a_body_may_be_as_large_as_it_may(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    body = '{"name": "mew"}'
    pokeapi.answers[151] = answers.json(body)
    assert names(await fetched(Clients(url, len(body)), range="151", strategy=strategy)) == ["mew"]
    (failed,) = failures(await fetched(Clients(url, len(body) - 1), range="151", strategy=strategy))
    assert failed.detail == "more than 14 bytes"


async def test_numbers_missing_from_the_index_do_not_exist(url: str) -> None:
    result = await fetched(url, range="1025-1026", strategy="index")
    missing = Failed(1026, "not_found", None, attempts=1, detail="not in the list of all Pokémon")
    assert result.outcomes == [Found(1025, "pecharunt"), missing]


LISTED = '{"name": "mew", "url": "https://pokeapi.co/api/v2/pokemon/151/"}'
NEXT = "https://pokeapi.co/api/v2/pokemon?offset=1&limit=1"


@pytest.mark.parametrize(
    ("answer", "reason", "status"),
    [
        (answers.text(504, "Gateway Timeout"), "bad_status", 504),
        (answers.json('{"results": [{"name": "mew", "url": "mew"}]}'), "bad_body", None),
        (answers.json('{"count": 0}'), "bad_body", None),
        (answers.json('{"count": 0, "next": null, "results": []}'), "bad_body", None),
        (answers.json(f'{{"count": 2, "next": null, "results": [{LISTED}]}}'), "bad_body", None),
        (answers.json(f'{{"count": 1, "next": "{NEXT}", "results": [{LISTED}]}}'), "bad_body", None),
        (answers.json('{"results": [{"name": "", "url": "/151/"}]}'), "bad_body", None),
        (answers.json(f'{{"results": [{{"name": "mew", "url": "/{"1" * 5000}/"}}]}}'), "bad_body", None),
        (answers.reset, "unreachable", None),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_without_the_index_every_number_fails(
    pokeapi: PokeAPI, url: str, answer: Any, reason: str, status: int | None
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answer
    result = await fetched(url, range="1-3", strategy="index")
    assert [(failed.number, failed.reason, failed.status) for failed in failures(result)] == [
        (number, reason, status) for number in (1, 2, 3)
    ]
    assert len(result.exchanges) == 2


@strategy
@pytest.mark.parametrize(
    ("url_", "detail"),
    [
        ("http://127.0.0.1:1/api/v2", "Connection refused"),
        ("http://pokeapi.invalid/api/v2", "failed to lookup address information"),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_nobody_there(strategy: str, url_: str, detail: str) -> None:
    result = await fetched(url_, range="1-3", strategy=strategy)
    assert [failed.number for failed in failures(result)] == [1, 2, 3]
    for failed in failures(result):
        assert failed.reason == "unreachable"
        assert detail in failed.detail


@every_fault
@pytest.mark.usefixtures("impatient")
async def test_a_fault_costs_its_own_number_alone_and_leaves_the_clients_usable(
    pokeapi: PokeAPI, url: str, strategy: str, fault: str
) -> None:
    clients = Clients(url)
    pokeapi.answers = {2: FAULTS[fault], PokeAPI.LIST: FAULTS[fault]}
    result = await fetched(clients, range="1-3", strategy=strategy)
    assert names(result) == ([] if strategy == "index" else ["bulbasaur", "venusaur"])
    assert {failed.attempts for failed in failures(result)} == {2}
    assert {failed.reason for failed in failures(result)} <= {"bad_status", "bad_body", "unreachable"}
    pokeapi.answers = {}
    assert names(await fetched(clients, range="1-3", strategy=strategy)) == ["bulbasaur", "ivysaur", "venusaur"]


@every_fault
async def test_a_fault_that_passes_costs_a_retry_and_no_name(
    url: str, monkeypatch: pytest.MonkeyPatch, strategy: str, fault: str
) -> None:
    monkeypatch.setattr(Faults, "next", answers_once(fault))
    result = await fetched(url, range="1-3", strategy=strategy)
    assert names(result) == ["bulbasaur", "ivysaur", "venusaur"]
    assert sum(exchange.attempt > 1 for exchange in result.exchanges) == 1


@strategy
async def test_every_attempt_is_accounted_for_from_its_turn_to_its_end(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    body = '{"name": "mew", "results": [{"name": "mew", "url": "/151/"}]}'
    answer = answers.first(answers.status(503), answers.reset, then=answers.json(body))
    pokeapi.answers = {151: answer, PokeAPI.LIST: answer}
    attempts = (await fetched(url, range="151", strategy=strategy)).exchanges
    number = None if strategy == "index" else 151
    told = [(attempt.number, attempt.attempt, attempt.ok, attempt.bytes) for attempt in attempts]
    assert told == [(number, 1, False, 19), (number, 2, False, 0), (number, 3, True, len(body))]
    assert [attempt.first_byte_ms is None for attempt in attempts] == [False, True, False]
    times = [time for it in attempts for time in (it.ready_ms, it.start_ms, it.first_byte_ms, it.end_ms) if time]
    assert times == sorted(times)
    assert [attempt.ready_ms for attempt in attempts[1:]] == [attempt.end_ms for attempt in attempts[:-1]]


async def test_who_has_to_wait_for_a_turn_is_ready_before_it_is_sent(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.delay = 0.1
    first, second = (await fetched(url, size=1, range="1-2")).exchanges
    assert second.ready_ms < first.end_ms < second.start_ms


@both_clients
async def test_a_response_begins_before_its_body_has_come(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    seen = threading.Event()

    def clock() -> float:
        seen.set()
        return time.perf_counter()

    monkeypatch.setattr(transport, "perf_counter", clock)
    pokeapi.answers[151] = answers.in_two(b'{"name": ', seen, b'"mew"}')
    assert names(await fetched(url, range="151", strategy=strategy)) == ["mew"]


def answers_once(fault: str) -> Any:
    left = [FAULTS[fault]]
    return lambda *_: left.pop() if left else None


@pytest.mark.parametrize(
    ("seed", "faults"),
    [
        (0, QUICK_FAULTS),
        (1, QUICK_FAULTS),
        *(
            pytest.param(seed, [fault for fault in FAULTS if fault != "bomb"], marks=pytest.mark.fuzz)
            for seed in range(20)
        ),
    ],
)
async def test_with_faults_in_30_percent_of_the_answers_every_name_comes_that_can_be_had(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, seed: int, faults: list[str]
) -> None:
    monkeypatch.setattr(server, "READ_TIMEOUT", timedelta(seconds=1.5))
    monkeypatch.setattr(server, "TOTAL_TIMEOUT", timedelta(seconds=2))
    first = list(pokeapi.pokemon.values())[:1025]
    pokeapi.answers = {one.number: answers.json(f'{{"name": "{one.name}"}}') for one in first}  # small, to be quick
    pokeapi.faults = Faults(dict.fromkeys(faults, 0.3 / len(faults)), seed)
    hopeless = unreadable_thrice(Faults(pokeapi.faults.rates, seed), (one.number for one in first))
    result = await fetched(url, seconds=60, range="1-1025")
    assert {failed.number for failed in failures(result)} == hopeless
    assert names(result) == [one.name for one in first if one.number not in hopeless]
    assert len(result.exchanges) > 1300


def unreadable_thrice(faults: Faults, numbers: Iterable[int]) -> set[int]:
    """Give the numbers whose third unreadable answer comes before their name."""
    unreadable = [FAULTS[name] for name in ("broken_gzip", "not_json", "wrong_json", "deep_json", "bad_utf8")]
    hopeless = set()
    for number in numbers:
        met = takewhile(bool, (faults.next(f"/api/v2/pokemon/{number}") for _ in count()))
        if sum(answer in unreadable for answer in met) >= 3:
            hopeless.add(number)
    return hopeless
