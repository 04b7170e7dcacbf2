"""Which answers are retried, how often and when."""

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Callable

import pytest

from pokemon_names.fetching import patience, retry, window
from pokemon_names.fetching.attempt_error import AttemptError, Kind
from pokemon_names.model import Failure, Found
from tests.conftest import both_clients, failures_of, fetch_range, names_of
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

DOWN = answers.status(503)
BULBASAUR = answers.json('{"name": "bulbasaur"}')


def name_is_number(number: int) -> Answer:
    return answers.json(f'{{"name": "{number}"}}')


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace asyncio's sleep by one that takes no time, and return the seconds of each call."""
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
async def test_a_permanent_error_is_not_retried(
    pokeapi: PokeAPI, url: str, status: int, strategy: str
) -> None:
    pokeapi.answers[1] = answers.status(status)
    (failure,) = (await fetch_range(url, range="1", strategy=strategy)).results
    assert isinstance(failure, Failure)
    assert failure.status == status
    assert failure.attempts == 1
    assert pokeapi.requests == 1


@both_clients
async def test_a_body_that_cannot_be_read_is_retried_twice(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[1] = answers.first(answers.json("[]"), DOWN, then=answers.json('{"id": 1}'))
    fetched = await fetch_range(url, range="1", strategy=strategy)
    detail = "Object missing required field `name`"
    assert fetched.results == [Failure(1, "bad_body", None, attempts=4, detail=detail)]


async def test_a_number_has_two_retries_that_no_other_can_spend(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 0)
    pokeapi.answers = dict.fromkeys(range(11, 31), DOWN)
    for number in range(1, 11):
        pokeapi.answers[number] = answers.first(DOWN, DOWN, then=name_is_number(number))
    fetched = await fetch_range(url, range="1-30", straggler_timeout=0.5)
    assert fetched.results[:10] == [Found(number, str(number)) for number in range(1, 11)]
    assert pokeapi.requests == 10 * 3 + 20 * 3 + 10


async def test_further_retries_are_shared_by_all(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 5)
    pokeapi.answers = {1: DOWN, 2: DOWN}
    fetched = await fetch_range(url, range="1-2")
    assert names_of(fetched) == []
    assert pokeapi.requests == 2 + 2 * 2 + 5


async def test_a_name_that_comes_earns_a_retry(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 0)
    pokeapi.answers[10] = DOWN
    fetched = await fetch_range(url, range="1-10", strategy="sequential")
    attempts = 1 + 2 + 9
    failure = Failure(10, "bad_status", 503, attempts, "Service Unavailable")
    assert fetched.results[-1] == failure


async def test_delays_double_and_differ_at_random(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 6)
    pokeapi.answers[1] = DOWN
    await fetch_range(url, range="1")
    longest = [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02, 0.02]
    assert all(wait <= limit for wait, limit in zip(waits, longest, strict=True))
    assert all(wait > limit / 4 for wait, limit in zip(waits[3:], longest[3:], strict=True))
    assert set(waits).isdisjoint(longest)


@pytest.mark.parametrize("strategy", ["gather", "sequential", "index"])
async def test_a_dead_pokeapi_is_given_up(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr(patience, "SILENCE_TIMEOUT", 2.0)  # a busy machine may answer late
    monkeypatch.setattr(window, "MAX_PAUSE", 0.1)
    pokeapi.answers = dict.fromkeys(range(151), DOWN)
    fetched = await fetch_range(url, range="1-150", strategy=strategy)
    failures = failures_of(fetched)
    assert len(fetched.results) == 150
    # The last attempts may be cut off before they arrive, or before their answer does.
    unanswered = {attempt.number for attempt in fetched.attempts if attempt.first_byte_ms is None}
    reasons = {(failure.reason, failure.status) for failure in failures}
    unexplained = {failure.number for failure in failures if failure.status != 503}
    assert reasons <= {("bad_status", 503), ("timeout", None)}
    assert unexplained <= unanswered
    assert pokeapi.requests <= len(fetched.attempts) <= 250
    detail = "not sent, after: 503 Service Unavailable"
    unsent = Failure(150, "bad_status", 503, attempts=0, detail=detail)
    assert (fetched.results[-1] == unsent) == (strategy != "index")


def http_date(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@both_clients
@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (lambda: "7", 6.9, 7),
        (lambda: http_date(20), 15, 20),
        (lambda: "3600", 0.005, 0.02),
        (lambda: "9" * 400, 0.005, 0.02),
    ],
)
async def test_retry_after_sets_the_delay_where_there_is_time_for_it(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI,
    url: str,
    waits: list[float],
    strategy: str,
    retry_after: Callable[[], str],
    least: float,
    most: float,
) -> None:
    pokeapi.answers[1] = answers.first(answers.status(429, retry_after()), then=BULBASAUR)
    fetched = await fetch_range(url, range="1", strategy=strategy)
    assert fetched.results == [Found(1, "bulbasaur")]
    (wait,) = waits
    assert least <= wait <= most


@both_clients
@pytest.mark.parametrize("retry_after", [lambda: http_date(-20), lambda: "0"])
async def test_there_is_no_delay_where_retry_after_is_over(
    pokeapi: PokeAPI,
    url: str,
    waits: list[float],
    strategy: str,
    retry_after: Callable[[], str],
) -> None:
    pokeapi.answers[1] = answers.first(answers.status(429, retry_after()), then=BULBASAUR)
    fetched = await fetch_range(url, range="1", strategy=strategy)
    assert fetched.results == [Found(1, "bulbasaur")]
    assert waits == []


@both_clients
@pytest.mark.parametrize(
    "retry_after",
    [
        "soon",
        "-1",
        "Mon, 99 Foo 99999999999999999999 00:00:00",
        "Thu, 01 Jan 2026 00:00:00 -0000",
    ],
)
async def test_a_malformed_retry_after_is_ignored(
    pokeapi: PokeAPI, url: str, waits: list[float], strategy: str, retry_after: str
) -> None:
    pokeapi.answers[1] = answers.first(answers.status(429, retry_after), then=BULBASAUR)
    fetched = await fetch_range(url, range="1", strategy=strategy)
    assert fetched.results == [Found(1, "bulbasaur")]
    assert all(0 <= wait <= 0.001 for wait in waits)


async def test_silence_until_the_time_of_retry_after_is_waited_for(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENCE_TIMEOUT", 0.1)
    pokeapi.answers[1] = answers.first(answers.status(503, retry_after=1), then=BULBASAUR)
    assert (await fetch_range(url, range="1")).results == [Found(1, "bulbasaur")]


async def test_a_pause_for_all_costs_no_name(pokeapi: PokeAPI, url: str) -> None:
    too_many = answers.status(429, retry_after=0)
    for number in range(1, 151):
        pokeapi.answers[number] = answers.first(too_many, then=name_is_number(number))
    fetched = await fetch_range(url, range="1-150")
    assert fetched.results == [Found(number, str(number)) for number in range(1, 151)]


def test_environments_of_one_snapshot_wait_differently() -> None:
    waits = []
    for _ in range(2):
        random.seed(1)  # what SnapStart restores everywhere
        waits.append(retry.jittered(1.0))
    assert waits[0] != waits[1]


def delay(kind: Kind, attempts: int = 1, unreadable: int = 0) -> float | None:
    """Return when a number is retried of whose attempts the last brought an error of this kind."""
    error = AttemptError(kind, "bad_body", "")
    return retry.Retries(deadline=math.inf).delay(error, attempts, unreadable)


def test_each_kind_of_error_has_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.1)
    monkeypatch.setattr(retry, "MAX_DELAY", 1.0)
    monkeypatch.setattr(retry, "jittered", lambda seconds: seconds)
    assert delay("permanent") is delay("fatal") is None
    assert delay("disconnected") == delay("unprocessed") == 0.0
    assert delay("unreadable", unreadable=2) == delay("service") == delay("refused") == 0.1
    assert delay("unreadable", unreadable=3) is None
    assert [delay("service", attempts) for attempts in (2, 4, 5, 5000)] == [0.2, 0.8, 1.0, 1.0]


def test_without_retries_left_only_errors_that_cost_none_are_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 0)
    attempts = retry.OWN_RETRIES + 1
    assert delay("service", attempts) is delay("unreadable", attempts) is None
    assert delay("disconnected", attempts) == delay("unprocessed", attempts) == 0.0
    assert delay("refused", attempts) is not None
