import asyncio
import email.utils
import time
from typing import Any

import pytest

from pokemon_names import fetch, retry, window
from pokemon_names.outcome import Failed, Found
from tests.conftest import both_clients, failures, fetched, names
from tests.tools.pokeapi import PokeAPI, answers

DOWN = answers.status(503)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note every wait of a number, and wait for none."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds:
            waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    return waits


@both_clients
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501, 505])
async def test_not_worth_a_retry(pokeapi: PokeAPI, url: str, status: int, strategy: str) -> None:
    pokeapi.answers[1] = answers.status(status)
    (failed,) = (await fetched(url, range="1", strategy=strategy)).outcomes
    assert isinstance(failed, Failed)
    assert (failed.status, failed.attempts, pokeapi.requests) == (status, 1, 1)


@both_clients
async def test_what_cannot_be_read_is_asked_for_three_times(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.answers[1] = answers.first(answers.json("[]"), DOWN, then=answers.json('{"id": 1}'))
    (failed,) = (await fetched(url, range="1", strategy=strategy)).outcomes
    assert failed == Failed(1, "bad_body", None, attempts=4, detail="Object missing required field `name`")


async def test_a_number_has_two_retries_that_no_other_can_spend(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 0)
    pokeapi.answers = {
        number: answers.first(DOWN, DOWN, then=answers.json(f'{{"name": "{number}"}}')) for number in range(1, 11)
    }
    pokeapi.answers |= dict.fromkeys(range(11, 31), DOWN)
    result = await fetched(url, range="1-30", straggler_timeout=0.5)
    assert result.outcomes[:10] == [Found(number, str(number)) for number in range(1, 11)]
    assert pokeapi.requests == 10 * 3 + 20 * 3 + 10


async def test_further_retries_are_shared_by_all(pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 5)
    pokeapi.answers = {1: DOWN, 2: DOWN}
    result = await fetched(url, range="1-2")
    assert names(result) == []
    assert pokeapi.requests == 2 + 2 * 2 + 5


async def test_a_name_that_comes_earns_a_retry(pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 0)
    pokeapi.answers[10] = DOWN
    result = await fetched(url, range="1-10", strategy="sequential")
    assert result.outcomes[-1] == Failed(10, "bad_status", 503, attempts=1 + 2 + 9, detail="Service Unavailable")


async def test_waits_double_and_are_never_quite_the_same(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 6)
    pokeapi.answers[1] = DOWN
    await fetched(url, range="1")
    longest = [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02, 0.02]
    assert all(wait <= most for most, wait in zip(longest, waits, strict=True))
    assert all(wait > most / 4 for most, wait in zip(longest[3:], waits[3:], strict=True))
    assert set(waits).isdisjoint(longest)


@pytest.mark.parametrize("strategy", ["gather", "sequential", "index"])
async def test_a_dead_pokeapi_is_given_up(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr(fetch, "SILENCE_TIMEOUT", 0.4)
    monkeypatch.setattr(window, "MAX_PAUSE", 0.1)
    pokeapi.answers = dict.fromkeys(range(151), DOWN)
    result = await fetched(url, range="1-150", strategy=strategy)
    assert {(failed.reason, failed.status) for failed in failures(result)} == {("bad_status", 503)}
    assert len(result.outcomes) == 150
    assert pokeapi.requests <= len(result.exchanges) <= 250  # the last may be cut off before it arrives
    unsent = Failed(150, "bad_status", 503, attempts=0, detail="not sent, after: 503 Service Unavailable")
    assert (result.outcomes[-1] == unsent) == (strategy != "index")


def http_date(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@both_clients
@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (lambda: "7", 6.9, 7),
        (lambda: http_date(20), 15, 20),
        (lambda: http_date(-20), None, None),
        (lambda: "0", None, None),
        (lambda: "soon", 0, 0.001),
        (lambda: "-1", 0, 0.001),
        (lambda: "Mon, 99 Foo 99999999999999999999 00:00:00", 0, 0.001),
        (lambda: "Thu, 01 Jan 2026 00:00:00 -0000", 0, 0.001),
        (lambda: "3600", 0.005, 0.02),
        (lambda: "9" * 400, 0.005, 0.02),
    ],
)
async def test_retry_after_is_honoured_where_there_is_time_for_it(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI, url: str, waits: list[float], strategy: str, retry_after: Any, least: float, most: float
) -> None:
    pokeapi.answers[1] = answers.first(answers.status(429, retry_after()), then=answers.json('{"name": "bulbasaur"}'))
    result = await fetched(url, range="1", strategy=strategy)
    assert result.outcomes == [Found(1, "bulbasaur")]
    assert all(least <= wait <= most for wait in waits)
    assert len(waits) == (least is not None) or least == 0


async def test_a_promise_is_waited_for(pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SILENCE_TIMEOUT", 0.1)
    pokeapi.answers[1] = answers.first(answers.status(503, retry_after=1), then=answers.json('{"name": "bulbasaur"}'))
    assert (await fetched(url, range="1")).outcomes == [Found(1, "bulbasaur")]


async def test_a_pause_for_all_costs_no_name(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = {
        number: answers.first(answers.status(429, 0), then=answers.json(f'{{"name": "{number}"}}'))
        for number in range(1, 151)
    }
    result = await fetched(url, range="1-150")
    assert result.outcomes == [Found(number, str(number)) for number in range(1, 151)]
