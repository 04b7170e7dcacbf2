"""The ways in which PokeAPI fails, according to its users: no name that can be had is lost."""

import asyncio
import email.utils
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from types import ModuleType
from typing import Any

import msgspec
import pytest

from pokemon_names.fetching import fetcher
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.http.client import Answer, Clients, Decode
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError
from pokemon_names.model import Failure, Fetched, Found
from tests.conftest import (
    NAMES,
    QUICK,
    LoadApp,
    both_clients,
    every_strategy,
    failures_of,
    fetch_range,
    names_of,
)
from tests.fetching.small import by_spelling, right
from tests.fetching.virtual import (
    BUSY,
    GARBLED,
    LATER,
    MISSING,
    SILENCE,
    fetch_virtually,
    first_for,
    is_list,
)
from tests.sources.test_sqs import batch, failed_messages
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.faults import Faults
from tests.tools.simulation import Arrival

BAD = [3, 6, 9]
FIRST_TEN = [NAMES[number] for number in range(1, 11)]
DOWN = answers.status(503)
# No silence ends a fetch, and without the list a hopeless number soon fails.
CALM = msgspec.structs.replace(
    QUICK,
    shared_retries=0,
    max_list_attempts=2,
    silence_timeout=60.0,
    straggler_timeout=60.0,
    unreadable_timeout=60.0,
)
fuzz = pytest.mark.fuzz
# For tests on the virtual clock, because the threads of `sync` do not follow it.
on_one_thread = pytest.mark.parametrize("strategy", ["gather", "sequential"])


def listed(fetched: Fetched) -> list[int]:
    """Return the numbers that have names although none of their requests succeeded."""
    answered = {attempt.number for attempt in fetched.attempts if attempt.ok}
    found = [result.number for result in fetched.results if isinstance(result, Found)]
    return [number for number in found if number not in answered]


def requests_for(fetched: Fetched, number: int | None) -> int:
    return sum(attempt.number == number for attempt in fetched.attempts)


def details_of(fetched: Fetched) -> set[str]:
    return {failure.detail for failure in failures_of(fetched)}


# One or both spellings of some numbers' paths always fail, but the list is right.


FINAL = {
    "404": answers.status(404),
    "403": answers.text(403, "<html>Just a moment...", "text/html"),
    "301": answers.text(301, "", Location="/api/v2/pokemon/"),
    "too large": answers.large(5_000_000),
}
every_final_answer = pytest.mark.parametrize("wrong", FINAL)


@every_final_answer
async def test_final_answers_for_some_numbers_cost_one_more_request_in_all(
    pokeapi: PokeAPI, url: str, wrong: str
) -> None:
    for number in BAD:
        pokeapi.answers[number] = by_spelling(slash=FINAL[wrong], no_slash=right(number))
    fetched = await fetch_range(url, policy=CALM, range="1-10")
    assert names_of(fetched) == FIRST_TEN
    assert fetched.listed == len(BAD)
    assert listed(fetched) == BAD
    assert pokeapi.requests == len(fetched.attempts) == 11


