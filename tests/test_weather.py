"""Fetches in weather that lasts, with delays as long as in production."""

import pytest

from pokemon_names.fetching.client import Clients
from pokemon_names.model import Fetched
from tests.conftest import every_strategy, failures_of, fetch_range, names_of
from tests.tools.pokeapi import PokeAPI
from tests.tools.pokeapi.weather import Weather

fuzz = pytest.mark.fuzz


@pytest.fixture(autouse=True)
def quick() -> None:
    """Replace the fixture that shortens the delays by one that does not."""


def failed_attempts(fetched: Fetched) -> int:
    return sum(not attempt.ok for attempt in fetched.attempts)


@every_strategy
@pytest.mark.parametrize("condition", ["outage", "refuse"])
@pytest.mark.parametrize("seconds", [0.5, pytest.param(5, marks=fuzz)])
@pytest.mark.parametrize("count", [1, 150, pytest.param(1025, marks=fuzz)])
async def test_an_outage_costs_no_name(  # noqa: PLR0913, PLR0917  the cases' values
    pokeapi: PokeAPI, url: str, strategy: str, condition: str, seconds: float, count: int
) -> None:
    pokeapi.weather = Weather({condition: seconds})
    fetched = await fetch_range(url, range=f"1-{count}", strategy=strategy)
    assert len(names_of(fetched)) == count
    assert failed_attempts(fetched) <= 250


@pytest.mark.parametrize("condition", ["outage", "refuse"])
async def test_an_outage_between_two_fetches_costs_no_name(
    pokeapi: PokeAPI, url: str, condition: str
) -> None:
    clients = Clients(url)
    assert len(names_of(await fetch_range(clients, range="1-20"))) == 20
    pokeapi.requests = 0
    pokeapi.weather = Weather({condition: 1.0})
    assert len(names_of(await fetch_range(clients, range="1-150"))) == 150


@pytest.mark.parametrize(
    ("count", "max_failed"), [(150, 300), pytest.param(1025, 1025, marks=fuzz)]
)
@pytest.mark.parametrize("delay", [0.02, pytest.param(0.0, marks=fuzz)])
async def test_a_rate_limit_costs_only_time(
    pokeapi: PokeAPI, url: str, count: int, max_failed: int, delay: float
) -> None:
    pokeapi.delay = delay
    pokeapi.weather = Weather({"limit": 100})
    fetched = await fetch_range(url, range=f"1-{count}")
    assert len(names_of(fetched)) == count
    assert failed_attempts(fetched) <= max_failed


async def test_hopeless_numbers_fail_alone(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.weather = Weather({"hopeless": 30, "once": 1})
    fetched = await fetch_range(url, range="1-150", straggler_timeout=1)
    assert len(names_of(fetched)) == 145
    assert {failure.number for failure in failures_of(fetched)} == {30, 60, 90, 120, 150}


async def test_a_retry_after_beyond_the_deadline_is_not_waited_for(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.weather = Weather({"busy": 100})
    fetched = await fetch_range(url, range="1-150")
    assert len(names_of(fetched)) == 150
    assert failed_attempts(fetched) == 100


@every_strategy
@fuzz
async def test_a_dead_pokeapi_is_given_up(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.weather = Weather({"outage": 60})
    fetched = await fetch_range(url, range="1-150", strategy=strategy)
    failures = failures_of(fetched)
    # The last attempts may be cut off before they arrive.
    assert pokeapi.requests <= len(fetched.attempts) <= 250
    assert fetched.total_ms < 12_000
    assert {(failure.reason, failure.status) for failure in failures} == {("bad_status", 503)}
