"""Which errors are retried, how often and when."""

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from aiohttp import web

from pokemon_names.fetching import policy as policies
from pokemon_names.fetching.fetcher import NOT_LISTED
from pokemon_names.fetching.policy import Policy, jittered
from pokemon_names.http import client
from pokemon_names.http.client import Clients, Decode
from pokemon_names.http.errors import GetError, Kind
from pokemon_names.model import Failure, Found
from tests.conftest import (
    NAMES,
    NO_RETRIES,
    QUICK,
    both_clients,
    failures_of,
    fetch_range,
    names_of,
)
from tests.fetching.virtual import BUSY, MISSING, fetch_virtually, is_list
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

DOWN = answers.status(503)
BULBASAUR = answers.json('{"name": "bulbasaur"}')
NO_LIST = {PokeAPI.LIST: answers.status(501)}


def name_is_number(number: int) -> Answer:
    return answers.json(f'{{"name": "{number}"}}')


PERMANENT = [400, 401, 403, 404, 410, 501, 505]
TEMPORARY = [408, 425, 429, 500, 502, 503, 504, 529]


async def test_the_status_decides_whether_an_error_is_retried(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = dict(NO_LIST)
    for number, status in enumerate(PERMANENT + TEMPORARY, 1):
        pokeapi.answers[number] = answers.text(status, "")
    policy = msgspec.structs.replace(QUICK, own_retries=1, shared_retries=0, max_list_attempts=1)
    fetched = await fetch_range(url, policy=policy, range="1-15")
    assert [(failure.status, failure.attempts) for failure in failures_of(fetched)] == [
        *[(status, 1) for status in PERMANENT],
        *[(status, 2) for status in TEMPORARY],
    ]


@both_clients
@pytest.mark.parametrize("status", [403, 404])
async def test_after_a_permanent_error_the_list_has_the_name_or_denies_it(
    pokeapi: PokeAPI, url: str, status: int, strategy: str
) -> None:
    pokeapi.answers = dict.fromkeys([1, 1026], answers.status(status))
    fetched = await fetch_range(url, range="1,1026", strategy=strategy)
    denied = Failure(1026, "not_found", status, attempts=1, detail=NOT_LISTED)
    assert fetched.results == [Found(1, "bulbasaur"), denied]
    assert fetched.listed == 1
    assert Counter(attempt.number for attempt in fetched.attempts) == {1: 1, 1026: 1, None: 1}
    assert pokeapi.requests == 3


@both_clients
async def test_without_the_list_a_permanent_error_is_retried_once_with_the_other_spelling(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers = {1: answers.status(403), **NO_LIST}
    policy = msgspec.structs.replace(QUICK, max_list_attempts=2)
    fetched = await fetch_range(url, policy=policy, range="1", strategy=strategy)
    (failure,) = failures_of(fetched)
    assert failure.status == 403
    assert failure.attempts == 2
    assert Counter(attempt.number for attempt in fetched.attempts) == {1: 2, None: 2}


async def test_without_the_list_a_permanent_error_is_not_retried_once_no_retry_is_left(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.answers = {1: answers.status(403), **NO_LIST}
    policy = msgspec.structs.replace(NO_RETRIES, max_list_attempts=1)
    fetched = await fetch_range(url, policy=policy, range="1")
    assert fetched.results == [Failure(1, "bad_status", 403, attempts=1, detail="Forbidden")]
    assert pokeapi.requests == 2


async def test_without_the_list_three_unreadable_bodies_are_too_many(
    pokeapi: PokeAPI, url: str
) -> None:
    bad = answers.first(answers.json("[]"), DOWN, then=answers.json('{"id": 1}'))
    pokeapi.answers = {1: bad, **NO_LIST}
    policy = msgspec.structs.replace(QUICK, unreadable_timeout=0.0, max_list_attempts=1)
    fetched = await fetch_range(url, policy=policy, range="1")
    detail = "Object missing required field `name`"
    assert fetched.results == [Failure(1, "bad_body", None, attempts=4, detail=detail)]


@both_clients
async def test_unreadable_bodies_are_retried_while_no_body_can_be_read(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    page = answers.text(200, "<html>")
    pokeapi.answers = {1: answers.first(*[page] * 8, then=BULBASAUR), **NO_LIST}
    policy = msgspec.structs.replace(QUICK, unreadable_timeout=60.0)
    fetched = await fetch_range(url, policy=policy, range="1", strategy=strategy)
    assert fetched.results == [Found(1, "bulbasaur")]
    assert sum(attempt.number == 1 for attempt in fetched.attempts) == 9


@both_clients
async def test_a_temporary_error_is_retried_twice_before_the_list_is_needed(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[1] = answers.first(DOWN, DOWN, then=BULBASAUR)
    fetched = await fetch_range(url, range="1", strategy=strategy)
    assert fetched.results == [Found(1, "bulbasaur")]
    assert fetched.listed == 0
    assert [attempt.ordinal for attempt in fetched.attempts] == [1, 2, 3]


@both_clients
async def test_attempts_alternate_between_both_spellings(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    paths = []

    async def answer(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return await DOWN(request)

    pokeapi.answers[1] = answer
    fetched = await fetch_range(url, range="1", strategy=strategy)
    assert fetched.listed == 1
    slash, no_slash = "/api/v2/pokemon/1/", "/api/v2/pokemon/1"
    assert paths == [slash, no_slash, slash]


class Failing(Clients):
    """Clients whose first request for number 1 returns an error of a given kind."""

    def __init__(self, base_url: str, kind: Kind) -> None:
        super().__init__(base_url)
        requests = {"refused": 3, "unprocessed": 0}.get(kind, 1)
        self._errors = [GetError(kind=kind, reason="bad_body", detail="bad", requests=requests)]

    async def get(
        self, path: str, decode: Decode[Any], seconds: float | None = None
    ) -> client.Answer[Any]:
        if path.startswith("pokemon/1") and self._errors:
            return client.Answer(error=self._errors.pop())
        return await super().get(path, decode, seconds)


@pytest.mark.parametrize(
    ("kind", "is_retried"),
    [
        ("service", False),
        ("unreadable", False),
        ("final", False),
        ("fatal", False),
        ("disconnected", True),
        ("unprocessed", True),
        ("refused", True),
    ],
)
async def test_without_retries_left_only_errors_that_cost_none_are_retried(
    pokeapi: PokeAPI, url: str, kind: Kind, *, is_retried: bool
) -> None:
    pokeapi.answers |= NO_LIST
    policy = msgspec.structs.replace(NO_RETRIES, shared_retries=-10)  # because each name adds one
    fetched = await fetch_range(Failing(url, kind), policy=policy, range="1-4")
    first = fetched.results[0]
    if is_retried:
        assert names_of(fetched) == [NAMES[number] for number in range(1, 5)]
    else:
        assert first == Failure(1, "bad_body", None, attempts=1, detail="bad")
    if kind != "fatal":
        assert len(names_of(fetched)) == 3 + is_retried


@pytest.mark.parametrize(("kind", "attempts"), [("unprocessed", 1), ("refused", 4)])
async def test_an_error_counts_as_many_attempts_as_requests_were_sent(
    url: str, kind: Kind, attempts: int
) -> None:
    fetched = await fetch_range(Failing(url, kind), range="1-4")
    of_one = [attempt.ordinal for attempt in fetched.attempts if attempt.number == 1]
    assert sorted(of_one) == list(range(1, attempts + 1))


async def test_each_number_has_two_retries_that_no_other_can_spend(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.answers = {**dict.fromkeys(range(11, 31), DOWN), **NO_LIST}
    for number in range(1, 11):
        pokeapi.answers[number] = answers.first(DOWN, DOWN, then=name_is_number(number))
    policy = msgspec.structs.replace(QUICK, shared_retries=0, max_list_attempts=1)
    fetched = await fetch_range(url, policy=policy, range="1-30")
    of_numbers = [attempt for attempt in fetched.attempts if attempt.number]
    assert fetched.results[:10] == [Found(number, str(number)) for number in range(1, 11)]
    assert len(failures_of(fetched)) == 20
    assert len(of_numbers) <= 10 * 3 + 20 * 3 + 10


async def test_without_the_list_further_retries_are_shared_by_all(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.answers = {1: DOWN, 2: DOWN, **NO_LIST}
    policy = msgspec.structs.replace(QUICK, shared_retries=5, max_list_attempts=1)
    fetched = await fetch_range(url, policy=policy, range="1-2")
    of_numbers = [attempt for attempt in fetched.attempts if attempt.number]
    assert names_of(fetched) == []
    assert len(of_numbers) == 2 + 2 * 2 + 5


async def test_each_name_received_earns_a_retry(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = {10: DOWN, **NO_LIST}
    policy = msgspec.structs.replace(QUICK, shared_retries=0)
    fetched = await fetch_range(url, policy=policy, range="1-10", strategy="sequential")
    attempts = 1 + 2 + 9
    failure = Failure(10, "bad_status", 503, attempts, "Service Unavailable")
    assert fetched.results[-1] == failure


async def test_the_list_spends_shared_retries_as_well(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers[PokeAPI.LIST] = DOWN
    policy = msgspec.structs.replace(QUICK, own_retries=1, shared_retries=5)
    fetched = await fetch_range(url, policy=policy, range="1-3", strategy="index")
    assert len(failures_of(fetched)) == 3
    assert pokeapi.requests == policy.max_list_attempts + 5


def test_delays_double_and_vary_at_random() -> None:
    policy = Policy(
        first_delay=1.0,
        max_delay=20.0,
        shared_retries=6,
        max_list_attempts=1,
        silence_timeout=200.0,
    )
    fetched = fetch_virtually(
        lambda arrival: MISSING if is_list(arrival) else BUSY,
        policy=policy,
        seconds=200.0,
        range="1",
    )
    attempts = [attempt for attempt in fetched.attempts if attempt.number]
    waits = [(later.start_ms - sooner.end_ms) / 1000 for sooner, later in pairwise(attempts)]
    longest = [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]
    for wait, limit in zip(waits, longest, strict=True):
        assert limit / 2 <= round(wait, 6) < limit


def test_environments_restored_from_one_snapshot_wait_differently() -> None:
    waits = []
    for _ in range(2):
        random.seed(1)  # SnapStart restores the same state in all environments
        waits.append(jittered(1.0))
    assert waits[0] != waits[1]


def test_the_delay_doubles_up_to_its_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "jittered", lambda seconds: seconds)
    policy = Policy(first_delay=0.1, max_delay=1.0)
    assert [policy.delay(retry) for retry in (1, 2, 4, 5, 5000)] == [0.1, 0.2, 0.8, 1.0, 1.0]


@pytest.mark.parametrize("retry", [1, 3])
def test_a_delay_is_cut_by_up_to_half_at_random(retry: int) -> None:
    policy = Policy(first_delay=0.1, max_delay=1.0)
    longest = 0.1 * 2 ** (retry - 1)
    delays = [policy.delay(retry) for _ in range(100)]
    assert longest / 2 <= min(delays) < longest * 0.7
    assert longest * 0.8 < max(delays) <= longest
