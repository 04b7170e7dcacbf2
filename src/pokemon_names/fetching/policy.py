"""The rules of a fetch, as data: every limit and delay, and what each kind of error means.

A number is requested until its name has arrived, or until another request is not worth sending:

1. Each number has two retries of its own. Its attempts alternate between two spellings of its path.
2. After these, or at once after a timeout or a final error, the list of all Pokémon decides. It is
   fetched once. Its names are as good as any, and a number that is not in it does not exist. Once
   it has arrived, other numbers are looked up after their first failure. If even a lone request
   fails, the list settles every number that is left.
3. While the list is late, or if it cannot be fetched, the numbers share further retries: 90, plus
   one for each name received.

http/errors.py gives each error its kind, and window.py limits the requests in flight.
"""

import math
from random import SystemRandom
from typing import Literal

import msgspec

from pokemon_names.http.errors import Kind

# Not `random.uniform`: environments restored from one snapshot share its state, so they would all
# wait equally long.
_uniform = SystemRandom().uniform

_MAX_DOUBLINGS = 10


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one fetch. Times are in seconds."""

    concurrency: int = 100
    """The maximum number of requests in flight."""
    requests_per_second: float = math.inf
    """The maximum rate at which requests are sent."""

    own_retries: int = 2
    """The retries that each number has to itself."""
    shared_retries: int = 90
    """The further retries that all numbers share. Each name received adds one."""
    max_unreadable: int = 3
    """How many unreadable bodies a number may have before it is looked up in the list."""
    max_list_attempts: int = 6
    """How many attempts at the list may fail before it is unavailable; in an outage, any number."""
    first_delay: float = 0.1
    """The delay before a number's first retry. It doubles; up to half is cut off at random."""
    max_delay: float = 1.0
    """The longest delay before a retry, unless Retry-After asks for more."""

    silence_timeout: float = 11.0
    """How long PokeAPI may send nothing, or only service errors: enough for two outages of 5 s."""
    straggler_timeout: float = 5.0
    """How long the last few numbers, the stragglers, may go without a result for any of them."""
    straggler_share: float = 0.1
    """The share of all numbers that count as stragglers once only they are left."""
    promise_timeout: float = 2.0
    """How long a response may take after the time that Retry-After promised."""
    unreadable_timeout: float = 3.0
    """How long unreadable bodies count as the service's fault, while no body at all can be read."""
    lag_timeout: float = 0.75
    """How long any request may take before its number is looked up in the list."""
    lag_factor: float = 4.0
    """However, it may always take this many times as long as the slowest response so far."""

    first_pause: float = 0.05
    """The pause after the failure of a lone request. It doubles until a request is answered."""
    max_pause: float = 1.0
    """The longest such pause. Up to half of every pause is cut off at random."""
    narrower: float = 1.25
    """By how many requests an error narrows the window. One round trip halves it at most."""
    wider_share: float = 0.15
    """The share of its width by which a response widens the window, but at most one request."""

    def delay(self, retry: int) -> float:
        """Return how long to wait before a retry. The first retry is number 1."""
        doublings = min(retry - 1, _MAX_DOUBLINGS)
        return jittered(min(self.first_delay * 2**doublings, self.max_delay))


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What an error means: for the window, for its own number, and for all numbers."""

    window: Literal["narrows", "widens", "reconnects"]
    retry: Literal["later", "at once", "in smaller company", "never"]
    is_free: bool = False
    """Whether the retry takes no shared retry, even if the number has none of its own left."""
    ends_all: bool = False
    """Whether it ends the whole fetch, because all other numbers would fail as well."""


MEANINGS: dict[Kind | Literal["silence"], Meaning] = {
    "service": Meaning(window="narrows", retry="later"),
    # a timeout, if no request has been answered since this one was sent
    "silence": Meaning(window="reconnects", retry="later"),
    "refused": Meaning(window="narrows", retry="later", is_free=True),
    "unprocessed": Meaning(window="reconnects", retry="at once", is_free=True),
    "disconnected": Meaning(window="reconnects", retry="in smaller company", is_free=True),
    "unreadable": Meaning(window="widens", retry="later"),
    "final": Meaning(window="widens", retry="never"),
    "fatal": Meaning(window="narrows", retry="never", ends_all=True),
}


def jittered(seconds: float) -> float:
    """Return a random time between half of `seconds` and all of it."""
    return _uniform(0.5, 1) * seconds