@pytest.mark.parametrize("strategy", ["gather", "sync"])
@pytest.mark.parametrize(
    "wrong", [answers.short_gzip, answers.json('{"id": 1}')], ids=["half a stream", "no name"]
)
async def test_the_other_spelling_is_tried_if_a_body_cannot_be_read(
    pokeapi: PokeAPI, url: str, strategy: str, wrong: answers.Answer
) -> None:
    for number in BAD:
        pokeapi.answers[number] = by_spelling(slash=wrong, no_slash=right(number))
    fetched = await fetch_range(url, policy=CALM, range="1-10", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN
    assert fetched.listed == 0
    assert pokeapi.requests == 13


@both_clients
async def test_the_list_is_requested_once(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.answers = dict.fromkeys(range(1, 9), answers.status(403))
    fetched = await fetch_range(url, policy=CALM, range="1-10", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN
    assert requests_for(fetched, None) == 1
    assert pokeapi.requests == 11


@both_clients
async def test_the_list_has_its_own_retries(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.answers[2] = answers.status(404)
    pokeapi.answers[PokeAPI.LIST] = answers.first(
        DOWN, answers.reset, answers.text(200, "OK"), then=right(PokeAPI.LIST)
    )
    policy = msgspec.structs.replace(CALM, max_list_attempts=6)
    fetched = await fetch_range(url, policy=policy, range="1-3", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN[:3]
    assert fetched.listed == 1


@pytest.mark.parametrize(("strategy", "status"), [("gather", 403), ("sync", 404), ("index", 404)])
async def test_the_list_has_another_spelling(
    pokeapi: PokeAPI, url: str, strategy: str, status: int
) -> None:
    pokeapi.answers[2] = answers.status(404)
    pokeapi.answers[PokeAPI.LIST] = by_spelling(
        slash=answers.status(status), no_slash=right(PokeAPI.LIST)
    )
    fetched = await fetch_range(url, policy=CALM, range="1-3", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN[:3]
    assert requests_for(fetched, None) == 2


@every_final_answer
async def test_without_the_list_the_other_spelling_is_tried(
    pokeapi: PokeAPI, url: str, wrong: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    for number in BAD:
        pokeapi.answers[number] = by_spelling(slash=FINAL[wrong], no_slash=right(number))
    policy = msgspec.structs.replace(CALM, shared_retries=len(BAD))
    fetched = await fetch_range(url, policy=policy, range="1-10")
    assert names_of(fetched) == FIRST_TEN
    assert fetched.listed == 0


@on_one_thread
@pytest.mark.parametrize("the_list", [SILENCE, LATER, BUSY], ids=["late", "later", "busy"])
def test_while_the_list_is_late_the_other_spelling_is_tried(
    strategy: str, the_list: GetError
) -> None:
    def answer(arrival: Arrival) -> GetError | None:
        if is_list(arrival):
            return the_list
        return MISSING if arrival.number in BAD and arrival.path.endswith("/") else None

    fetched = fetch_virtually(answer, range="1-10", strategy=strategy)
    assert failures_of(fetched) == []
    assert fetched.listed == 0
    if strategy == "gather":
        assert fetched.total_ms < 4_000  # before the list times out


@both_clients
async def test_without_the_list_a_number_fails_with_its_own_error(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers = {
        PokeAPI.LIST: answers.status(404),
        1: answers.status(403),
        2: answers.text(200, "OK"),
        3: answers.status(500),
    }
    fetched = await fetch_range(url, policy=CALM, range="1-10", strategy=strategy)
    failed = {failure.number: failure for failure in failures_of(fetched)}
    assert names_of(fetched) == FIRST_TEN[3:]
    assert (failed[1].reason, failed[1].status) == ("bad_status", 403)
    assert (failed[2].reason, failed[2].status) == ("bad_body", None)
    assert (failed[3].reason, failed[3].status) == ("bad_status", 500)
    assert failed[1].detail == "Forbidden"
    assert failed[1].attempts <= 2


async def test_a_list_that_never_arrives_costs_no_other_name(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.hang, 3: answers.status(404)}
    policy = msgspec.structs.replace(CALM, straggler_timeout=0.05)
    fetched = await fetch_range(url, policy=policy, range="1-10")
    (failure,) = failures_of(fetched)
    assert len(names_of(fetched)) == 9
    assert (failure.number, failure.reason) == (3, "not_found")


async def test_an_api_may_have_no_list(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "LIST_PATHS", ())
    pokeapi.answers = {2: answers.first(DOWN, then=right(2)), 3: answers.status(404)}
    gathered = await fetch_range(url, range="1-3")
    assert names_of(gathered) == FIRST_TEN[:2]
    (failure,) = failures_of(gathered)
    assert failure.reason == "not_found"
    assert failure.detail.endswith(
        "the list of all Pokémon could not be fetched: this API has no list"
    )
    indexed = await fetch_range(url, range="1", strategy="index")
    assert indexed.results == [Failure(1, "bad_status", None, 0, "this API has no list")]


def is_null(content: bytes | bytearray) -> bool:
    return content == b"null"


@both_clients
async def test_in_an_api_a_body_may_say_that_a_number_does_not_exist(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr(fetcher, "is_missing", is_null)
    pokeapi.answers = dict.fromkeys([2, 1026], answers.json("null"))
    fetched = await fetch_range(url, policy=CALM, range="1-3,1026", strategy=strategy)
    (failure,) = failures_of(fetched)
    assert names_of(fetched) == FIRST_TEN[:3]
    assert listed(fetched) == [2]
    assert failure == Failure(1026, "not_found", None, 1, "not in the list of all Pokémon")
    assert [attempt.number for attempt in fetched.attempts if not attempt.ok] == [2, 1026]
    assert pokeapi.requests == len(fetched.attempts) == 5


@both_clients
async def test_without_the_list_the_body_decides_that_a_number_does_not_exist(
    pokeapi: PokeAPI, url: str, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr(fetcher, "is_missing", is_null)
    monkeypatch.setattr(fetcher, "LIST_PATHS", ())
    monkeypatch.setattr(fetcher, "PATHS", ("pokemon/{}/",))
    pokeapi.answers = {1026: answers.json("null"), 3: answers.text(200, "")}
    fetched = await fetch_range(url, policy=CALM, range="1-3,1026", strategy=strategy)
    unreadable, missing = failures_of(fetched)
    assert (unreadable.number, unreadable.reason) == (3, "bad_body")
    assert unreadable.retryable
    assert missing == Failure(
        1026,
        "not_found",
        None,
        1,
        "the body says that the number does not exist; "
        "the list of all Pokémon could not be fetched: this API has no list",
    )
    assert not missing.retryable
    assert requests_for(fetched, 1026) == 1


# A self-hosted PokeAPI.


@every_strategy
async def test_a_pokeapi_may_redirect_every_path_without_a_slash(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    moved = answers.text(301, "", Location="https://example.org/")
    for number in range(11):
        pokeapi.answers[number] = by_spelling(slash=right(number), no_slash=moved)
    fetched = await fetch_range(url, range="1-10", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN
    assert pokeapi.requests == (1 if strategy == "index" else 10)


@both_clients
@pytest.mark.parametrize("has_list", [True, False])
async def test_an_api_may_accept_only_paths_without_a_slash(
    pokeapi: PokeAPI, url: str, strategy: str, *, has_list: bool
) -> None:
    missing = answers.status(404)
    for number in range(11):
        pokeapi.answers[number] = by_spelling(slash=missing, no_slash=right(number))
    if not has_list:
        pokeapi.answers[PokeAPI.LIST] = missing
    policy = msgspec.structs.replace(CALM, shared_retries=10)
    fetched = await fetch_range(url, policy=policy, range="1-10", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN


# Numbers that always fail.


@pytest.mark.parametrize("has_list", [True, False])
async def test_failing_numbers_that_fill_the_window_cost_no_other_name(
    pokeapi: PokeAPI, url: str, *, has_list: bool
) -> None:
    pokeapi.answers = {number: right(number) for number in range(31)}
    pokeapi.answers |= dict.fromkeys(range(1, 11), DOWN)
    if not has_list:
        pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    policy = msgspec.structs.replace(CALM, concurrency=10, shared_retries=-30)
    fetched = await fetch_range(url, policy=policy, range="1-30")
    lost = [] if has_list else list(range(1, 11))
    assert [failure.number for failure in failures_of(fetched)] == lost
    assert fetched.listed == (10 if has_list else 0)


@both_clients
async def test_a_few_silent_numbers_soon_come_from_the_list(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    """On a busy machine, other numbers may be late and come from the list as well."""
    pokeapi.answers = {number: right(number) for number in range(11)}
    pokeapi.answers |= {3: answers.hang, 6: answers.stuck, 9: answers.drip}
    clients = Clients(url, limits=Limits(read_timeout=60.0, total_timeout=60.0))
    policy = msgspec.structs.replace(CALM, lag_timeout=0.2)
    fetched = await fetch_range(clients, policy=policy, range="1-10", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN
    assert set(listed(fetched)) >= {3, 6, 9}


class Deaf(Clients):
    """Clients whose second request for number 2 ignores its cancellation and returns a name."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self.is_sent = threading.Event()

    async def get(
        self, path: str, decode: Decode[Any], seconds: float | None = None
    ) -> Answer[Any]:
        if path != "pokemon/2":
            return await super().get(path, decode, seconds)
        self.is_sent.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return Answer(body="late")


async def test_a_name_that_arrives_after_the_list_is_ignored(pokeapi: PokeAPI, url: str) -> None:
    clients = Deaf(url)
    pokeapi.answers = {1: answers.after(clients.is_sent, answers.status(404)), 2: DOWN}
    fetched = await fetch_range(clients, range="1-2")
    assert names_of(fetched) == ["bulbasaur", "ivysaur"]
    assert fetched.listed == 2


# All numbers fail for a while.


@on_one_thread
@pytest.mark.parametrize("error", [GARBLED, BUSY])
@pytest.mark.parametrize("numbers", ["7", "1-150"])
def test_errors_for_one_and_a_half_seconds_cost_only_time(
    strategy: str, error: GetError, numbers: str
) -> None:
    fetched = fetch_virtually(
        lambda arrival: error if arrival.at < 1.5 else None, range=numbers, strategy=strategy
    )
    assert failures_of(fetched) == []
    assert fetched.total_ms < 10_000


@both_clients
async def test_pages_in_place_of_all_bodies_cost_only_retries(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    page = answers.text(200, "<html>", "text/html")
    for number in range(11):
        pokeapi.answers[number] = answers.first(page, page, then=right(number))
    fetched = await fetch_range(url, policy=CALM, range="1-10", strategy=strategy)
    assert names_of(fetched) == FIRST_TEN


@on_one_thread
def test_if_no_body_can_ever_be_read_the_fetch_soon_ends(strategy: str) -> None:
    fetched = fetch_virtually(lambda _: GARBLED, range="1-150", strategy=strategy)
    reasons = Counter(failure.reason for failure in failures_of(fetched))
    assert reasons["bad_body"] >= 149  # with `sequential`, one request may still be in flight
    assert reasons.total() == 150
    assert len(fetched.attempts) <= 500
    assert 3_000 <= fetched.total_ms < 3_500


@on_one_thread
def test_a_second_of_404s_for_every_number_costs_no_name(strategy: str) -> None:
    fetched = fetch_virtually(
        lambda arrival: MISSING if arrival.at < 1 and arrival.number else None,
        range="1-150",
        strategy=strategy,
    )
    assert failures_of(fetched) == []
    assert fetched.listed > 0


@on_one_thread
def test_a_second_of_404s_for_every_number_and_the_list_is_soon_forgotten(strategy: str) -> None:
    """The cache remembers 404s that the list did not confirm for only five minutes."""
    now = 1_000_000.0
    cache = Cache(604_800, clock=lambda: now)
    first = fetch_virtually(
        lambda arrival: MISSING if arrival.at < 1 else None,
        cache=cache,
        range="1-150",
        strategy=strategy,
    )
    now += 301
    again = fetch_virtually(lambda _: None, cache=cache, range="1-150", strategy=strategy)
    assert not {failure.reason for failure in failures_of(first)} - {"not_found"}
    assert failures_of(again) == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=fuzz) for seed in range(1, 6))])
@both_clients
async def test_random_faults_cost_no_name_without_the_list(
    pokeapi: PokeAPI, url: str, strategy: str, seed: int
) -> None:
    rates = {"500": 0.06, "503": 0.06, "429": 0.06, "reset": 0.06, "truncated": 0.06}
    pokeapi.faults = Faults(rates, seed)
    pokeapi.answers = {number: right(number) for number in range(1, 31)}
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    policy = msgspec.structs.replace(CALM, shared_retries=90)
    fetched = await fetch_range(url, policy=policy, range="1-30", strategy=strategy)
    assert names_of(fetched) == [NAMES[number] for number in range(1, 31)]


def test_once_pokeapi_is_down_the_list_settles_all_that_is_left() -> None:
    def answer(arrival: Arrival) -> GetError | None:
        if arrival.number == 1:
            return MISSING
        return BUSY if arrival.number and arrival.at > 0.5 else None

    policy = Policy(concurrency=10)
    fetched = fetch_virtually(answer, policy=policy, range="1-500")
    assert failures_of(fetched) == []
    requested = {attempt.number for attempt in fetched.attempts}
    assert len(requested) < 250


# How long a fetch is worth waiting for.


@pytest.mark.parametrize("strategy", ["gather", "sequential", "index"])
def test_a_fetch_stops_waiting_for_a_dead_pokeapi(strategy: str) -> None:
    fetched = fetch_virtually(lambda _: BUSY, range="1-150", strategy=strategy)
    failures = failures_of(fetched)
    assert len(failures) == 150
    assert {(failure.reason, failure.status) for failure in failures} == {("bad_status", 503)}
    assert len(fetched.attempts) <= 250
    assert 11_000 <= fetched.total_ms < 11_500
    unsent = {failure.detail for failure in failures if failure.attempts == 0}
    assert unsent <= {"not sent; last error: 503 Service Unavailable"}
    assert unsent or strategy != "sequential"


def test_while_names_arrive_there_is_no_silence() -> None:
    policy = Policy(silence_timeout=0.1)
    fetched = fetch_virtually(lambda _: None, policy=policy, range="1-20", strategy="sequential")
    assert failures_of(fetched) == []
    assert fetched.total_ms > 500


def test_while_a_number_has_not_been_sent_there_are_no_stragglers() -> None:
    """The second to last number times out after ten seconds, and then comes from the list."""
    fetched = fetch_virtually(
        lambda arrival: SILENCE if arrival.number == 19 else None,
        policy=Policy(straggler_timeout=1.0, lag_timeout=60.0),
        range="1-20",
        strategy="sequential",
    )
    assert failures_of(fetched) == []
    assert fetched.listed == 1


@pytest.mark.parametrize(
    ("count", "are_stragglers"), [(1, False), (4, False), (19, False), (20, True)]
)
def test_at_most_a_tenth_of_the_numbers_are_stragglers(count: int, *, are_stragglers: bool) -> None:
    fetched = fetch_virtually(
        lambda arrival: SILENCE if arrival.number in {1, 2} else None,
        policy=Policy(straggler_timeout=1.0, lag_timeout=60.0),
        range=f"1-{count}",
    )
    if are_stragglers:
        assert failures_of(fetched) == [
            Failure(number, "timeout", None, 1, "no response, although others got one")
            for number in (1, 2)
        ]
        assert 1_000 <= fetched.total_ms < 1_500
    else:
        assert fetched.listed == min(count, 2)  # once their requests have timed out


# The promises of Retry-After.


@on_one_thread
def test_stragglers_also_wait_as_long_as_retry_after_says(strategy: str) -> None:
    fetched = fetch_virtually(
        first_for(BAD, LATER),
        policy=Policy(straggler_timeout=0.5, lag_timeout=60.0),
        range="1-30",
        strategy=strategy,
    )
    assert failures_of(fetched) == []
    assert fetched.listed == 0
    assert fetched.total_ms >= 2_000


def test_a_retry_waits_as_long_as_retry_after_says() -> None:
    fetched = fetch_virtually(first_for([1], LATER), range="1")
    first, second = fetched.attempts
    assert second.start_ms - first.end_ms == pytest.approx(2000)


def test_with_a_retry_after_of_zero_a_retry_does_not_wait() -> None:
    at_once = msgspec.structs.replace(LATER, retry_after=0.0)
    first, second = fetch_virtually(first_for([1], at_once), range="1").attempts
    assert second.start_ms == pytest.approx(first.end_ms)


@pytest.mark.parametrize("retry_after", [3600.0, float("inf")])
def test_no_retry_waits_for_a_retry_after_beyond_the_deadline(retry_after: float) -> None:
    too_late = msgspec.structs.replace(LATER, retry_after=retry_after)
    first, second = fetch_virtually(first_for([1], too_late), range="1").attempts
    assert 500 <= second.start_ms - first.end_ms <= 1000  # the longest ordinary delay


def test_silence_does_not_end_a_fetch_before_the_time_in_retry_after() -> None:
    policy = Policy(silence_timeout=0.1)
    fetched = fetch_virtually(first_for([1], LATER), policy=policy, range="1")
    assert failures_of(fetched) == []
    assert fetched.listed == 0


def test_a_fetch_waits_for_only_the_first_of_several_broken_promises() -> None:
    policy = Policy(silence_timeout=0.5, promise_timeout=0.2)
    fetched = fetch_virtually(lambda _: LATER, policy=policy, range="1")
    (failure,) = failures_of(fetched)
    assert failure.status == 429
    assert 2_200 <= fetched.total_ms < 2_500


async def test_a_retry_after_that_makes_no_sense_is_ignored(pokeapi: PokeAPI, url: str) -> None:
    headers = [
        "soon",
        "-1",
        "9" * 400,
        "Mon, 99 Foo 99999999999999999999 00:00:00",
        "Thu, 01 Jan 2026 00:00:00 -0000",
        email.utils.formatdate(time.time() - 20, usegmt=True),
    ]
    for number, header in enumerate(headers, 1):
        wait = answers.status(429, header)
        pokeapi.answers[number] = answers.first(wait, then=right(number))
    fetched = await fetch_range(url, policy=CALM, range="1-6")
    assert names_of(fetched) == FIRST_TEN[:6]
    assert len(fetched.attempts) == 12


async def test_a_429_for_every_number_costs_no_name(pokeapi: PokeAPI, url: str) -> None:
    too_many = answers.status(429, retry_after=0)
    pokeapi.answers[PokeAPI.LIST] = answers.status(501)
    for number in range(1, 31):
        pokeapi.answers[number] = answers.first(too_many, then=right(number))
    fetched = await fetch_range(url, policy=CALM, range="1-30")
    assert names_of(fetched) == [NAMES[number] for number in range(1, 31)]


# The body of another number.


@pytest.mark.parametrize(
    ("strategy", "other"), [("gather", right(3)), ("gather", right(4)), ("sync", right(4))]
)
async def test_the_body_of_another_number_is_rejected(
    pokeapi: PokeAPI, url: str, strategy: str, other: answers.Answer
) -> None:
    """One spelling of the path returns that body, or both do."""
    pokeapi.answers[3] = by_spelling(slash=right(4), no_slash=other)
    cache = Cache(604_800)
    for _ in range(2):
        fetched = await fetch_range(url, policy=CALM, cache=cache, range="1-10", strategy=strategy)
        assert names_of(fetched) == FIRST_TEN
    assert pokeapi.requests <= 14


# Numbers that do not exist.


@every_strategy
async def test_numbers_that_do_not_exist_cost_one_more_request_in_all(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers = {1024: right(1024), 1025: right(1025)}
    fetched = await fetch_range(url, policy=CALM, range="1024-1035", strategy=strategy)
    failures = failures_of(fetched)
    assert names_of(fetched) == [NAMES[1024], NAMES[1025]]
    assert {failure.reason for failure in failures} == {"not_found"}
    assert details_of(fetched) == {"not in the list of all Pokémon"}
    assert pokeapi.requests == len(fetched.attempts) == (1 if strategy == "index" else 13)
    assert fetched.listed == (2 if strategy == "index" else 0)


async def test_not_found_says_that_the_list_could_not_be_fetched(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(403)
    fetched = await fetch_range(url, policy=CALM, range="1025-1027")
    failures = failures_of(fetched)
    assert names_of(fetched) == [NAMES[1025]]
    assert {(failure.reason, failure.status) for failure in failures} == {("not_found", 404)}
    detail = "Not Found; the list of all Pokémon could not be fetched: 403 Forbidden"
    assert details_of(fetched) == {detail}


# Nothing is left behind, and an unforeseen error affects nothing else.


@pytest.mark.parametrize("count", [10, pytest.param(120, marks=fuzz)])
async def test_nothing_is_left_when_a_fetch_returns(pokeapi: PokeAPI, url: str, count: int) -> None:
    random = Random(0)  # noqa: S311
    clients = Clients(url)
    pokeapi.answers = {number: right(number) for number in range(1, 31)}
    rates = {"503": 0.1, "500": 0.1, "reset": 0.1, "truncated": 0.1, "silence": 0.2, "drip": 0.1}
    returned: list[tuple[Fetched, bytes]] = []
    for seed in range(count):
        pokeapi.faults = Faults(rates, seed)
        fetched = await fetch_range(
            clients,
            policy=Policy(straggler_timeout=random.choice([0.05, 5.0])),
            seconds=random.uniform(0.01, 0.2),
            range="1-30",
            strategy=random.choice(["gather", "gather", "sequential", "sync", "index"]),
        )
        assert asyncio.all_tasks() == {asyncio.current_task()}
        returned.append((fetched, msgspec.json.encode(fetched)))
    pokeapi.faults = Faults({})
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(names_of(await fetch_range(clients, range="1-30"))) == 30
    for fetched, as_returned in returned:
        assert msgspec.json.encode(fetched) == as_returned
    attempts = 30 + sum(len(fetched.attempts) for fetched, _ in returned)
    assert pokeapi.requests <= attempts


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each request for number 3 raise an unforeseen error."""

    def breaking(method: Any) -> Any:
        def call(self: Clients, path: str, *arguments: Any, **options: Any) -> Any:
            if path.rstrip("/") == "pokemon/3":
                raise LookupError("strange")
            return method(self, path, *arguments, **options)

        return call

    monkeypatch.setattr(Clients, "get", breaking(Clients.get))
    monkeypatch.setattr(Clients, "get_blocking", breaking(Clients.get_blocking))


@both_clients
@pytest.mark.usefixtures("strange")
async def test_an_unforeseen_error_leaves_nothing_behind(url: str, strategy: str) -> None:
    with pytest.raises(LookupError, match="strange"):
        await fetch_range(url, policy=CALM, range="1-10", strategy=strategy)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def three_messages(strategy: str = "gather") -> dict[str, Any]:
    """Return an event with three messages, for 1-2, 3-4 and 5-6."""
    ranges = ("1-2", "3-4", "5-6")
    bodies = (json.dumps({"range": numbers, "strategy": strategy}) for numbers in ranges)
    return batch(*bodies)


@both_clients
@pytest.mark.usefixtures("strange")
def test_an_unforeseen_error_of_a_number_fails_only_its_message(
    load_app: LoadApp, strategy: str
) -> None:
    reply = load_app().handler(three_messages(strategy), Context())
    assert failed_messages(reply) == ["m1"]


def test_an_unforeseen_error_of_a_job_fails_only_its_message(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load_app()
    monkeypatch.setattr(app, "fetch", failing_for(app, "3-4"))
    assert failed_messages(app.handler(three_messages(), Context())) == ["m1"]


def failing_for(app: ModuleType, expression: str) -> Callable[..., Any]:
    fetch = app.fetch

    async def fail_for(request: Any, *arguments: Any, **options: Any) -> Any:
        if request.range == expression:
            raise LookupError("strange")
        return await fetch(request, *arguments, **options)

    return fail_for


@pytest.mark.parametrize("has_list", [True, False])
def test_a_message_whose_numbers_all_fail_fails_no_other(
    pokeapi: PokeAPI, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch, *, has_list: bool
) -> None:
    pokeapi.answers = {number: right(number) for number in range(7)}
    pokeapi.answers |= dict.fromkeys([3, 4] if has_list else [PokeAPI.LIST, 3, 4], DOWN)
    app = load_app()
    policy = msgspec.structs.replace(app.policy, shared_retries=0, silence_timeout=60.0)
    monkeypatch.setattr(app, "policy", policy)
    reply = app.handler(three_messages(), Context())
    assert failed_messages(reply) == ([] if has_list else ["m1"])


def test_the_requests_of_one_invocation_are_paced_together(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share one window; test_window.py shows how it paces them."""
    app = load_app(MAX_REQUESTS_PER_SECOND="100")
    handed = []

    async def note(request: Any, *arguments: Any) -> Fetched:
        handed.append(arguments)
        return Fetched([Found(number, "missingno") for number in request.numbers], [], 1.0)

    monkeypatch.setattr(app, "fetch", note)
    app.handler(three_messages(), Context())
    windows = {window for _, _, window, *_ in handed}
    policies = {policy.requests_per_second for *_, policy in handed}
    assert len(handed) == 3
    assert len(windows) == 1
    assert policies == {100.0}
