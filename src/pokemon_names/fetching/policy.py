"""Every limit and delay, and what each kind of error means.

A number is requested until it has its name, or until nothing speaks for another request:

1. Each number has two retries of its own, each by the other spelling of its path.
2. Then the list of all decides, which is requested once per fetch: its names are as good, and what
   it lacks does not exist. Once it has come, one failure of a number is enough; and if even a lone
   request fails, it settles all that is left.
3. While the list is late, and if it cannot be fetched, the numbers share further retries: 90, and
   one more for each name.

http/errors.py gives each error its kind. window.py limits the requests in flight.
"""

import math
from random import SystemRandom
from typing import Literal

import msgspec

from pokemon_names.http.errors import Kind

# Not `random`'s own state: environments restored from one snapshot would all wait alike.
_uniform = SystemRandom().uniform

_MAX_DOUBLINGS = 10


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one fetch. Times are in seconds."""

    concurrency: int = 100
    """Requests in flight at most."""
    requests_per_second: float = math.inf
    """Requests sent at most."""

    own_retries: int = 2
    """Retries that a number has for itself."""
    shared_retries: int = 90
    """Retries that all numbers share; each name adds one."""
    max_unreadable: int = 3
    """Unreadable bodies of a number before it is looked up in the list."""
    max_list_attempts: int = 6
    """Attempts for the list before a final or unreadable answer means that there is none."""
    first_delay: float = 0.1
    """Before a number's first retry; doubles, and is cut by up to half at random."""
    max_delay: float = 1.0
    """Before any retry, unless Retry-After says more."""

    silence_timeout: float = 11.0
    """Without any response, until all numbers are given up: an outage of 5 s fits in twice."""
    straggler_timeout: float = 5.0
    """Without a result for any of the last numbers, if somebody waits for the reply."""
    straggler_share: float = 0.1
    """The share of the numbers that may be stragglers."""
    promise_timeout: float = 2.0
    """For a response, after the time that Retry-After gave."""
    unreadable_timeout: float = 3.0
    """While no body at all can be read, until unreadable bodies are each number's own fault."""
    lag_timeout: float = 0.75
    """For a response, if others have come `lag_factor` times as fast."""
    lag_factor: float = 4.0
    """How many times the slowest response so far a request may take."""

    first_pause: float = 0.05
    """After an error of a request that was alone in flight; doubles until a response."""
    max_pause: float = 1.0
    """The longest such pause. Pauses are cut by up to half at random, too."""
    narrower: float = 1.25
    """By how many requests an error narrows the window, at most by half in one round trip."""
    wider_share: float = 0.15
    """By which share of its width a response widens it, at most by one request."""

    def delay(self, retry: int) -> float:
        """Return how long to wait before a retry; the first one has the number 1."""
        doublings = min(retry - 1, _MAX_DOUBLINGS)
        return jittered(min(self.first_delay * 2**doublings, self.max_delay))


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What an error means: to the window, to its number, and to all numbers."""

    window: Literal["narrows", "widens", "reconnects"]
    retry: Literal["later", "at once", "in smaller company", "never"]
    is_free: bool = False
    """Whether the retry is none of the number's own, and none of the shared ones."""
    ends_all: bool = False


MEANINGS: dict[Kind | Literal["silence"], Meaning] = {
    "service": Meaning(window="narrows", retry="later"),
    # a timeout while nobody else is answered either
    "silence": Meaning(window="reconnects", retry="later"),
    "refused": Meaning(window="narrows", retry="later", is_free=True),
    "unprocessed": Meaning(window="reconnects", retry="at once", is_free=True),
    "disconnected": Meaning(window="reconnects", retry="in smaller company", is_free=True),
    "unreadable": Meaning(window="widens", retry="later"),
    "final": Meaning(window="widens", retry="never"),
    "fatal": Meaning(window="narrows", retry="never", ends_all=True),
}


def jittered(seconds: float) -> float:
    """Return between half of the seconds and all of them, at random."""
    return _uniform(0.5, 1) * seconds
