"""Names in memory. stores/test_dynamodb.py tests the table behind it."""

import asyncio
import json
from collections.abc import Sequence
from time import monotonic

import msgspec
import pytest

from pokemon_names.fetching import cache as cache_module
from pokemon_names.fetching.cache import MAX_ABSENT, MAX_IN_MEMORY, Cache, Names, OnError
from pokemon_names.model import CachedName, Failure, Found, Result
from tests.conftest import (
    NO_RETRIES,
    Handle,
    LoadApp,
    both_clients,
    failures_of,
    fetch_range,
)
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import list_entry, pokemon

DOWN = answers.status(500)
IMPATIENT = msgspec.structs.replace(NO_RETRIES, max_list_attempts=1, silence_timeout=60.0)
DAY = 86_400.0
WEEK = 7 * DAY
NOT_FOUND = answers.status(404)
GONE = Failure(1, "not_found", 404, attempts=0, detail="known not to exist")


class Clock:
    """Epoch seconds that pass only when a test changes them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Cache:
    return Cache(WEEK, clock=clock)


def list_without(number: int) -> Answer:
    """Return an answer with the list of all Pokémon except one."""
    rest = [list_entry(other) for other in pokemon().values() if other.number != number]
    return answers.json(json.dumps({"results": rest}))


def absent(number: int) -> Failure:
    return Failure(number, "not_found", 404, attempts=1, detail="not in the list of all Pokémon")


@both_clients
async def test_a_name_is_fetched_once(
    pokeapi: PokeAPI, url: str, cache: Cache, strategy: str
) -> None:
    first = await fetch_range(url, cache=cache, range="3,1-2", strategy=strategy)
    requests = pokeapi.requests
    second = await fetch_range(url, cache=cache, range="3,1-2", strategy=strategy)
    assert first.results == [Found(3, "venusaur"), Found(1, "bulbasaur"), Found(2, "ivysaur")]
    assert first.cached == 0
    assert second.results == first.results
    assert second.cached == 3
    assert second.attempts == []
    assert pokeapi.requests == requests


async def test_only_uncached_names_are_fetched_and_the_order_is_kept(
    pokeapi: PokeAPI, url: str, cache: Cache
) -> None:
    await fetch_range(url, cache=cache, range="2,4")
    fetched = await fetch_range(url, cache=cache, range="1-5")
    assert [result.number for result in fetched.results] == [1, 2, 3, 4, 5]
    assert fetched.cached == 2
    assert len(fetched.attempts) == 3
    assert pokeapi.requests == 5


async def test_a_fresh_request_skips_the_cache_and_refreshes_it(
    pokeapi: PokeAPI, url: str, cache: Cache
) -> None:
    await fetch_range(url, cache=cache, range="1")
    pokeapi.answers[1] = answers.json('{"name": "bulbasaur-2"}')
    fresh = await fetch_range(url, cache=cache, range="1", fresh=True)
    cached = await fetch_range(url, cache=cache, range="1")
    assert fresh.results == [Found(1, "bulbasaur-2")]
    assert cached.results == [Found(1, "bulbasaur-2")]
    assert pokeapi.requests == 2


async def test_a_fresh_request_that_fails_is_not_served_from_the_cache(
    pokeapi: PokeAPI, url: str, cache: Cache
) -> None:
    await fetch_range(url, cache=cache, range="1")
    pokeapi.answers = dict.fromkeys([1, PokeAPI.LIST], DOWN)
    fetched = await fetch_range(url, policy=IMPATIENT, cache=cache, range="1", fresh=True)
    assert [failure.reason for failure in failures_of(fetched)] == ["bad_status"]


async def test_a_name_is_fresh_for_as_long_as_the_cache_says(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    await fetch_range(url, cache=cache, range="1")
    clock.now += WEEK - 1
    await fetch_range(url, cache=cache, range="1")
    assert pokeapi.requests == 1
    clock.now += 1
    await fetch_range(url, cache=cache, range="1")
    assert pokeapi.requests == 2


@both_clients
async def test_a_number_that_the_list_lacks_is_remembered_a_seventh_as_long_as_a_name(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock, strategy: str
) -> None:
    await fetch_range(url, cache=cache, range="1026", strategy=strategy)
    requests = pokeapi.requests
    clock.now += DAY - 1
    fetched = await fetch_range(url, cache=cache, range="1026", strategy=strategy)
    failure = Failure(1026, "not_found", 404, attempts=0, detail="known not to exist")
    assert fetched.results == [failure]
    assert fetched.cached == 1
    assert pokeapi.requests == requests
    clock.now += 1
    pokeapi.answers[1026] = answers.json('{"name": "new"}')
    assert (await fetch_range(url, cache=cache, range="1026")).results == [Found(1026, "new")]


@pytest.mark.parametrize(
    ("cache_seconds", "remembered"), [(WEEK, 300), (2100, 300), (2093, 299), (700, 100)]
)
async def test_an_unconfirmed_404_is_remembered_for_at_most_five_minutes(
    pokeapi: PokeAPI, url: str, clock: Clock, cache_seconds: float, remembered: float
) -> None:
    cache = Cache(cache_seconds, clock=clock)
    pokeapi.answers[PokeAPI.LIST] = NOT_FOUND
    await fetch_range(url, cache=cache, range="1026")
    requests = pokeapi.requests
    clock.now += remembered - 1
    assert (await fetch_range(url, cache=cache, range="1026")).cached == 1
    assert pokeapi.requests == requests
    clock.now += 1
    pokeapi.answers[1026] = answers.json('{"name": "new"}')
    assert (await fetch_range(url, cache=cache, range="1026")).results == [Found(1026, "new")]


async def test_a_404_is_remembered_longer_once_the_list_confirms_it(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    pokeapi.answers[PokeAPI.LIST] = NOT_FOUND
    await fetch_range(url, cache=cache, range="1026")
    pokeapi.answers = {}
    await fetch_range(url, cache=cache, range="1026", fresh=True)
    clock.now += DAY - 1
    assert (await fetch_range(url, cache=cache, range="1026")).cached == 1


async def test_a_number_that_was_known_not_to_exist_is_found_by_a_fresh_request(
    pokeapi: PokeAPI, url: str, cache: Cache
) -> None:
    await fetch_range(url, cache=cache, range="1026")
    pokeapi.answers[1026] = answers.json('{"name": "new"}')
    await fetch_range(url, cache=cache, range="1026", fresh=True)
    fetched = await fetch_range(url, cache=cache, range="1026")
    assert fetched.results == [Found(1026, "new")]
    assert fetched.cached == 1


@pytest.mark.parametrize("later", [0.0, 2 * WEEK], ids=["fresh", "expired"])
async def test_an_unconfirmed_404_never_replaces_a_name(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock, later: float
) -> None:
    await fetch_range(url, cache=cache, range="1")
    clock.now += later
    pokeapi.answers = dict.fromkeys([1, PokeAPI.LIST], NOT_FOUND)
    (failure,) = failures_of(await fetch_range(url, cache=cache, range="1", fresh=True))
    assert failure.reason == "not_found"
    fetched = await fetch_range(url, cache=cache, range="1")
    assert fetched.results == [Found(1, "bulbasaur")]
    assert (fetched.cached, fetched.stale) == ((0, 1) if later else (1, 0))


@pytest.mark.parametrize("later", [0.0, 2 * WEEK], ids=["fresh", "expired"])
async def test_a_name_that_the_list_lacks_is_forgotten(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock, later: float
) -> None:
    await fetch_range(url, cache=cache, range="1")
    clock.now += later
    pokeapi.answers = {1: NOT_FOUND, PokeAPI.LIST: list_without(1)}
    fetched = await fetch_range(url, cache=cache, range="1", fresh=True)
    assert fetched.results == [absent(1)]
    fetched = await fetch_range(url, cache=cache, range="1")
    assert fetched.results == [GONE]
    clock.now += DAY
    pokeapi.answers[PokeAPI.LIST] = NOT_FOUND
    (failure,) = failures_of(await fetch_range(url, cache=cache, range="1"))
    assert failure.reason == "not_found"  # the name is forgotten


@both_clients
async def test_an_expired_name_is_served_while_pokeapi_fails(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock, strategy: str
) -> None:
    await fetch_range(url, cache=cache, range="1-2,1026")
    clock.now += 2 * WEEK
    pokeapi.answers = dict.fromkeys([PokeAPI.LIST, 1, 2, 3, 1026], DOWN)
    fetched = await fetch_range(
        url, policy=IMPATIENT, cache=cache, range="1-3,1026", strategy=strategy
    )
    assert fetched.results[:2] == [Found(1, "bulbasaur"), Found(2, "ivysaur")]
    assert [type(result) for result in fetched.results[2:]] == [Failure, Failure]
    assert fetched.cached == 0
    assert fetched.stale == 2


async def test_an_expired_name_is_not_served_once_the_list_lacks_it(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    await fetch_range(url, cache=cache, range="1")
    clock.now += 2 * WEEK
    pokeapi.answers = {1: NOT_FOUND, PokeAPI.LIST: list_without(1)}
    fetched = await fetch_range(url, cache=cache, range="1")
    assert fetched.results == [absent(1)]
    assert fetched.stale == 0


async def test_retryable_failures_are_not_remembered(
    pokeapi: PokeAPI, url: str, cache: Cache
) -> None:
    pokeapi.answers = dict.fromkeys([1, PokeAPI.LIST], DOWN)
    failed = await fetch_range(url, policy=IMPATIENT, cache=cache, range="1")
    assert len(failures_of(failed)) == 1
    pokeapi.answers = {}
    assert (await fetch_range(url, cache=cache, range="1")).results == [Found(1, "bulbasaur")]


def many_found(first: int, count: int) -> list[Result]:
    return [Found(number, "missingno") for number in range(first, first + count)]


def many_absent(first: int, count: int) -> list[Result]:
    return [absent(number) for number in range(first, first + count)]


async def count_known(cache: Cache, first: int, count: int) -> int:
    """Return how many of the `count` numbers from `first` on have a fresh result."""
    fresh, _ = await cache.load(range(first, first + count), monotonic() + 10)
    return len(fresh)


async def test_memory_is_bounded_and_the_oldest_names_are_forgotten_first(cache: Cache) -> None:
    await cache.save(many_found(1, MAX_IN_MEMORY + 10), is_listed=True)
    assert await count_known(cache, 1, 10) == 0
    assert await count_known(cache, 11, MAX_IN_MEMORY) == MAX_IN_MEMORY
    await cache.save(many_found(1, 1), is_listed=True)
    assert await count_known(cache, 1, 11) == 1
    assert await count_known(cache, 12, MAX_IN_MEMORY) == MAX_IN_MEMORY - 1


async def test_absent_numbers_are_bounded_and_the_oldest_are_forgotten_first(cache: Cache) -> None:
    await cache.save(many_absent(1, MAX_ABSENT + 10), is_listed=True)
    assert await count_known(cache, 1, 10) == 0
    assert await count_known(cache, 11, MAX_ABSENT) == MAX_ABSENT


async def test_names_and_absent_numbers_do_not_crowd_each_other_out(cache: Cache) -> None:
    await cache.save(many_found(1, MAX_IN_MEMORY), is_listed=True)
    await cache.save(many_absent(10_001, MAX_ABSENT), is_listed=True)
    await cache.save(many_absent(20_001, 10), is_listed=False)
    assert await count_known(cache, 1, MAX_IN_MEMORY) == MAX_IN_MEMORY
    assert await count_known(cache, 10_001, MAX_ABSENT) == MAX_ABSENT - 10
    await cache.save(many_found(30_001, 10), is_listed=True)
    assert await count_known(cache, 10_001, MAX_ABSENT) == MAX_ABSENT - 10


async def test_a_name_that_is_fetched_again_is_among_the_newest(clock: Clock, cache: Cache) -> None:
    await cache.save(many_found(1, MAX_IN_MEMORY), is_listed=True)
    clock.now += WEEK
    await cache.save([*many_found(1, 1), *many_found(10_001, 10)], is_listed=True)
    assert await count_known(cache, 1, 1) == 1


def test_a_warm_environment_knows_all_names_while_pokeapi_is_down(
    pokeapi: PokeAPI, handle: Handle
) -> None:
    names = handle({"range": "1-10"})["names"]
    pokeapi.answers = dict.fromkeys(range(11), DOWN)
    report = handle({"range": "1-10"})
    assert report["names"] == names
    assert report["complete"] is True
    assert report["timing"]["cached"] == 10
    assert report["timing"]["requests"] == 0


def test_a_warm_environment_knows_all_names_even_if_they_have_expired(
    pokeapi: PokeAPI, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load_app(CACHE_SECONDS="0")
    names = app.handler({"range": "1-10"}, Context())["names"]
    pokeapi.answers = dict.fromkeys(range(11), DOWN)
    monkeypatch.setattr(app, "policy", IMPATIENT)
    report = app.handler({"range": "1-10"}, Context())
    assert report["names"] == names
    assert report["timing"]["cached"] == 0
    assert report["timing"]["stale"] == 10


class FullTable:
    """A table that has a name for every number, and records what it is asked and given."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.saved: list[str | None] = []

    def load(self, numbers: Sequence[int], _: OnError) -> Names:
        self.asked.append(list(numbers))
        return {number: CachedName("missingno", 2_000_000_000.0) for number in numbers}

    def save(self, names: Names, _: OnError) -> None:
        self.saved += [cached.name for cached in names.values()]


