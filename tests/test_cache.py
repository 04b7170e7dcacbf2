"""Names in memory; test_dynamodb.py has the table behind it."""

from collections.abc import Sequence
from time import monotonic

import pytest

from pokemon_names.fetching import cache as cache_module
from pokemon_names.fetching import patience
from pokemon_names.fetching.cache import Cache, Names, OnError
from pokemon_names.model import CachedName, Failure, Found
from tests.conftest import Handle, LoadApp, every_strategy, failures_of, fetch_range
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

DOWN = answers.status(500)
DAY = 86_400.0
WEEK = 7 * DAY


class Clock:
    """Epoch seconds that pass when a test says so."""

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


@every_strategy
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
    pokeapi.answers[1] = DOWN
    fetched = await fetch_range(url, cache=cache, range="1", fresh=True)
    assert [failure.reason for failure in failures_of(fetched)] == ["bad_status"]


async def test_a_name_is_fresh_for_the_caches_seconds(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    await fetch_range(url, cache=cache, range="1")
    clock.now += WEEK - 1
    await fetch_range(url, cache=cache, range="1")
    assert pokeapi.requests == 1
    clock.now += 1
    await fetch_range(url, cache=cache, range="1")
    assert pokeapi.requests == 2


async def test_a_number_of_no_pokemon_is_remembered_for_a_seventh_of_that_time(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    await fetch_range(url, cache=cache, range="1026")
    clock.now += DAY - 1
    fetched = await fetch_range(url, cache=cache, range="1026")
    failure = Failure(1026, "not_found", 404, attempts=0, detail="known not to exist")
    assert fetched.results == [failure]
    assert fetched.cached == 1
    assert pokeapi.requests == 1
    clock.now += 1
    pokeapi.answers[1026] = answers.json('{"name": "new"}')
    assert (await fetch_range(url, cache=cache, range="1026")).results == [Found(1026, "new")]


async def test_a_number_that_the_list_lacks_is_not_remembered(
    pokeapi: PokeAPI, url: str, cache: Cache
) -> None:
    fetched = await fetch_range(url, cache=cache, range="1026", strategy="index")
    detail = "not in the list of all Pokémon"
    assert fetched.results == [Failure(1026, "not_found", None, attempts=1, detail=detail)]
    pokeapi.answers[1026] = answers.json('{"name": "new"}')
    assert (await fetch_range(url, cache=cache, range="1026")).results == [Found(1026, "new")]


@every_strategy
async def test_an_expired_name_is_served_while_pokeapi_fails(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock, strategy: str
) -> None:
    await fetch_range(url, cache=cache, range="1-2,1026")
    clock.now += 2 * WEEK
    pokeapi.answers = dict.fromkeys([PokeAPI.LIST, 1, 2, 3, 1026], DOWN)
    fetched = await fetch_range(url, cache=cache, range="1-3,1026", strategy=strategy)
    assert fetched.results[:2] == [Found(1, "bulbasaur"), Found(2, "ivysaur")]
    assert [type(result) for result in fetched.results[2:]] == [Failure, Failure]
    assert fetched.cached == 0
    assert fetched.stale == 2


async def test_an_expired_name_is_not_served_once_pokeapi_says_it_is_gone(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    await fetch_range(url, cache=cache, range="1")
    clock.now += 2 * WEEK
    pokeapi.answers[1] = answers.status(404)
    (failure,) = (await fetch_range(url, cache=cache, range="1")).results
    assert isinstance(failure, Failure)
    assert failure.reason == "not_found"


async def test_retryable_failures_are_not_remembered(
    pokeapi: PokeAPI, url: str, cache: Cache
) -> None:
    pokeapi.answers[1] = DOWN
    await fetch_range(url, cache=cache, range="1")
    pokeapi.answers = {}
    assert (await fetch_range(url, cache=cache, range="1")).results == [Found(1, "bulbasaur")]


async def test_memory_is_bounded_and_the_oldest_are_forgotten_first(
    pokeapi: PokeAPI, url: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MAX_IN_MEMORY", 10)
    await fetch_range(url, cache=cache, range="1-20")
    assert (await fetch_range(url, cache=cache, range="11-20")).cached == 10
    await fetch_range(url, cache=cache, range="1")
    assert (await fetch_range(url, cache=cache, range="12-20,1")).cached == 10
    assert pokeapi.requests == 21


async def test_a_name_that_is_fetched_again_is_among_the_newest(
    url: str, clock: Clock, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MAX_IN_MEMORY", 3)
    await fetch_range(url, cache=cache, range="1-3")
    clock.now += WEEK
    await fetch_range(url, cache=cache, range="1,4")
    assert (await fetch_range(url, cache=cache, range="1")).cached == 1


def test_a_warm_environment_knows_all_names_while_pokeapi_is_down(
    pokeapi: PokeAPI, handle: Handle
) -> None:
    names = handle({"range": "1-150"})["names"]
    pokeapi.answers = dict.fromkeys(range(1, 151), DOWN)
    report = handle({"range": "1-150"})
    assert report["names"] == names
    assert report["complete"] is True
    assert report["timing"]["cached"] == 150
    assert report["timing"]["requests"] == 0


def test_a_warm_environment_knows_all_names_even_where_they_have_expired(
    pokeapi: PokeAPI, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENCE_TIMEOUT", 0.3)
    app = load_app(CACHE_SECONDS="0")
    names = app.handler({"range": "1-150"}, Context())["names"]
    pokeapi.answers = dict.fromkeys(range(1, 151), DOWN)
    report = app.handler({"range": "1-150"}, Context())
    assert report["names"] == names
    assert report["timing"]["cached"] == 0
    assert report["timing"]["stale"] == 150


class Known:
    """A table that has every number's name, and notes what it is asked for and what it gets."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.saved: list[str | None] = []

    def load(self, numbers: Sequence[int], _: OnError) -> Names:
        self.asked.append(list(numbers))
        return {number: CachedName("missingno", 2_000_000_000.0) for number in numbers}

    def save(self, names: Names, _: OnError) -> None:
        self.saved += [cached.name for cached in names.values()]


async def test_a_name_that_has_just_expired_is_looked_up_in_the_table(clock: Clock) -> None:
    table = Known()
    cache = Cache(WEEK, table, clock=clock)
    await cache.save([Found(1, "bulbasaur")])
    clock.now += WEEK
    fresh, expired = await cache.load([1], monotonic() + 10)
    assert table.asked == [[1]]
    assert fresh == {1: Found(1, "missingno")}
    assert expired == {}


@pytest.mark.parametrize(("seconds", "asked"), [(-0.1, []), (0.0, []), (0.9, [[1]])])
async def test_the_table_is_asked_while_there_is_time(
    clock: Clock, seconds: float, asked: list[list[int]]
) -> None:
    table = Known()
    await Cache(WEEK, table, clock=clock).load([1], monotonic() + seconds)
    assert table.asked == asked


@pytest.mark.parametrize(("later", "times"), [(0, 1), (DAY, 1), (DAY + 1, 2)])
async def test_a_name_that_has_not_changed_is_saved_once_a_day(
    clock: Clock, later: float, times: int
) -> None:
    table = Known()
    cache = Cache(WEEK, table, clock=clock)
    await cache.save([Found(1, "bulbasaur")])
    clock.now += later
    await cache.save([Found(1, "bulbasaur")])
    assert table.saved == ["bulbasaur"] * times


async def test_a_name_that_has_changed_is_saved_at_once(clock: Clock) -> None:
    table = Known()
    cache = Cache(WEEK, table, clock=clock)
    await cache.save([Found(1, "bulbasaur")])
    await cache.save([Found(1, "ivysaur")])
    assert table.saved == ["bulbasaur", "ivysaur"]
