"""When a request is sent again: what is worth it, how long to wait, and how often at most.

again after   no connection, a timeout, a broken or unreadable body, 429, 500, 502, 503, 504
never after   any other status, a body too large
waits         0.1 s, doubling to 2 s, with jitter; or what Retry-After says
attempts      10 for one number, and none that could not begin before the deadline
budget        100 retries for all numbers together, and one more for each body that comes

The budget is what a dead PokeAPI gets beyond the range itself. It is as large as the requests in flight at once, so
that a pause for all of them (429) costs no name.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from types import ModuleType
from typing import TypeVar

import httpx
import msgspec

from pokemon_names.client import BodyTooLargeError

STATUSES = frozenset({429, 500, 502, 503, 504})
LONGEST_WAIT = 2.0
POLICY = {"attempts": 10, "timeout": None, "wait_initial": 0.1, "wait_max": LONGEST_WAIT, "wait_jitter": 0.1}
BUDGET = 100
FAULTS = (httpx.HTTPError, msgspec.DecodeError)

T = TypeVar("T")


class Retries:
    """The retries of one request for names. The deadline is in seconds of `time.monotonic`."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._budget = BUDGET

    async def call(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send once, and again as the policy has it; raises the last fault."""
        try:
            result = await send()
        except FAULTS as fault:
            if not _passing(fault):
                raise
            result = await _stamina().AsyncRetryingCaller(**POLICY).on(self._wait)(_after(fault, send))
        self._budget += 1
        return result

    def call_blocking(self, send: Callable[[], T]) -> T:
        """Do the same, blocking."""
        try:
            result = send()
        except FAULTS as fault:
            if not _passing(fault):
                raise
            result = _stamina().RetryingCaller(**POLICY).on(self._wait)(_after(fault, send))
        self._budget += 1
        return result

    def _wait(self, fault: Exception) -> bool | float:
        """Give the seconds to wait, True for the policy's own, or False where it is not worth it."""
        seconds = _retry_after(fault)
        latest = monotonic() + (LONGEST_WAIT if seconds is None else seconds)
        if not _passing(fault) or latest > self._deadline or self._budget < 1:
            return False
        self._budget -= 1
        return True if seconds is None else seconds


def _passing(fault: Exception) -> bool:
    if isinstance(fault, httpx.HTTPStatusError):
        return fault.response.status_code in STATUSES
    return isinstance(fault, FAULTS) and not isinstance(fault, BodyTooLargeError)


def _retry_after(fault: Exception) -> float | None:
    """Read the header, which gives seconds or a date (RFC 9110, 10.2.3)."""
    value = fault.response.headers.get("Retry-After", "") if isinstance(fault, httpx.HTTPStatusError) else ""
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _after(fault: Exception, send: Callable[[], T]) -> Callable[[], T]:
    """Let the attempt that has failed already be stamina's first: its loop takes 70 µs, and most need no second."""
    faults = [fault]

    def attempt() -> T:
        if faults:
            raise faults.pop()
        return send()

    return attempt


def _stamina() -> ModuleType:
    """Import it now: the 20 ms are for those who need it."""
    import stamina  # noqa: PLC0415
    from stamina import instrumentation  # noqa: PLC0415

    instrumentation.set_on_retry_hooks([])  # no log line for each: the report counts them
    random.seed()  # environments restored from one snapshot would all wait alike
    return stamina
