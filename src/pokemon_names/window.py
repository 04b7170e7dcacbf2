"""How many requests may be in flight: all numbers back off together, because what one learns of PokeAPI holds for all.

    while all is well         as many as the window's size
    a fault of the service    narrows it by 5/4, down to one request
    any other answer          widens it by 1, or by a third of its width where that is less
    a connection that ends    a fault, whatever was on it; until an answer, the next request goes alone
    a fault of a lone one     a pause of 0.05 s for all, doubling to 1 s until something is answered

It stays wide while fewer than four of nine requests fail, settles at what a limiter lets through, and is wide again ten
round trips after an outage. The pauses are cut by up to half at random. With the answer to the request that goes alone,
the new connection has shown that it is alive, and how many requests at once the server allows on it.
"""

import asyncio
from heapq import heappop, heappush
from itertools import count
from random import SystemRandom
from time import monotonic

FIRST_PAUSE = 0.05
MAX_PAUSE = 1.0
NARROWER = 1.25
WIDER = 1.0
WIDER_BY_PART = 1 / 3

# Not `random`'s own state: environments restored from one snapshot would all pause alike.
_uniform = SystemRandom().uniform


def jittered(seconds: float) -> float:
    """Return between half of the seconds and all of them, by chance."""
    return _uniform(0.5, 1) * seconds


class Window:
    """The requests in flight of one event loop, at most `size`.

    `answered_at` is when PokeAPI last gave an answer that is no fault of the service, in seconds of `time.monotonic`.
    """

    def __init__(self, size: int) -> None:
        self.answered_at = monotonic()
        self.size = size
        self._width = float(size)
        self._alone = False
        self._in_flight = 0
        self._pause = FIRST_PAUSE
        self._paused_at = 0.0
        self._paused_until = 0.0
        self._disconnected_at = 0.0
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._arrivals = count()
        self._alarm: asyncio.TimerHandle | None = None

    async def enter(self, rank: int, most: int) -> None:
        """Wait until a request may be sent: those of a lower rank go first, and it as one of at most so many."""
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (rank, next(self._arrivals), most, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Let the next one in."""
        self._in_flight -= 1
        self._admit()

    def answered(self) -> None:
        """Note that PokeAPI answered a request."""
        self.answered_at = monotonic()
        self._width = min(self.size, self._width + min(WIDER, self._width * WIDER_BY_PART))
        self._alone = False
        self._pause = FIRST_PAUSE
        self._paused_until = 0.0

    def failed(self, sent_at: float) -> None:
        """Note that PokeAPI failed a request, sent at this time of `time.monotonic`."""
        self._width = max(1.0, self._width - NARROWER)
        # Of all that were in flight together, only the first lengthens the pause.
        if self._limit == 1 and sent_at >= self._paused_at:
            self._paused_at = monotonic()
            self._paused_until = self._paused_at + jittered(self._pause)
            self._pause = min(2 * self._pause, MAX_PAUSE)

    def disconnected(self, sent_at: float) -> None:
        """Note that the connection of a request ended; of all that were on it, only the first counts."""
        if sent_at >= self._disconnected_at:
            self._disconnected_at = monotonic()
            self.failed(sent_at)
            self._alone = True

    @property
    def _limit(self) -> int:
        return 1 if self._alone else int(self._width)

    def _admit(self) -> None:
        while self._waiting:
            *_, most, turn = self._waiting[0]
            if not turn.done():
                if self._in_flight >= min(self._limit, most):
                    return
                if (seconds := self._paused_until - monotonic()) > 0:
                    self._admit_in(seconds)
                    return
                turn.set_result(None)
                self._in_flight += 1
            heappop(self._waiting)

    def _admit_in(self, seconds: float) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._admit)
