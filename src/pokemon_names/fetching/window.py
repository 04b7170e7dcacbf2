"""The limit on requests in flight. What one request learns about PokeAPI applies to all of them.

    at first                       the window is as wide as the policy allows
    a service error                narrows it, down to a single request
    any other response             widens it, at once to at least half of its last good width
    the end of a connection        counts as one error; until a response, requests go one by one
    an error of a lone request     pauses all requests

The window stays wide as long as fewer than four in nine requests fail, and settles at the width
that a rate limiter lets through. In one round trip it narrows by half at most. A limiter lets some
requests through in every round trip, so the window never falls below half of its good width. In an
outage it falls far below, and the first response makes it wide again.

While the window is narrow, requests go in random order, because the first in the queue may be the
ones that always fail. While even lone requests fail, retries mix with first requests, because the
numbers not sent yet may be the ones that always fail. After the end of a connection, a lone request
goes ahead: its response shows that the new connection works, and how many requests the server
allows on it.

`make simulate` shows the effect under all conditions.
"""

import asyncio
from bisect import bisect_left, insort
from itertools import count
from random import SystemRandom

from pokemon_names.fetching.policy import Policy, jittered

FIRST = 0  # the rank of a number's first request
RETRY = 1  # the rank of its retries

_random = SystemRandom()

_Turn = tuple[int, int, int, int, asyncio.Future[None]]


class Window:
    """A semaphore for the requests in the running event loop, as wide as PokeAPI can handle.

    It owns the queue of requests and the count of those in flight. `answered_at` is when a request
    was last answered by anything but a service error, or when the window was made. `slowest` is how
    long the slowest such answer took. Times are in seconds of the loop's clock.
    """

    def __init__(self, policy: Policy) -> None:
        self._loop = asyncio.get_running_loop()
        self.answered_at = self._loop.time()
        self.slowest = 0.0
        self._policy = policy
        self._width = float(policy.concurrency)
        self._good = self._width
        self._narrowest = 1.0
        self._narrowed_at = 0.0
        self._is_alone = False
        self._in_flight = 0
        self._pause = policy.first_pause
        self._paused_at = 0.0
        self._paused_until = 0.0
        self._paced_until = 0.0
        self._disconnected_at = 0.0
        self._waiting: list[_Turn] = []
        self._arrivals = count()
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, rank: int, position: int, max_in_flight: int) -> None:
        """Wait until a request may be sent.

        Args:
            rank: Requests with a lower rank go first.
            position: Within a rank, requests with a lower position in their own fetch go first, so
                that no fetch has to wait until another one is done.
            max_in_flight: How many requests may be in flight, including this one.
        """
        if not (self._in_flight or self._waiting) and self._may_send():
            self._in_flight += 1
            return
        turn = self._loop.create_future()
        insort(self._waiting, (rank, position, next(self._arrivals), max_in_flight, turn))
        if not self._is_due:  # admit only after all that start together have queued up
            self._is_due = True
            self._loop.call_soon(self._admit)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Note that a request has ended, and admit the next one."""
        self._in_flight -= 1
        self._admit()

    def answered(self, sent_at: float) -> None:
        """Note that a request sent at this time was answered by anything but a service error."""
        self.answered_at = self._loop.time()
        self.slowest = max(self.slowest, self.answered_at - sent_at)
        wider = self._width + min(1.0, self._width * self._policy.wider_share)
        self._width = min(self._policy.concurrency, max(wider, self._good / 2))
        self._is_alone = False
        self._pause = self._policy.first_pause
        self._paused_until = 0.0

    def failed(self, sent_at: float) -> None:
        """Note a service error for a request sent at this time."""
        now = self._loop.time()
        if sent_at >= self._narrowed_at:  # a new round trip
            if self.answered_at >= self._narrowed_at:
                self._good = self._width
            self._narrowed_at = now
            self._narrowest = max(1.0, self._width / 2)
        self._width = max(self._narrowest, self._width - self._policy.narrower)
        # Of several requests in flight together, only the first to fail lengthens the pause.
        if self._limit == 1 and sent_at >= self._paused_at:
            self._paused_at = now
            self._paused_until = now + jittered(self._pause)
            self._pause = min(2 * self._pause, self._policy.max_pause)

    def disconnected(self, sent_at: float) -> None:
        """Note that a request's connection ended. Only the first of all requests on it counts."""
        if sent_at >= self._disconnected_at:
            self._disconnected_at = self._loop.time()
            self.failed(sent_at)
            self._is_alone = True

    @property
    def is_down(self) -> bool:
        """Whether even a lone request has failed, and none has been answered since."""
        return self._paused_until > 0

    @property
    def _limit(self) -> int:
        return 1 if self._is_alone else int(self._width)

    def _admit(self) -> None:
        self._is_due = False
        while self._waiting:
            index = self._next()
            *_, max_in_flight, turn = self._waiting[index]
            if not turn.done():
                if self._in_flight >= min(self._limit, max_in_flight) or not self._may_send():
                    return
                turn.set_result(None)
                self._in_flight += 1
            del self._waiting[index]

    def _next(self) -> int:
        """Return the index of the next request in the queue."""
        if self._limit == self._policy.concurrency and not self.is_down:
            return 0
        rank = self._waiting[0][0]
        if rank == FIRST and self.is_down:
            rank = RETRY
        return _random.randrange(bisect_left(self._waiting, (rank + 1,)))

    def _may_send(self) -> bool:
        """Whether a request may be sent now. If not, try again once it may.

        Each True counts as a request sent, for the maximum rate.
        """
        now = self._loop.time()
        until = max(self._paused_until, self._paced_until)
        if now >= until:
            self._paced_until = max(now, self._paced_until) + 1 / self._policy.requests_per_second
            return True
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(until, self._admit)
        return False
