"""What is tried again after a fault, when, how often at most, and when PokeAPI is given up.

    fault        tried again
    service      while there are retries and time
    connection   at once, with half as many others on the new one; where there were none, as service
    unprocessed  at once
    refused      while there is time
    unreadable   three times in all
    final        never
    hopeless     never, nor is any other number

    what         how much
    waits        0.1 s, doubling to 1 s, cut by up to half at random; or Retry-After, where there is time for it
    retries      two for each number; then one of 100 for all numbers, and one more for each name that comes
    given up     after 11 s without any answer; the last tenth of the numbers, where somebody waits for the reply,
                 after 5 s in which none of them comes or fails for good

window.py has how many are in flight meanwhile, and fault.py which fault is of which kind.
"""

from time import monotonic

from pokemon_names.fault import Fault
from pokemon_names.window import jittered

FIRST_WAIT = 0.1
MAX_WAIT = 1.0
MAX_UNREADABLE = 3
OWN_RETRIES = 2
SHARED_RETRIES = 100
SILENCE_TIMEOUT = 11.0  # an outage of 5 s fits in twice
STRAGGLER_TIMEOUT = 5.0


class Retries:
    """The retries of one request for names. The deadline is in seconds of `time.monotonic`."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._shared = SHARED_RETRIES

    def earn(self) -> None:
        """Add a retry, for a name that came."""
        self._shared += 1

    def wait(self, fault: Fault, attempts: int, unreadable: int) -> float | None:
        """Return the seconds to wait after so many attempts of a number, or None where it is not tried again."""
        if fault.kind in {"final", "hopeless"} or unreadable >= MAX_UNREADABLE:
            return None
        if fault.kind in {"connection", "unprocessed"}:
            return 0.0
        if fault.kind != "refused" and not self._spend(attempts):
            return None
        return self._seconds(fault, attempts)

    def _seconds(self, fault: Fault, attempts: int) -> float:
        if fault.retry_after is None:
            doublings = min(attempts - 1, 10)
            return jittered(min(FIRST_WAIT * 2**doublings, MAX_WAIT))
        if monotonic() + fault.retry_after > self._deadline:
            return jittered(MAX_WAIT)  # it may not be meant: a retry now and then finds out
        return fault.retry_after

    def _spend(self, attempts: int) -> bool:
        if attempts <= OWN_RETRIES:
            return True
        if self._shared < 1:
            return False
        self._shared -= 1
        return True
