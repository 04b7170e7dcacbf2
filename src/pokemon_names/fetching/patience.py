"""How long it is worth waiting for numbers that are not settled."""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any

from pokemon_names.fetching.download import Download
from pokemon_names.fetching.retry import SILENCE_TIMEOUT
from pokemon_names.fetching.window import Window

PROMISE_TIMEOUT = 2.0  # seconds for a response at the time that Retry-After gave
GLANCE = 0.5  # seconds from one look at what is left to the next
LONG_GLANCE = 2.0  # seconds that only a frozen environment takes
CANCEL_AGAIN = 0.05  # seconds: pyreqwest loses a cancellation that comes just as a response does
STRAGGLERS_SHARE = 10  # of so many numbers, one may be a straggler


class Patience:
    """The end of a fetch, as things stand. Times are in seconds of `time.monotonic`.

    The deadline ends it. So does silence: no response for SILENCE_TIMEOUT. The last tenth of the
    numbers are stragglers, once all of them were sent: they are given up after `straggler_timeout`
    seconds in which none of them is settled.
    """

    def __init__(
        self,
        downloads: Sequence[Download],
        window: Window,
        deadline: float,
        straggler_timeout: float = math.inf,
    ) -> None:
        now = monotonic()
        self.deadline = deadline
        self._downloads = downloads
        self._window = window
        self._straggler_timeout = straggler_timeout
        self._settled_at = now
        self._looked_at = now
        self._woke_at = now
        self._promised_at = 0.0

    async def wait(self, running: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it is done or not worth waiting for; raise what it raises."""
        task = asyncio.create_task(running)
        while not task.done():
            seconds = self.seconds_left()
            if seconds <= 0:
                break
            await asyncio.wait([task], timeout=min(seconds, GLANCE))
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN)
        if not task.cancelled():
            task.result()

    def seconds_left(self) -> float:
        """Return how long it is worth waiting, as things stand."""
        woke_at = self._note_freeze()
        if self._has_only_stragglers():
            last_at = max(self._settled_at, woke_at)
            ends_at = last_at + self._straggler_timeout
        else:
            last_at = max(self._window.answered_at, woke_at)
            ends_at = max(last_at + SILENCE_TIMEOUT, self._promised_at + PROMISE_TIMEOUT)
        return min(self.deadline, ends_at) - monotonic()

    def settled(self) -> None:
        """Note that a number is settled."""
        self._settled_at = monotonic()

    def promised(self, at: float) -> None:
        """Note the time of a Retry-After. Only a response makes room for a later promise."""
        if self._promised_at <= self._window.answered_at:
            self._promised_at = at

    def _has_only_stragglers(self) -> bool:
        left = [download for download in self._downloads if not download.settled]
        max_stragglers = max(1, len(self._downloads) // STRAGGLERS_SHARE)
        if len(left) > max_stragglers or len(left) == len(self._downloads):
            return False
        return all(download.attempts for download in left)

    def _note_freeze(self) -> float:
        """Return when silence may begin: at the fetch's start, or at the end of the last freeze."""
        now = monotonic()
        if now - self._looked_at > LONG_GLANCE:
            self._woke_at = now
        self._looked_at = now
        return self._woke_at