@pytest.fixture
async def table(monkeypatch: pytest.MonkeyPatch) -> FullTable:
    """Return a table that never times out, because the loop's clock stands still."""
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 0.0)
    return FullTable()


async def test_a_name_that_has_just_expired_is_looked_up_in_the_table(
    clock: Clock, table: FullTable
) -> None:
    cache = Cache(WEEK, table, clock=clock)
    await cache.save([Found(1, "bulbasaur")], is_listed=False)
    clock.now += WEEK
    fresh, expired = await cache.load([1], monotonic() + 10)
    assert table.asked == [[1]]
    assert fresh == {1: Found(1, "missingno")}
    assert expired == {}


@pytest.mark.parametrize("is_listed", [True, False])
async def test_the_table_is_not_asked_for_numbers_that_are_known_not_to_exist(
    clock: Clock, table: FullTable, *, is_listed: bool
) -> None:
    cache = Cache(WEEK, table, clock=clock)
    await cache.save([absent(1026)], is_listed=is_listed)
    await cache.load([1, 1026], monotonic() + 10)
    clock.now += DAY
    await cache.load([1, 1026], monotonic() + 10)
    assert table.asked == [[1], [1026]]
    assert table.saved == []


@pytest.mark.parametrize(("seconds", "asked"), [(-0.1, []), (0.0, []), (0.9, [[1]])])
async def test_the_table_is_asked_only_while_there_is_time(
    table: FullTable, monkeypatch: pytest.MonkeyPatch, seconds: float, asked: list[list[int]]
) -> None:
    monkeypatch.setattr(cache_module, "monotonic", lambda: 100.0)
    await Cache(WEEK, table).load([1], 100.0 + seconds)
    assert table.asked == asked


@pytest.mark.parametrize(("later", "times"), [(0, 1), (DAY, 1), (DAY + 1, 2)])
async def test_a_name_that_has_not_changed_is_saved_once_a_day(
    clock: Clock, table: FullTable, later: float, times: int
) -> None:
    cache = Cache(WEEK, table, clock=clock)
    await cache.save([Found(1, "bulbasaur")], is_listed=False)
    clock.now += later
    await cache.save([Found(1, "bulbasaur")], is_listed=False)
    assert table.saved == ["bulbasaur"] * times


async def test_a_name_that_has_changed_is_saved_at_once(clock: Clock, table: FullTable) -> None:
    cache = Cache(WEEK, table, clock=clock)
    await cache.save([Found(1, "bulbasaur")], is_listed=False)
    await cache.save([Found(1, "ivysaur")], is_listed=False)
    assert table.saved == ["bulbasaur", "ivysaur"]
