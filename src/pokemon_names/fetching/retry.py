"""What is retried after an error, when, how often at most, and when PokeAPI is given up.

    error         retried
    service       while there are retries and time
    disconnected  at once, with half as many others on the new connection; alone, as service
    unprocessed   at once
    refused       while there is time
    unreadable    twice
    permanent     never
    fatal         never, nor is any other number

    what          how much
    delays        0.1 s, doubling to 1 s, cut by up to half at random; or Retry-After, where there
                  is time for it
    retries       two for each number; then one of 100 for all numbers, and one more for each name
    given up      after 11 s without any response; the last tenth of the numbers, where somebody
                  waits for the reply, after 5 s in which none of them comes or fails for good

window.py has how many requests are in flight meanwhile, attempt_error.py which error is which.
"""

from random import SystemRandom
from time import monotonic

from pokemon_names.fetching.attempt_error import AttemptError

FIRST_DELAY = 0.1
MAX_DELAY = 1.0
MAX_UNREADABLE = 3
OWN_RETRIES = 2
SHARED_RETRIES = 100
SILENCE_TIMEOUT = 11.0  # an outage of 5 s fits in twice
STRAGGLER_TIMEOUT = 5.0

_MAX_DOUBLINGS = 10

# Not `random`'s own state: environments restored from one snapshot would all wait alike.
_uniform = SystemRandom().uniform


class Retries:
    """The retries of one fetch; the deadline is in seconds of `time.monotonic`."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._shared = SHARED_RETRIES

    def earn(self) -> None:
        """Add a retry, for a name that came."""
        self._shared += 1

    def delay(self, error: AttemptError, attempts: int, unreadable: int) -> float | None:
        """Return the seconds until a number's next attempt, or None where there is none.

        Args:
            error: What the last attempt brought.
            attempts: The number's attempts so far.
            unreadable: Those of them that brought a body which cannot be read.
        """
        match error.kind:
            case "permanent" | "fatal":
                return None
            case "disconnected" | "unprocessed":
                return 0.0
            case "unreadable" if unreadable >= MAX_UNREADABLE:
                return None
            case "service" | "unreadable" if not self._spend(attempts):
                return None
        return self._backoff(error, attempts)

    def _spend(self, attempts: int) -> bool:
        if attempts <= OWN_RETRIES:
            return True
        if self._shared < 1:
            return False
        self._shared -= 1
        return True

    def _backoff(self, error: AttemptError, attempts: int) -> float:
        if error.retry_after is None:
            doublings = min(attempts - 1, _MAX_DOUBLINGS)
            return jittered(min(FIRST_DELAY * 2**doublings, MAX_DELAY))
        if monotonic() + error.retry_after > self._deadline:
            return jittered(MAX_DELAY)  # it may not be meant: a retry now and then finds out
        return error.retry_after


def jittered(seconds: float) -> float:
    """Return between half of the seconds and all of them, at random."""
    return _uniform(0.5, 1) * seconds
