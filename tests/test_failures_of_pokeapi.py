"""How PokeAPI really fails, by its users' reports, and that no name is lost which could be had."""

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random
from time import monotonic
from types import ModuleType
from typing import Any

import msgspec
import pytest
from aiohttp import web

from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.http.client import Clients
from pokemon_names.model import Fetched, Found
from tests.conftest import (
    NAMES,
    LoadApp,
    both_clients,
    every_strategy,
    failures_of,
    fetch_range,
    names_of,
)
from tests.test_messages import batch, failed_messages
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import list_entry, pokemon
from tests.tools.pokeapi.faults import Faults

BAD = [30, 60, 90, 120, 150]
PRODUCTION = Policy(lag_timeout=30.0)  # or a number may lag on a busy machine
IMPATIENT = Policy(lag_timeout=30.0, straggler_timeout=0.5)
LAGGING = Policy()
ALL = "1-1025,10001-10326"
fuzz = pytest.mark.fuzz
by_url = pytest.mark.parametrize(
    "strategy", ["gather", "sync", pytest.param("sequential", marks=pytest.mark.fuzz)]
)
# What waits for long is shown by one strategy here, and by the others in `make fuzz`.
by_gather = pytest.mark.parametrize(
    "strategy", ["gather", *[pytest.param(name, marks=fuzz) for name in ("sequential", "sync")]]
)


def some(cases: Iterable[str], *shown: str) -> list[Any]:
    """Return all cases, and leave those that are not named to `make fuzz`."""
    return [case if case in shown else pytest.param(case, marks=fuzz) for case in cases]


LIST = json.dumps({"results": list(map(list_entry, pokemon().values()))})


class Clock:
    """A clock that starts with its first reading."""

    def __init__(self) -> None:
        self._began: float | None = None

    def seconds(self) -> float:
        if self._began is None:
            self._began = monotonic()
        return monotonic() - self._began


def right(number: int) -> Answer:
    """Return the answer that is right for a number, with a small body; for the list of all, too."""
    if number == PokeAPI.LIST:
        return answers.json(LIST)
    return answers.json(json.dumps({"id": number, "name": NAMES[number]}))


def by_spelling(*, slash: Answer, no_slash: Answer) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        spelled = slash if request.path.endswith("/") else no_slash
        return await spelled(request)

    return answer


def at_times(clock: Clock, is_bad: Callable[[float], bool], bad: Answer, good: Answer) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        now = bad if is_bad(clock.seconds()) else good
        return await now(request)

    return answer


def answer_all_at_times(
    pokeapi: PokeAPI, is_bad: Callable[[float], bool], bad: Answer, count: int = 150
) -> None:
    """Let all numbers and the list of all be answered badly in these seconds."""
    clock = Clock()
    for number in range(count + 1):
        pokeapi.answers[number] = at_times(clock, is_bad, bad, right(number))


def counting(answer: Answer, counted: list[float]) -> Answer:
    """Add the time of each request to a list."""

    async def count(request: web.Request) -> web.StreamResponse:
        counted.append(monotonic())
        return await answer(request)

    return count


def all_right(pokeapi: PokeAPI, numbers: Iterable[int]) -> None:
    """Answer with small bodies, because large ones take time to make."""
    for number in numbers:
        pokeapi.answers[number] = right(number)


def all_names(count: int) -> list[str]:
    return [NAMES[number] for number in range(1, count + 1)]


def listed(fetched: Fetched) -> list[int]:
    """Return the numbers for which no request succeeded, and which have names nevertheless."""
    answered = {attempt.number for attempt in fetched.attempts if attempt.ok}
    found = [result.number for result in fetched.results if isinstance(result, Found)]
    return [number for number in found if number not in answered]


def details_of(fetched: Fetched) -> set[str]:
    return {failure.detail for failure in failures_of(fetched)}


# One spelling of some URLs, or both, is wrong for good, and the list is right.


