"""A fetch from a simulated PokeAPI on a virtual clock, which takes no time and is reproducible."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from unittest.mock import patch

from pokemon_names.fetching import policy as policies
from pokemon_names.fetching import window
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import fetch
from pokemon_names.fetching.window import Window
from pokemon_names.http.errors import GetError
from pokemon_names.model import Fetched
from tests.conftest import make_request
from tests.tools.simulation import Arrival, SimulatedClients, run, silent

BUSY = GetError(kind="service", reason="bad_status", detail="Service Unavailable", status=503)
MISSING = GetError(kind="final", reason="not_found", detail="Not Found", status=404)
GARBLED = GetError(kind="unreadable", reason="bad_body", detail="Input data was truncated")
LATER = GetError(
    kind="service", reason="bad_status", detail="Too Many Requests", status=429, retry_after=2.0
)
# Not an error: it tells the simulated clients not to answer at all.
SILENCE = silent(1)(Arrival(0.0, 1, ""), Random(0))  # noqa: S311


def is_list(arrival: Arrival) -> bool:
    return arrival.number is None


def first_for(numbers: Sequence[int], error: GetError) -> Callable[[Arrival], GetError | None]:
    """Return an answer that fails only the first request for each of these numbers."""
    left = set(numbers)

    def answer(arrival: Arrival) -> GetError | None:
        if arrival.number not in left:
            return None
        left.remove(arrival.number)
        return error

    return answer


def fetch_virtually(
    answer: Callable[[Arrival], GetError | None],
    *,
    policy: Policy = Policy(),  # noqa: B008  it is frozen
    seconds: float = 28.0,
    cache: Cache | None = None,
    **fields: Any,
) -> Fetched:
    """Fetch the numbers of a request with these fields.

    `answer` returns the error for a request that arrives. If it returns None, the request gets the
    name `name-NUMBER`, or the list.
    """
    random = Random(1)  # noqa: S311
    clients = SimulatedClients(lambda arrival, _: answer(arrival), 0.03, random)

    async def fetching() -> Fetched:
        request = make_request(**fields)
        return await fetch(request, clients, cache or Cache(0), Window(policy), seconds, policy)

    with (
        patch.object(policies, "_uniform", random.uniform),
        patch.object(window, "_random", random),
    ):
        return run(fetching())
