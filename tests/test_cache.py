from collections.abc import Callable
from types import ModuleType

import pytest

from pokemon_names import cache as cache_module
from pokemon_names import fetch
from pokemon_names.cache import Cache
from pokemon_names.outcome import Failed, Found
from pokemon_names.request import STRATEGIES
from tests.conftest import Handle, fetched
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

DOWN = answers.status(500)
WEEK, DAY = 604800.0, 86400.0

strategy = pytest.mark.parametrize("strategy", STRATEGIES)


class Clock:
    """Epoch seconds, that pass when a test says so."""

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


@strategy
async def test_a_name_is_fetched_once(pokeapi: PokeAPI, url: str, cache: Cache, strategy: str) -> None:
    first = await fetched(url, cache=cache, range="3,1-2", strategy=strategy)
    requests = pokeapi.requests
    second = await fetched(url, cache=cache, range="3,1-2", strategy=strategy)
    assert second.outcomes == first.outcomes == [Found(3, "venusaur"), Found(1, "bulbasaur"), Found(2, "ivysaur")]
    assert (first.cached, second.cached, second.exchanges) == (0, 3, [])
    assert pokeapi.requests == requests


async def test_only_what_is_missing_is_fetched_and_the_order_is_kept(pokeapi: PokeAPI, url: str, cache: Cache) -> None:
    await fetched(url, cache=cache, range="2,4")
    result = await fetched(url, cache=cache, range="1-5")
    assert [outcome.number for outcome in result.outcomes] == [1, 2, 3, 4, 5]
    assert (result.cached, len(result.exchanges), pokeapi.requests) == (2, 3, 5)


async def test_fresh_reads_past_it_and_refreshes_it(pokeapi: PokeAPI, url: str, cache: Cache) -> None:
    await fetched(url, cache=cache, range="1")
    pokeapi.answers[1] = answers.json('{"name": "bulbasaur-2"}')
    assert (await fetched(url, cache=cache, range="1", fresh=True)).outcomes == [Found(1, "bulbasaur-2")]
    assert (await fetched(url, cache=cache, range="1")).outcomes == [Found(1, "bulbasaur-2")]
    assert pokeapi.requests == 2


async def test_a_name_is_fresh_for_the_cache_s_seconds(pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock) -> None:
    await fetched(url, cache=cache, range="1")
    clock.now += WEEK - 1
    await fetched(url, cache=cache, range="1")
    assert pokeapi.requests == 1
    clock.now += 1
    await fetched(url, cache=cache, range="1")
    assert pokeapi.requests == 2


async def test_a_number_that_does_not_exist_is_remembered_for_a_seventh(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    await fetched(url, cache=cache, range="1026")
    clock.now += DAY - 1
    result = await fetched(url, cache=cache, range="1026")
    assert result.outcomes == [Failed(1026, "not_found", 404, attempts=0, detail="known not to exist")]
    assert (result.cached, pokeapi.requests) == (1, 1)
    clock.now += 1
    pokeapi.answers[1026] = answers.json('{"name": "new"}')
    assert (await fetched(url, cache=cache, range="1026")).outcomes == [Found(1026, "new")]


async def test_what_a_list_lacks_may_exist(pokeapi: PokeAPI, url: str, cache: Cache) -> None:
    missing = await fetched(url, cache=cache, range="1026", strategy="index")
    assert missing.outcomes == [Failed(1026, "not_found", None, attempts=1, detail="not in the list of all Pokémon")]
    pokeapi.answers[1026] = answers.json('{"name": "new"}')
    assert (await fetched(url, cache=cache, range="1026")).outcomes == [Found(1026, "new")]


@strategy
async def test_while_pokeapi_fails_an_expired_name_still_serves(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock, strategy: str
) -> None:
    await fetched(url, cache=cache, range="1-2,1026")
    clock.now += 2 * WEEK
    pokeapi.answers = dict.fromkeys([PokeAPI.LIST, 1, 2, 3, 1026], DOWN)
    result = await fetched(url, cache=cache, range="1-3,1026", strategy=strategy)
    assert result.outcomes[:2] == [Found(1, "bulbasaur"), Found(2, "ivysaur")]
    assert [type(outcome) for outcome in result.outcomes[2:]] == [Failed, Failed]
    assert (result.cached, result.stale) == (0, 2)


async def test_a_name_that_is_gone_is_not_served_for_being_expired(
    pokeapi: PokeAPI, url: str, cache: Cache, clock: Clock
) -> None:
    await fetched(url, cache=cache, range="1")
    clock.now += 2 * WEEK
    pokeapi.answers[1] = answers.status(404)
    (failed,) = (await fetched(url, cache=cache, range="1")).outcomes
    assert isinstance(failed, Failed)
    assert failed.reason == "not_found"


async def test_faults_are_not_remembered(pokeapi: PokeAPI, url: str, cache: Cache) -> None:
    pokeapi.answers[1] = DOWN
    await fetched(url, cache=cache, range="1")
    pokeapi.answers = {}
    assert (await fetched(url, cache=cache, range="1")).outcomes == [Found(1, "bulbasaur")]


async def test_memory_is_bounded_and_the_oldest_leave_first(
    pokeapi: PokeAPI, url: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MOST_IN_MEMORY", 10)
    await fetched(url, cache=cache, range="1-20")
    assert (await fetched(url, cache=cache, range="11-20")).cached == 10
    await fetched(url, cache=cache, range="1")
    assert (await fetched(url, cache=cache, range="12-20,1")).cached == 10
    assert pokeapi.requests == 21


def test_with_pokeapi_down_a_warm_environment_still_knows_all_names(pokeapi: PokeAPI, handle: Handle) -> None:
    names = handle({"range": "1-150"})["names"]
    pokeapi.answers = dict.fromkeys(range(1, 151), DOWN)
    report = handle({"range": "1-150"})
    assert report["names"] == names
    assert (report["complete"], report["timing"]["cached"], report["timing"]["requests"]) == (True, 150, 0)


def test_an_expired_cache_too(
    pokeapi: PokeAPI, load_app: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SILENCE_TIMEOUT", 0.3)
    app = load_app(CACHE_SECONDS="0")
    names = app.handler({"range": "1-150"}, Context())["names"]
    pokeapi.answers = dict.fromkeys(range(1, 151), DOWN)
    report = app.handler({"range": "1-150"}, Context())
    assert report["names"] == names
    assert (report["timing"]["cached"], report["timing"]["stale"]) == (0, 150)
