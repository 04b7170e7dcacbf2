import asyncio
import email.utils
import time
from typing import Any

import pytest

from pokemon_names.outcome import Failed, Found
from tests.conftest import both_clients, fetched
from tests.tools.pokeapi import PokeAPI, answers

DOWN = answers.status(503)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note every wait, and wait for none."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds:
            waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@both_clients
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
async def test_not_worth_a_retry(pokeapi: PokeAPI, url: str, status: int, strategy: str) -> None:
    pokeapi.answers[1] = answers.status(status)
    (failed,) = (await fetched(url, range="1", strategy=strategy)).outcomes
    assert isinstance(failed, Failed)
    assert (failed.status, failed.attempts, pokeapi.requests) == (status, 1, 1)


@both_clients
async def test_at_most_ten_attempts_for_a_number(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.answers[1] = DOWN
    (failed,) = (await fetched(url, range="1", strategy=strategy)).outcomes
    assert failed == Failed(1, "bad_status", 503, attempts=10, detail="Service Unavailable")
    assert pokeapi.requests == 10


async def test_waits_double_and_are_never_quite_the_same(pokeapi: PokeAPI, url: str, waits: list[float]) -> None:
    pokeapi.answers[1] = DOWN
    await fetched(url, range="1")
    bases = [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02, 0.02, 0.02]
    assert all(base <= wait <= base + 0.001 for base, wait in zip(bases, waits, strict=True))
    assert set(waits[:5]).isdisjoint(bases)


async def test_a_dead_pokeapi_gets_a_hundred_retries_in_all(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = dict.fromkeys(range(1, 151), DOWN)
    result = await fetched(url, range="1-150")
    assert len(result.outcomes) == 150
    assert pokeapi.requests == len(result.exchanges) == 250


@pytest.mark.usefixtures("waits")
async def test_a_body_that_comes_earns_a_retry(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = dict.fromkeys(range(31, 51), DOWN)
    result = await fetched(url, slots=1, range="1-50")
    assert len([outcome for outcome in result.outcomes if isinstance(outcome, Found)]) == 30
    assert 50 + 100 < pokeapi.requests <= 50 + 100 + 30


def http_date(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@both_clients
@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (lambda: "7", 7, 7),
        (lambda: http_date(20), 15, 20),
        (lambda: http_date(-20), None, None),
        (lambda: "0", None, None),
        (lambda: "soon", 0.001, 0.02),
        (lambda: "-1", 0.001, 0.02),
        (lambda: "Mon, 99 Foo 99999999999999999999 00:00:00", 0.001, 0.02),
        (lambda: "Thu, 01 Jan 2026 00:00:00 -0000", 0.001, 0.02),
    ],
)
async def test_retry_after_is_honoured(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI, url: str, waits: list[float], strategy: str, retry_after: Any, least: float, most: float
) -> None:
    pokeapi.answers[1] = answers.first(answers.status(429, retry_after()), then=answers.json('{"name": "bulbasaur"}'))
    result = await fetched(url, range="1", strategy=strategy)
    assert result.outcomes == [Found(1, "bulbasaur")]
    assert all(least <= wait <= most for wait in filter(None, waits))
    assert len([wait for wait in waits if wait]) == (least is not None)


@both_clients
async def test_a_wait_that_would_pass_the_deadline_is_not_begun(
    pokeapi: PokeAPI, url: str, waits: list[float], strategy: str
) -> None:
    pokeapi.answers[1] = answers.status(429, retry_after=60)
    (failed,) = (await fetched(url, range="1", strategy=strategy)).outcomes
    assert failed == Failed(1, "bad_status", 429, attempts=1, detail="Too Many Requests")
    assert waits == []


async def test_a_pause_for_all_costs_no_name(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = {
        number: answers.first(answers.status(429, 0), then=answers.json(f'{{"name": "{number}"}}'))
        for number in range(1, 151)
    }
    result = await fetched(url, range="1-150")
    assert result.outcomes == [Found(number, str(number)) for number in range(1, 151)]
