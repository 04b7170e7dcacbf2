"""How many requests may be in flight: what one learns of PokeAPI holds for all numbers.

    while all is well         as many as the window's size
    a service error           narrows it by 5/4, down to one request
    any other response        widens it by 1, or by a third of its width where that is less
    a connection that ends    an error, whatever was on it; until a response, requests go alone
    an error of a lone one    a pause of 0.05 s for all, doubling to 1 s until a response

The window stays wide while fewer than four of nine requests fail, settles at what a limiter lets
through, and is wide again ten round trips after an outage. The pauses are cut by up to half at
random. With the response to a request that goes alone, the new connection has shown that it is
alive, and how many requests at once the server allows on it.
"""

import asyncio
from heapq import heappop, heappush
from itertools import count
from time import monotonic

from pokemon_names.fetching.retry import jittered

FIRST_PAUSE = 0.05
MAX_PAUSE = 1.0
NARROWER = 1.25
WIDER = 1.0
WIDER_SHARE = 1 / 3


class Window:
    """A semaphore for the requests of one event loop, whose value follows PokeAPI.

    `answered_at` is when PokeAPI last sent a response that is no service error, in seconds of
    `time.monotonic`.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.answered_at = monotonic()
        self._width = float(size)
        self._is_alone = False
        self._in_flight = 0
        self._pause = FIRST_PAUSE
        self._paused_at = 0.0
        self._paused_until = 0.0
        self._disconnected_at = 0.0
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._arrivals = count()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, rank: int, max_in_flight: int) -> None:
        """Wait until a request may be sent.

        Args:
            rank: Requests of a lower rank go first.
            max_in_flight: The request is sent as one of at most so many.
        """
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (rank, next(self._arrivals), max_in_flight, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Let the next request in."""
        self._in_flight -= 1
        self._admit()

    def answered(self) -> None:
        """Note a response that is no service error."""
        self.answered_at = monotonic()
        wider = min(WIDER, self._width * WIDER_SHARE)
        self._width = min(self.size, self._width + wider)
        self._is_alone = False
        self._pause = FIRST_PAUSE
        self._paused_until = 0.0

    def failed(self, sent_at: float) -> None:
        """Note a service error for a request, sent at this time of `time.monotonic`."""
        self._width = max(1.0, self._width - NARROWER)
        # Of all requests that were in flight together, only the first lengthens the pause.
        if self._limit == 1 and sent_at >= self._paused_at:
            self._paused_at = monotonic()
            self._paused_until = self._paused_at + jittered(self._pause)
            self._pause = min(2 * self._pause, MAX_PAUSE)

    def disconnected(self, sent_at: float) -> None:
        """Note the end of a request's connection; of all that were on it, only the first counts."""
        if sent_at >= self._disconnected_at:
            self._disconnected_at = monotonic()
            self.failed(sent_at)
            self._is_alone = True

    @property
    def _limit(self) -> int:
        if self._is_alone:
            return 1
        return int(self._width)

    def _admit(self) -> None:
        while self._waiting:
            *_, max_in_flight, turn = self._waiting[0]
            if not turn.done():
                if self._in_flight >= min(self._limit, max_in_flight):
                    return
                pause = self._paused_until - monotonic()
                if pause > 0:
                    self._admit_in(pause)
                    return
                turn.set_result(None)
                self._in_flight += 1
            heappop(self._waiting)

    def _admit_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._admit)
