"""Fetches in weather that lasts, nearly all with production's delays.

tools/test_simulation.py covers more kinds of weather, on a virtual clock.
"""

import msgspec
import pytest

from pokemon_names.fetching.policy import Policy
from pokemon_names.http.client import Clients
from pokemon_names.model import Fetched
from tests.conftest import QUICK, fetch_range, names_of
from tests.fetching.small import right
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.weather import Weather

# With these timeouts, no number lags or becomes a straggler, not even on a busy machine.
PRODUCTION = Policy(lag_timeout=60.0, straggler_timeout=60.0)
# No shared retries, so that hopeless numbers soon fail if there is no list.
IMPATIENT = msgspec.structs.replace(PRODUCTION, shared_retries=-1000)

fuzz = pytest.mark.fuzz
with_and_without_list = pytest.mark.parametrize("has_list", [True, False])


@pytest.fixture(autouse=True)
def small_bodies(pokeapi: PokeAPI) -> None:
    pokeapi.answers = {number: right(number) for number in range(1026)}


def failed_attempts(fetched: Fetched) -> int:
    return sum(not attempt.ok for attempt in fetched.attempts)


def remove_list(pokeapi: PokeAPI) -> None:
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)


@pytest.mark.parametrize(
    ("strategy", "condition"),
    [
        ("gather", "outage"),
        ("gather", "refuse"),
        ("sync", "outage"),
        ("sync", "refuse"),
        ("index", "refuse"),
    ],
)
@pytest.mark.parametrize(
    ("count", "seconds"), [(1, 0.3), (150, 0.3), pytest.param(1025, 5, marks=fuzz)]
)
async def test_an_outage_costs_no_name(  # noqa: PLR0913, PLR0917  the cases' values
    pokeapi: PokeAPI, url: str, strategy: str, condition: str, seconds: float, count: int
) -> None:
    pokeapi.weather = Weather({condition: seconds})
    fetched = await fetch_range(url, policy=PRODUCTION, range=f"1-{count}", strategy=strategy)
    assert len(names_of(fetched)) == count
    assert failed_attempts(fetched) <= 250


@pytest.mark.parametrize(
    ("condition", "has_list"), [("outage", True), ("refuse", True), ("refuse", False)]
)
async def test_an_outage_between_two_fetches_costs_no_name(
    pokeapi: PokeAPI, url: str, condition: str, *, has_list: bool
) -> None:
    if not has_list:
        remove_list(pokeapi)
    clients = Clients(url)
    assert len(names_of(await fetch_range(clients, policy=PRODUCTION, range="1-20"))) == 20
    pokeapi.requests = 0
    pokeapi.weather = Weather({condition: 0.3})
    assert len(names_of(await fetch_range(clients, policy=PRODUCTION, range="1-150"))) == 150


@with_and_without_list
async def test_a_rate_limit_costs_only_time(pokeapi: PokeAPI, url: str, *, has_list: bool) -> None:
    if not has_list:
        remove_list(pokeapi)
    pokeapi.weather = Weather({"limit": 100})
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-50")
    assert len(names_of(fetched)) == 50
    assert failed_attempts(fetched) > 0


@with_and_without_list
async def test_hopeless_numbers_come_from_the_list_and_without_it_only_they_fail(
    pokeapi: PokeAPI, url: str, *, has_list: bool
) -> None:
    if not has_list:
        remove_list(pokeapi)
    pokeapi.weather = Weather({"hopeless": 10, "once": 1})
    fetched = await fetch_range(url, policy=IMPATIENT, range="1-30")
    others = [result.number for result in fetched.results if result.number % 10]
    found = [result.number for result in fetched.results if hasattr(result, "name")]
    assert found == (list(range(1, 31)) if has_list else others)
    assert fetched.listed == (3 if has_list else 0)


async def test_first_requests_that_all_fail_do_not_hold_back_retries(
    pokeapi: PokeAPI, url: str
) -> None:
    remove_list(pokeapi)
    pokeapi.weather = Weather({"once": 1})
    policy = msgspec.structs.replace(QUICK, concurrency=1, silence_timeout=60.0)
    fetched = await fetch_range(url, policy=policy, range="1-50")
    assert len(names_of(fetched)) == 50
    first_name = [attempt.ok for attempt in fetched.attempts].index(True)
    assert first_name < 45  # by chance, a retry may be late, but not after all first requests


@with_and_without_list
async def test_no_retry_waits_for_a_retry_after_beyond_the_deadline(
    pokeapi: PokeAPI, url: str, *, has_list: bool
) -> None:
    if not has_list:
        remove_list(pokeapi)
    pokeapi.weather = Weather({"busy": 10})
    fetched = await fetch_range(url, policy=PRODUCTION, range="1-15")
    assert len(names_of(fetched)) == 15
    assert failed_attempts(fetched) >= 10