FINAL = {
    "404": answers.status(404),
    "403": answers.text(403, "<html>Just a moment...", "text/html"),
    "410": answers.status(410),
    "400": answers.status(400),
    "301": answers.text(301, "", Location="/api/v2/pokemon/"),
    "too large": answers.large(5_000_000),
}
UNREADABLE = {
    "OK": answers.text(200, "OK"),
    "no body": answers.text(200, ""),
    "a page": answers.text(200, "<html>", "text/html"),
    "half a gzip stream": answers.short_gzip,
    "no name": answers.json('{"id": 1}'),
}
BROKEN = {"500": answers.status(500), "502": answers.status(502), "504": answers.status(504)}
WRONG = FINAL | UNREADABLE | BROKEN


@by_gather
@pytest.mark.parametrize("wrong", FINAL)
@pytest.mark.parametrize("spellings", ["one", "both"])
async def test_a_final_status_of_some_numbers_costs_one_request(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: str, spellings: str
) -> None:
    bad = FINAL[wrong]
    for number in BAD:
        no_slash = right(number) if spellings == "one" else bad
        pokeapi.answers[number] = by_spelling(slash=bad, no_slash=no_slash)
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)
    assert fetched.listed == 5
    assert listed(fetched) == BAD
    assert pokeapi.requests == len(fetched.attempts) == 151
    assert fetched.total_ms < 4_000


@by_gather
@pytest.mark.parametrize("wrong", UNREADABLE)
async def test_the_other_spelling_is_tried_where_a_body_cannot_be_read(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: str
) -> None:
    for number in BAD:
        pokeapi.answers[number] = by_spelling(slash=UNREADABLE[wrong], no_slash=right(number))
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)
    assert fetched.listed == len(listed(fetched))
    assert pokeapi.requests <= 150 + 11
    assert fetched.total_ms < 4_000


@by_gather
@pytest.mark.parametrize("wrong", UNREADABLE | BROKEN)
async def test_what_no_retry_brings_comes_from_the_list(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: str
) -> None:
    for number in BAD:
        pokeapi.answers[number] = WRONG[wrong]
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)
    assert fetched.listed == 5
    assert pokeapi.requests <= 150 + 11
    assert fetched.total_ms < 4_000


@by_gather
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_answer_for_the_spelling_without_a_slash_is_never_met(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: str
) -> None:
    for number in range(1, 21):
        pokeapi.answers[number] = by_spelling(slash=right(number), no_slash=WRONG[wrong])
    fetched = await fetch_range(url, range="1-20", strategy=strategy)
    assert names_of(fetched) == all_names(20)
    assert fetched.listed == 0
    assert pokeapi.requests == 20


