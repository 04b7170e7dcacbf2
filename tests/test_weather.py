"""What comes in weather that lasts, with the waits as they are."""

import pytest

from pokemon_names.client import Clients
from pokemon_names.outcome import Fetched
from pokemon_names.request import STRATEGIES
from tests.conftest import failures, fetched, names
from tests.tools.pokeapi import PokeAPI
from tests.tools.pokeapi.weather import Weather

strategy = pytest.mark.parametrize("strategy", STRATEGIES)
fuzz = pytest.mark.fuzz


@pytest.fixture(autouse=True)
def quick() -> None:
    """Let retries wait for as long as they do."""


def refused(result: Fetched) -> int:
    return sum(not exchange.ok for exchange in result.exchanges)


def each(*values: float, last: float) -> list[object]:
    """Give each of the values in every test, and the last, which takes long, with all that is fuzzed."""
    return [*values, pytest.param(last, marks=fuzz)]


@strategy
@pytest.mark.parametrize("condition", ["outage", "refuse"])
@pytest.mark.parametrize("seconds", each(0.5, last=5))
@pytest.mark.parametrize("numbers", each(1, 150, last=1025))
async def test_an_outage_costs_no_name(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI, url: str, strategy: str, condition: str, seconds: float, numbers: int
) -> None:
    pokeapi.weather = Weather({condition: seconds})
    result = await fetched(url, range=f"1-{numbers}", strategy=strategy)
    assert len(names(result)) == numbers
    assert refused(result) <= 250


@pytest.mark.parametrize("condition", ["outage", "refuse"])
async def test_an_outage_in_the_middle_costs_no_name(pokeapi: PokeAPI, url: str, condition: str) -> None:
    clients = Clients(url)
    assert len(names(await fetched(clients, range="1-20"))) == 20
    pokeapi.requests = 0
    pokeapi.weather = Weather({condition: 1.0})
    assert len(names(await fetched(clients, range="1-150"))) == 150


@pytest.mark.parametrize(("numbers", "most"), [(150, 300), pytest.param(1025, 1025, marks=fuzz)])
@pytest.mark.parametrize("delay", each(0.02, last=0.0))
async def test_a_limiter_costs_time_alone(pokeapi: PokeAPI, url: str, numbers: int, most: int, delay: float) -> None:
    pokeapi.delay = delay
    pokeapi.weather = Weather({"limit": 100})
    result = await fetched(url, range=f"1-{numbers}")
    assert len(names(result)) == numbers
    assert refused(result) <= most


async def test_hopeless_numbers_cost_themselves_alone(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.weather = Weather({"hopeless": 30, "once": 1})
    result = await fetched(url, range="1-150", straggler_timeout=1)
    assert len(names(result)) == 145
    assert {failed.number for failed in failures(result)} == {30, 60, 90, 120, 150}


async def test_a_retry_after_beyond_the_time_there_is_may_not_be_meant(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.weather = Weather({"busy": 100})
    result = await fetched(url, range="1-150")
    assert len(names(result)) == 150
    assert refused(result) == 100


@strategy
@fuzz
async def test_a_dead_pokeapi_is_given_up(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.weather = Weather({"outage": 60})
    result = await fetched(url, range="1-150", strategy=strategy)
    assert pokeapi.requests <= len(result.exchanges) <= 250  # the last may be cut off before it arrives
    assert result.total_ms < 12_000
    assert {(failed.reason, failed.status) for failed in failures(result)} == {("bad_status", 503)}
