"""Fetches in weather that lasts, with delays as long as in production."""

import msgspec
import pytest

from pokemon_names.fetching.policy import Policy
from pokemon_names.http.client import Clients
from pokemon_names.model import Fetched
from tests.conftest import every_strategy, failures_of, fetch_range, names_of
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.weather import Weather

PRODUCTION = Policy(lag_timeout=30.0)  # or a number may lag on a busy machine
IMPATIENT = msgspec.structs.replace(PRODUCTION, straggler_timeout=1.0)

fuzz = pytest.mark.fuzz
with_and_without_list = pytest.mark.parametrize("has_list", [True, False])


def failed_attempts(fetched: Fetched) -> int:
    return sum(not attempt.ok for attempt in fetched.attempts)


def remove_list(pokeapi: PokeAPI) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)


@every_strategy
@pytest.mark.parametrize("condition", ["outage", "refuse"])
@pytest.mark.parametrize("seconds", [0.5, pytest.param(5, marks=fuzz)])
@pytest.mark.parametrize("count", [1, 150, pytest.param(1025, marks=fuzz)])
async def test_an_outage_costs_no_name(  # noqa: PLR0913, PLR0917  the cases' values
    pokeapi: PokeAPI, url: str, strategy: str, condition: str, seconds: float, count: int
) -> None:
    pokeapi.weather = Weather({condition: seconds})
    fetched = await fetch_range(url, policy=PRODUCTION, range=f"1-{count}", strategy=strategy)
    assert len(names_of(fetched)) == count
    assert failed_attempts(fetched) <= 250


@pytest.mark.parametrize("condition", ["outage", "refuse"])
@with_and_without_list
async def test_an_outage_between_two_fetches_costs_no_name(
    pokeapi: PokeAPI, url: str, condition: str, *, has_list: bool
) -> None:
    if not has_list:
        remove_list(pokeapi)
    clients = Clients(url)
    assert len(names_of(await fetch_range(clients, policy=PRODUCTION, range="1-20"))) == 20
    pokeapi.requests = 0
    pokeapi.weather = Weather({condition: 1.0})
    assert len(names_of(await fetch_range(clients, policy=PRODUCTION, range="1-150"))) == 150


@pytest.mark.parametrize(
    ("count", "has_list", "max_failed"),
    [
        (150, True, 300),
        (150, False, 450),
        pytest.param(1025, True, 1025, marks=fuzz),
        pytest.param(1025, False, 2050, marks=fuzz),
    ],
)
@pytest.mark.parametrize("delay", [0.02, pytest.param(0.0, marks=fuzz)])
async def test_a_rate_limit_costs_only_time(  # noqa: PLR0913  the cases' values
    pokeapi: PokeAPI, url: str, count: int, max_failed: int, delay: float, *, has_list: bool
) -> None:
    if not has_list:
        remove_list(pokeapi)
    pokeapi.delay = delay
    pokeapi.weather = Weather({"limit": 100})
    fetched = await fetch_range(url, policy=PRODUCTION, range=f"1-{count}")
    assert len(names_of(fetched)) == count
    assert failed_attempts(fetched) <= max_failed


async def test_hopeless_numbers_come_from_the_list(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.weather = Weather({"hopeless": 30, "once": 1})
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-150")
    assert len(names_of(fetched)) == 150
    assert fetched.listed >= 5


async def test_first_requests_that_all_fail_do_not_keep_retries_back(
    pokeapi: PokeAPI, url: str
) -> None:
    remove_list(pokeapi)
    pokeapi.weather = Weather({"once": 1})
    policy = Policy(concurrency=1, max_pause=0.2, silence_timeout=3.0, lag_timeout=60.0)
    fetched = await fetch_range(url, policy=policy, range="1-50")
    assert len(names_of(fetched)) == 50


async def test_without_the_list_hopeless_numbers_fail_alone(pokeapi: PokeAPI, url: str) -> None:
    remove_list(pokeapi)
    pokeapi.weather = Weather({"hopeless": 30, "once": 1})
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-150")
    assert len(names_of(fetched)) == 145
    assert {failure.number for failure in failures_of(fetched)} == {30, 60, 90, 120, 150}


@with_and_without_list
async def test_a_retry_after_beyond_the_deadline_is_not_waited_for(
    pokeapi: PokeAPI, url: str, *, has_list: bool
) -> None:
    if not has_list:
        remove_list(pokeapi)
    pokeapi.weather = Weather({"busy": 100})
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150")
    assert len(names_of(fetched)) == 150
    assert failed_attempts(fetched) >= 100


@every_strategy
@fuzz
async def test_a_dead_pokeapi_is_given_up(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    pokeapi.weather = Weather({"outage": 60})
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-150", strategy=strategy)
    failures = failures_of(fetched)
    # The last attempts may be cut off before they arrive.
    assert pokeapi.requests <= len(fetched.attempts) <= 250
    assert fetched.total_ms < 12_000
    assert {(failure.reason, failure.status) for failure in failures} == {("bad_status", 503)}
