import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from pokemon_names import client
from pokemon_names.client import Clients
from pokemon_names.fetch import Failed, Fetched, Found, fetch
from pokemon_names.request import STRATEGIES, Request
from tests import answers
from tests.pokeapi import PokeAPI

ONE_EACH = [strategy for strategy in STRATEGIES if strategy != "index"]

strategy = pytest.mark.parametrize("strategy", STRATEGIES)
one_each = pytest.mark.parametrize("strategy", ONE_EACH)


async def run(url: str, slots: int = 100, **fields: Any) -> Fetched:
    return await fetch(Request(**fields), Clients(url), asyncio.Semaphore(slots))


def names(fetched: Fetched) -> list[str]:
    return [outcome.name for outcome in fetched.outcomes if isinstance(outcome, Found)]


@strategy
async def test_every_strategy_gives_the_same_names_in_the_order_asked_for(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    fetched = await run(url, range="151,1-20,10001-10003", strategy=strategy)
    asked = [151, *range(1, 21), *range(10001, 10004)]
    assert fetched.outcomes == [Found(number, pokeapi.pokemon[number].name) for number in asked]
    assert fetched.total_ms >= max(exchange.ms for exchange in fetched.exchanges) > 0


@one_each
async def test_a_request_for_each_number(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    fetched = await run(url, range="1-20", strategy=strategy)
    assert len(fetched.exchanges) == pokeapi.requests == 20
    assert sum(exchange.size for exchange in fetched.exchanges) > 20 * 50_000


async def test_the_index_is_a_single_request(pokeapi: PokeAPI, url: str) -> None:
    fetched = await run(url, range="1-1025,10001-10326", strategy="index")
    assert names(fetched) == [one.name for one in pokeapi.pokemon.values()]
    assert len(fetched.exchanges) == pokeapi.requests == 1


async def test_gather_has_all_in_flight_at_once(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.delay = 0.2
    await run(url, range="1-20")
    assert pokeapi.most_in_flight == 20


async def test_no_more_in_flight_than_there_are_slots(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.delay = 0.01
    assert len(names(await run(url, slots=7, range="1-50"))) == 50
    assert pokeapi.most_in_flight <= 7


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
async def test_one_after_another(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    await run(url, range="1-5", strategy=strategy)
    assert pokeapi.most_in_flight == 1


async def test_the_blocking_client_does_not_block_the_event_loop(pokeapi: PokeAPI, url: str) -> None:
    go_on = threading.Event()
    pokeapi.answers[1] = answers.after(go_on, answers.json('{"name": "bulbasaur"}'))
    clients, slots = Clients(url), asyncio.Semaphore(1)
    blocked = asyncio.create_task(fetch(Request(range="1", strategy="sync"), clients, slots))
    assert names(await fetch(Request(range="2"), clients, slots)) == ["ivysaur"]
    assert not blocked.done()
    go_on.set()
    assert names(await blocked) == ["bulbasaur"]


BAD_ANSWERS = {
    "no such number": (None, "not_found", 404, "Not Found"),
    "plain text error": (answers.text(500, "Internal Server Error\n"), "bad_status", 500, "Internal Server Error"),
    "error without a body": (answers.text(503, ""), "bad_status", 503, "Service Unavailable"),
    "long error": (answers.text(400, "x" * 9999), "bad_status", 400, "x" * 200),
    "redirect": (answers.elsewhere, "bad_status", 302, "Found"),
    "not JSON": (answers.text(200, "<html>"), "bad_body", None, "JSON is malformed: invalid character (byte 0)"),
    "empty": (answers.json(""), "bad_body", None, "Input data was truncated"),
    "another JSON": (answers.json("[1]"), "bad_body", None, "Expected `object`, got `array`"),
    "no name": (answers.json('{"id": 7}'), "bad_body", None, "Object missing required field `name`"),
    "name not text": (answers.json('{"name": 7}'), "bad_body", None, "Expected `str`, got `int` - at `$.name`"),
    "broken gzip": (answers.broken_gzip, "bad_body", None, "Error -3 while decompressing data: incorrect header check"),
    "truncated": (answers.truncated, "bad_body", None, "end of file before message length reached"),
    "reset": (answers.reset, "unreachable", None, "connection closed before message completed"),
    "silence": (answers.hang, "timeout", None, "operation timed out"),
    "stuck body": (answers.stuck, "timeout", None, "operation timed out"),
}


@one_each
@pytest.mark.parametrize(("answer", "reason", "status", "detail"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_a_bad_answer_fails_its_number_and_no_other(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
    answer: Any,
    reason: Any,
    status: int | None,
    detail: str,
) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", timedelta(milliseconds=200))
    if answer:
        pokeapi.answers[1026] = answer
    fetched = await run(url, range="1,1026,3", strategy=strategy)
    failed = Failed(1026, reason, status, attempts=1, detail=detail)
    assert fetched.outcomes == [Found(1, "bulbasaur"), failed, Found(3, "venusaur")]
    assert len(fetched.exchanges) == 3


async def test_numbers_missing_from_the_index_do_not_exist(url: str) -> None:
    fetched = await run(url, range="1025-1026", strategy="index")
    missing = Failed(1026, "not_found", None, attempts=1, detail="not in the list of all Pokémon")
    assert fetched.outcomes == [Found(1025, "pecharunt"), missing]


@pytest.mark.parametrize(
    ("answer", "reason", "status"),
    [
        (answers.text(504, "Gateway Timeout"), "bad_status", 504),
        (answers.json('{"results": [{"name": "mew", "url": "mew"}]}'), "bad_body", None),
        (answers.json('{"count": 0}'), "bad_body", None),
        (answers.reset, "unreachable", None),
    ],
)
async def test_without_the_index_every_number_fails(
    pokeapi: PokeAPI, url: str, answer: Any, reason: str, status: int | None
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answer
    fetched = await run(url, range="1-3", strategy="index")
    failures = [outcome for outcome in fetched.outcomes if isinstance(outcome, Failed)]
    assert [(failed.number, failed.reason, failed.status) for failed in failures] == [
        (number, reason, status) for number in (1, 2, 3)
    ]
    assert len(fetched.exchanges) == 1


@strategy
@pytest.mark.parametrize(
    ("url_", "detail"),
    [
        ("http://127.0.0.1:1/api/v2", "Connection refused"),
        ("http://pokeapi.invalid/api/v2", "failed to lookup address information"),
    ],
)
async def test_nobody_there(strategy: str, url_: str, detail: str) -> None:
    fetched = await run(url_, range="1-3", strategy=strategy)
    assert [outcome.number for outcome in fetched.outcomes] == [1, 2, 3]
    for outcome in fetched.outcomes:
        assert isinstance(outcome, Failed)
        assert outcome.reason == "unreachable"
        assert detail in outcome.detail