@both_clients
async def test_one_number_alone_comes_from_the_list(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[25] = answers.status(403)
    fetched = await fetch_range(url, policy=PRODUCTION, range="25", strategy=strategy)
    assert fetched.results == [Found(25, "pikachu")]
    assert fetched.listed == 1
    assert pokeapi.requests == 2


@both_clients
async def test_the_list_is_asked_for_once(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    requests: list[float] = []
    pokeapi.answers[PokeAPI.LIST] = counting(right(PokeAPI.LIST), requests)
    for number in range(1, 51):
        pokeapi.answers[number] = answers.status(403)
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-60", strategy=strategy)
    assert names_of(fetched) == all_names(60)
    assert len(requests) == 1


@both_clients
async def test_the_list_has_its_own_retries(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.answers[2] = answers.status(404)
    pokeapi.answers[PokeAPI.LIST] = answers.first(
        answers.status(503), answers.reset, answers.text(200, "OK"), then=right(PokeAPI.LIST)
    )
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-3", strategy=strategy)
    assert names_of(fetched) == all_names(3)
    assert fetched.listed == 1


@both_clients
@pytest.mark.parametrize("wrong", [403, 404])
async def test_the_list_has_another_spelling(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: int
) -> None:
    pokeapi.answers[2] = answers.status(404)
    pokeapi.answers[PokeAPI.LIST] = by_spelling(
        slash=answers.status(wrong), no_slash=right(PokeAPI.LIST)
    )
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-3", strategy=strategy)
    assert names_of(fetched) == all_names(3)


async def test_the_strategy_index_has_the_other_spelling_of_the_list(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = by_spelling(
        slash=answers.status(404), no_slash=right(PokeAPI.LIST)
    )
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150", strategy="index")
    assert names_of(fetched) == all_names(150)
    assert pokeapi.requests <= 3


@by_gather
@pytest.mark.parametrize("wrong", FINAL)
async def test_without_the_list_the_other_spelling_is_tried(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    for number in BAD:
        pokeapi.answers[number] = by_spelling(slash=FINAL[wrong], no_slash=right(number))
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)
    assert fetched.listed == 0


@by_url
async def test_without_the_list_a_number_has_its_own_error(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    pokeapi.answers[1] = answers.status(403)
    pokeapi.answers[2] = answers.text(200, "OK")
    pokeapi.answers[3] = answers.status(500)
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-150", strategy=strategy)
    failed = {failure.number: failure for failure in failures_of(fetched)}
    assert names_of(fetched) == all_names(150)[3:]
    assert (failed[1].reason, failed[1].status) == ("bad_status", 403)
    assert (failed[2].reason, failed[2].status) == ("bad_body", None)
    assert (failed[3].reason, failed[3].status) == ("bad_status", 500)
    assert failed[1].detail.startswith("Forbidden")
    assert failed[1].attempts <= 2


async def test_a_list_that_never_comes_costs_no_other_name(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.hang
    for number in BAD:
        pokeapi.answers[number] = answers.status(404)
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-150")
    assert len(names_of(fetched)) == 145
    assert [failure.number for failure in failures_of(fetched)] == BAD
    assert fetched.total_ms < 12_000


# PokeAPI's own program.


@every_strategy
async def test_a_pokeapi_that_redirects_every_path_without_a_slash(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    moved = answers.text(301, "", Location="https://example.org/")
    for number in range(151):
        pokeapi.answers[number] = by_spelling(slash=right(number), no_slash=moved)
    fetched = await fetch_range(url, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)
    assert pokeapi.requests == (1 if strategy == "index" else 150)


@by_url
@pytest.mark.parametrize("status", [301, 404])
async def test_an_api_without_final_slashes(
    pokeapi: PokeAPI, url: str, strategy: str, status: int
) -> None:
    wrong = answers.text(status, "", Location="https://example.org/")
    for number in range(21):
        pokeapi.answers[number] = by_spelling(slash=wrong, no_slash=right(number))
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-20", strategy=strategy)
    assert names_of(fetched) == all_names(20)


@by_gather
async def test_an_api_without_a_list_and_without_final_slashes(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    missing = answers.status(404)
    pokeapi.answers[PokeAPI.LIST] = missing
    for number in range(1, 21):
        pokeapi.answers[number] = by_spelling(slash=missing, no_slash=right(number))
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-20", strategy=strategy)
    assert names_of(fetched) == all_names(20)


# Blocks of numbers that fail.


thirds = pytest.mark.parametrize(
    "bad",
    [
        range(1, 301),
        pytest.param(range(301, 601), marks=fuzz),
        pytest.param(range(601, 901), marks=fuzz),
    ],
)


@thirds
async def test_a_third_of_the_numbers_comes_from_the_list(
    pokeapi: PokeAPI, url: str, bad: range
) -> None:
    all_right(pokeapi, range(1, 901))
    pokeapi.answers |= dict.fromkeys(bad, answers.status(503))
    fetched = await fetch_range(url, policy=PRODUCTION, seconds=28, range="1-900")
    assert names_of(fetched) == all_names(900)
    assert fetched.listed == 300
    assert fetched.total_ms < 10_000


@thirds
async def test_a_third_of_the_numbers_delays_no_other(
    pokeapi: PokeAPI, url: str, bad: range
) -> None:
    all_right(pokeapi, range(1, 901))
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    pokeapi.answers |= dict.fromkeys(bad, answers.status(503))
    policy = msgspec.structs.replace(PRODUCTION, silence_timeout=3.0)
    fetched = await fetch_range(url, policy=policy, seconds=28, range="1-900")
    assert len(names_of(fetched)) == 600
    assert {failure.number for failure in failures_of(fetched)} == set(bad)


@pytest.mark.parametrize("has_list", [True, False])
async def test_the_first_hundred_delay_no_other(
    pokeapi: PokeAPI, url: str, *, has_list: bool
) -> None:
    pokeapi.answers |= dict.fromkeys(range(1, 101), answers.status(503))
    if not has_list:
        pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    policy = msgspec.structs.replace(PRODUCTION, silence_timeout=3.0)
    fetched = await fetch_range(url, policy=policy, seconds=28, range="1-150")
    assert len(names_of(fetched)) == (150 if has_list else 50)


async def test_silent_numbers_come_from_the_list(pokeapi: PokeAPI, url: str) -> None:
    all_right(pokeapi, pokemon())
    silent = list(pokemon())[::10]
    pokeapi.answers |= dict.fromkeys(silent, answers.hang)
    fetched = await fetch_range(url, policy=LAGGING, seconds=28, range=ALL)
    assert len(names_of(fetched)) == 1351
    assert fetched.listed == len(silent)
    assert fetched.total_ms < 12_000


@fuzz
async def test_silent_numbers_delay_no_other_for_long(pokeapi: PokeAPI, url: str) -> None:
    all_right(pokeapi, pokemon())
    silent = list(pokemon())[::10]
    pokeapi.answers |= dict.fromkeys([*silent, PokeAPI.LIST], answers.hang)
    fetched = await fetch_range(url, policy=LAGGING, seconds=28, range=ALL)
    assert len(names_of(fetched)) == 1351 - len(silent)


@by_gather
@pytest.mark.parametrize("wrong", [answers.hang, answers.stuck, answers.drip])
async def test_a_few_silent_numbers_are_soon_known_from_the_list(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: Answer
) -> None:
    all_right(pokeapi, range(1, 151))
    pokeapi.answers |= dict.fromkeys(BAD, wrong)
    fetched = await fetch_range(url, policy=LAGGING, seconds=28, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)
    assert fetched.listed == 5
    assert fetched.total_ms < 10_000


# What all numbers suffer for a while.


STORMS = {
    "a page": answers.text(200, "<html>", "text/html"),
    "no body": answers.text(200, ""),
    "half a gzip stream": answers.short_gzip,
    "408": answers.status(408),
    "425": answers.status(425),
    "503": answers.status(503),
}


@by_gather
@pytest.mark.parametrize("storm", some(STORMS, "a page", "half a gzip stream", "408", "425"))
async def test_a_storm_of_one_and_a_half_seconds_costs_time_alone(
    pokeapi: PokeAPI, url: str, strategy: str, storm: str
) -> None:
    answer_all_at_times(pokeapi, lambda seconds: seconds < 1.5, STORMS[storm])
    fetched = await fetch_range(
        url, policy=PRODUCTION, seconds=28, range="1-150", strategy=strategy
    )
    assert names_of(fetched) == all_names(150)
    assert fetched.total_ms < 10_000


@by_gather
@pytest.mark.parametrize("storm", some(STORMS, "no body", "408"))
async def test_one_number_outlasts_a_storm(
    pokeapi: PokeAPI, url: str, strategy: str, storm: str
) -> None:
    answer_all_at_times(pokeapi, lambda seconds: seconds < 1.5, STORMS[storm])
    fetched = await fetch_range(url, policy=PRODUCTION, seconds=28, range="7", strategy=strategy)
    assert names_of(fetched) == [NAMES[7]]


@by_gather
async def test_bodies_that_can_never_be_read_end_it_soon(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    answer_all_at_times(pokeapi, lambda _: True, answers.text(200, "OK"))
    fetched = await fetch_range(
        url, policy=PRODUCTION, seconds=28, range="1-150", strategy=strategy
    )
    failures = failures_of(fetched)
    assert len(failures) == 150
    assert {failure.reason for failure in failures} == {"bad_body"}
    assert pokeapi.requests <= 500
    assert fetched.total_ms < 8_000


@by_url
async def test_404_for_every_number_for_a_second(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    clock = Clock()
    for number in range(1, 151):
        pokeapi.answers[number] = at_times(
            clock, lambda seconds: seconds < 1, answers.status(404), right(number)
        )
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)
    assert fetched.listed > 0


@by_gather
async def test_404_for_every_number_and_the_list_for_a_second(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    """It is not remembered for long, because the list did not say it."""
    now = 1_000_000.0
    cache = Cache(604_800, clock=lambda: now)
    answer_all_at_times(pokeapi, lambda seconds: seconds < 1, answers.status(404))
    await fetch_range(url, policy=PRODUCTION, cache=cache, range="1-150", strategy=strategy)
    now += 301
    again = await fetch_range(url, policy=PRODUCTION, seconds=28, cache=cache, range="1-150")
    assert names_of(again) == all_names(150)


@pytest.mark.parametrize("has_list", [True, False])
async def test_one_second_bad_and_one_good(pokeapi: PokeAPI, url: str, *, has_list: bool) -> None:
    pokeapi.delay = 0.3
    answer_all_at_times(pokeapi, lambda seconds: int(seconds) % 2 == 0, answers.status(503))
    if not has_list:
        pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    fetched = await fetch_range(url, policy=PRODUCTION, seconds=28, range="1-150")
    assert names_of(fetched) == all_names(150)


@by_gather
@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=fuzz) for seed in (1, 2)]])
@pytest.mark.parametrize("has_list", [True, False])
async def test_random_faults_cost_no_name(
    pokeapi: PokeAPI, url: str, strategy: str, seed: int, *, has_list: bool
) -> None:
    rates = {"500": 0.06, "503": 0.06, "429": 0.06, "reset": 0.06, "truncated": 0.06}
    pokeapi.faults = Faults(rates, seed)
    if not has_list:
        pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    fetched = await fetch_range(
        url, policy=PRODUCTION, seconds=28, range="1-150", strategy=strategy
    )
    assert names_of(fetched) == all_names(150)


# What was promised.


@by_gather
@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_is_waited_for_by_stragglers_too(
    pokeapi: PokeAPI, url: str, strategy: str, status: int
) -> None:
    all_right(pokeapi, range(1, 151))
    for number in BAD:
        wait = answers.status(status, retry_after=2)
        pokeapi.answers[number] = answers.first(wait, then=right(number))
    fetched = await fetch_range(url, policy=IMPATIENT, seconds=28, range="1-150", strategy=strategy)
    assert names_of(fetched) == all_names(150)


@fuzz
@by_url
async def test_a_retry_after_of_seven_seconds(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    for number in BAD:
        wait = answers.status(429, retry_after=7)
        pokeapi.answers[number] = answers.first(wait, then=right(number))
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    fetched = await fetch_range(
        url, policy=PRODUCTION, seconds=28, range="1-150", strategy=strategy
    )
    assert names_of(fetched) == all_names(150)
    assert fetched.total_ms < 14_000


@pytest.mark.parametrize("seconds", [2, pytest.param(8, marks=fuzz)])
async def test_a_limiter_that_says_how_long(pokeapi: PokeAPI, url: str, seconds: int) -> None:
    """Each hundred requests begin such a while, in which no more are let in."""
    ends = 0.0
    passed = 0

    def limited(number: int) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            nonlocal ends, passed
            if monotonic() >= ends:
                ends = monotonic() + seconds
                passed = 0
            passed += 1
            if passed > 100:
                return await answers.status(429, retry_after=seconds)(request)
            return await right(number)(request)

        return answer

    for number in range(1, 151):
        pokeapi.answers[number] = limited(number)
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    fetched = await fetch_range(url, policy=IMPATIENT, seconds=28, range="1-150")
    assert names_of(fetched) == all_names(150)


# The body of another number.


@by_url
@pytest.mark.parametrize("spellings", ["one", "both"])
async def test_the_body_of_another_number_is_not_taken(
    pokeapi: PokeAPI, url: str, strategy: str, spellings: str
) -> None:
    no_slash = right(30) if spellings == "one" else right(31)
    pokeapi.answers[30] = by_spelling(slash=right(31), no_slash=no_slash)
    cache = Cache(604_800)
    for _ in range(2):
        fetched = await fetch_range(
            url, policy=PRODUCTION, cache=cache, range="1-150", strategy=strategy
        )
        assert names_of(fetched) == all_names(150)
    assert pokeapi.requests <= 154


@both_clients
async def test_the_body_of_another_number_is_an_error_without_the_list(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    pokeapi.answers[2] = right(3)
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-3", strategy=strategy)
    (failure,) = failures_of(fetched)
    assert (failure.number, failure.reason) == (2, "bad_body")
    assert "3" in failure.detail


# Numbers that do not exist.


@every_strategy
async def test_numbers_that_do_not_exist_cost_one_request_more(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    fetched = await fetch_range(url, policy=PRODUCTION, range="1016-1115", strategy=strategy)
    failures = failures_of(fetched)
    assert len(names_of(fetched)) == 10
    assert {failure.reason for failure in failures} == {"not_found"}
    assert details_of(fetched) == {"not in the list of all Pokémon"}
    assert pokeapi.requests == len(fetched.attempts) <= 101
    if strategy != "index":
        assert fetched.listed == 0
    assert fetched.total_ms < 3_000


@by_gather
async def test_not_found_says_that_the_list_could_not_be_fetched(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(403)
    fetched = await fetch_range(url, policy=PRODUCTION, range="1025-1027", strategy=strategy)
    failures = failures_of(fetched)
    assert names_of(fetched) == [NAMES[1025]]
    assert {(failure.reason, failure.status) for failure in failures} == {("not_found", 404)}
    (detail,) = details_of(fetched)
    assert detail.startswith("Not Found; the list of all Pokémon could not be fetched: ")
    assert "Forbidden" in detail


@by_gather
@pytest.mark.parametrize(
    ("has_list", "seconds", "is_known"),
    [(True, 3600, True), (False, 60, True), (False, 301, False)],
)
async def test_how_long_it_is_remembered_that_a_number_does_not_exist(  # noqa: PLR0913
    pokeapi: PokeAPI, url: str, strategy: str, seconds: float, *, has_list: bool, is_known: bool
) -> None:
    now = 1_000_000.0
    cache = Cache(604_800, clock=lambda: now)
    if not has_list:
        pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    await fetch_range(url, policy=PRODUCTION, cache=cache, range="1026", strategy=strategy)
    requests = pokeapi.requests
    now += seconds
    fetched = await fetch_range(
        url, policy=PRODUCTION, cache=cache, range="1026", strategy=strategy
    )
    assert failures_of(fetched)[0].reason == "not_found"
    assert (pokeapi.requests == requests) == is_known


@by_gather
async def test_a_404_alone_never_replaces_an_expired_name(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    now = 1_000_000.0
    cache = Cache(604_800, clock=lambda: now)
    await fetch_range(url, cache=cache, range="25")
    pokeapi.answers[25] = answers.status(404)
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    for _ in range(3):
        now += 700_000
        fetched = await fetch_range(
            url, policy=PRODUCTION, cache=cache, range="25", strategy=strategy
        )
        assert fetched.results == [Found(25, "pikachu")]
        assert fetched.stale == 1


@by_url
async def test_a_404_and_the_list_do_replace_an_expired_name(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    now = 1_000_000.0
    cache = Cache(604_800, clock=lambda: now)
    await fetch_range(url, cache=cache, range="25")
    pokeapi.answers[25] = answers.status(404)
    rest = [list_entry(one) for one in pokemon().values() if one.number != 25]
    pokeapi.answers[PokeAPI.LIST] = answers.json(json.dumps({"results": rest}))
    now += 700_000
    fetched = await fetch_range(url, policy=PRODUCTION, cache=cache, range="25", strategy=strategy)
    assert details_of(fetched) == {"not in the list of all Pokémon"}
    assert fetched.stale == 0


async def test_unknown_numbers_evict_no_names(pokeapi: PokeAPI, url: str) -> None:
    cache = Cache(604_800)
    await fetch_range(url, cache=cache, range=ALL, strategy="index")
    clients = Clients(url)
    for first in range(1026, 8526, 1500):
        requests = pokeapi.requests
        unknown = f"{first}-{first + 1499}"
        fetched = await fetch_range(
            clients, policy=PRODUCTION, cache=cache, range=unknown, strategy="gather"
        )
        assert names_of(fetched) == []
        assert pokeapi.requests - requests <= 1501
    requests = pokeapi.requests
    fetched = await fetch_range(clients, cache=cache, range=ALL)
    assert len(names_of(fetched)) == fetched.cached == 1351
    assert pokeapi.requests == requests


# Nothing is left behind, and what fails, fails alone.


@pytest.mark.parametrize("count", [30, pytest.param(120, marks=fuzz)])
async def test_nothing_is_left_when_a_fetch_returns(pokeapi: PokeAPI, url: str, count: int) -> None:
    random = Random(0)  # noqa: S311
    clients = Clients(url)
    all_right(pokeapi, range(1, 151))
    rates = {"503": 0.1, "500": 0.1, "reset": 0.1, "truncated": 0.1, "silence": 0.2, "drip": 0.1}
    returned: list[tuple[Fetched, bytes]] = []
    for seed in range(count):
        pokeapi.faults = Faults(rates, seed)
        fetched = await fetch_range(
            clients,
            policy=Policy(straggler_timeout=random.choice([0.05, 5.0])),
            seconds=random.uniform(0.01, 0.2),
            range="1-150",
            strategy=random.choice(["gather", "gather", "sequential", "sync", "index"]),
        )
        assert asyncio.all_tasks() == {asyncio.current_task()}
        returned.append((fetched, msgspec.json.encode(fetched)))
    pokeapi.faults = Faults({})
    for _ in range(10):
        await asyncio.sleep(0)
    assert names_of(await fetch_range(clients, range="1-150")) == all_names(150)
    for fetched, as_returned in returned:
        assert msgspec.json.encode(fetched) == as_returned
    attempts = 150 + sum(len(fetched.attempts) for fetched, _ in returned)
    assert pokeapi.requests <= attempts


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every request for number 13 raise what nobody foresees."""

    def breaking(method: Any) -> Any:
        def call(self: Clients, path: str, *arguments: Any, **options: Any) -> Any:
            if path.rstrip("/") == "pokemon/13":
                raise LookupError("strange")
            return method(self, path, *arguments, **options)

        return call

    monkeypatch.setattr(Clients, "get", breaking(Clients.get))
    monkeypatch.setattr(Clients, "get_blocking", breaking(Clients.get_blocking))


@by_url
@pytest.mark.usefixtures("strange")
async def test_an_unforeseen_error_leaves_nothing_behind(url: str, strategy: str) -> None:
    with suppress(LookupError):
        await fetch_range(url, policy=PRODUCTION, range="1-150", strategy=strategy)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@by_url
@pytest.mark.usefixtures("strange")
def test_an_unforeseen_error_of_a_number_fails_its_message_alone(
    load_app: LoadApp, strategy: str
) -> None:
    bodies = [
        json.dumps({"range": numbers, "strategy": strategy})
        for numbers in ("1-10", "11-20", "21-30")
    ]
    assert failed_messages(load_app().handler(batch(*bodies), Context())) in ([], ["m1"])


def test_an_unforeseen_error_of_a_job_fails_its_message_alone(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load_app()
    monkeypatch.setattr(app, "fetch", failing_for(app, "2"))
    bodies = ['{"range": "1"}', '{"range": "2"}', '{"range": "3"}']
    assert failed_messages(app.handler(batch(*bodies), Context())) == ["m1"]


def failing_for(app: ModuleType, expression: str) -> Callable[..., Any]:
    fetch = app.fetch

    async def fail_for(request: Any, *arguments: Any, **options: Any) -> Any:
        if request.range == expression:
            raise LookupError("strange")
        return await fetch(request, *arguments, **options)

    return fail_for


def ten_messages() -> dict[str, Any]:
    """Return a batch of ten messages, of a hundred numbers each."""
    ranges = [f"{first}-{first + 99}" for first in range(1, 1001, 100)]
    return batch(*(json.dumps({"range": numbers}) for numbers in ranges))


@pytest.mark.parametrize(
    "wrong",
    [answers.status(503), pytest.param(answers.hang, marks=fuzz)],
    ids=["503", "silent"],
)
@pytest.mark.parametrize("bad", [0, pytest.param(7, marks=fuzz)])
def test_a_message_whose_numbers_all_fail_fails_no_other(
    pokeapi: PokeAPI, load_app: LoadApp, wrong: Answer, bad: int
) -> None:
    all_right(pokeapi, range(1, 1001))
    numbers = range(100 * bad + 1, 100 * bad + 101)
    pokeapi.answers |= dict.fromkeys([*numbers, PokeAPI.LIST], wrong)
    reply = load_app().handler(ten_messages(), Context(seconds=16))
    assert failed_messages(reply) == [f"m{bad}"]


@pytest.mark.parametrize("wrong", [answers.status(503), answers.hang], ids=["503", "silent"])
def test_a_message_whose_numbers_all_fail_has_the_list(
    pokeapi: PokeAPI, load_app: LoadApp, wrong: Answer
) -> None:
    all_right(pokeapi, range(1, 1001))
    pokeapi.answers |= dict.fromkeys(range(301, 401), wrong)
    assert failed_messages(load_app().handler(ten_messages(), Context())) == []


# No more requests a second than allowed.


def span(times: list[float]) -> float:
    return max(times) - min(times)


@by_url
async def test_requests_are_paced(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    times: list[float] = []
    for number in range(1, 21):
        pokeapi.answers[number] = counting(right(number), times)
    policy = Policy(requests_per_second=100)
    fetched = await fetch_range(url, policy=policy, range="1-20", strategy=strategy)
    assert names_of(fetched) == all_names(20)
    assert span(times) >= 0.18
    starts = sorted(attempt.start_ms for attempt in fetched.attempts)
    for index, start in enumerate(starts[10:]):
        assert start - starts[index] >= 90  # any eleven requests


async def test_retries_and_the_list_are_paced_too(pokeapi: PokeAPI, url: str) -> None:
    times: list[float] = []
    for number in range(1, 11):
        answer = answers.first(answers.status(503), then=right(number))
        pokeapi.answers[number] = counting(answer, times)
    pokeapi.answers[11] = counting(answers.status(404), times)
    pokeapi.answers[PokeAPI.LIST] = counting(right(PokeAPI.LIST), times)
    fetched = await fetch_range(url, policy=Policy(requests_per_second=50), range="1-11")
    assert names_of(fetched) == all_names(11)
    assert len(times) >= 12
    assert span(times) >= (len(times) - 1) / 50 - 0.01


@pytest.mark.parametrize("strategy", ["gather", "sync"])
def test_the_requests_of_one_invocation_are_paced_together(
    pokeapi: PokeAPI, load_app: LoadApp, strategy: str
) -> None:
    times: list[float] = []
    for number in range(1, 21):
        pokeapi.answers[number] = counting(right(number), times)
    app = load_app(MAX_REQUESTS_PER_SECOND="100")
    bodies = [json.dumps({"range": r, "strategy": strategy}) for r in ("1-10", "11-20")]
    assert failed_messages(app.handler(batch(*bodies), Context())) == []
    assert len(times) == 20
    assert span(times) >= 0.18
