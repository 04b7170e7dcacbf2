"""Known names, in this environment's memory and optionally in a table that all environments share.

A name stays fresh for a fixed time. An expired name is kept in case PokeAPI fails. A table that
fails, is slow or holds malformed items never makes a fetch fail. Writes cost the most, so an
unchanged name is written again only after a seventh of its time.

Numbers that do not exist are remembered separately, and only in memory, because there is no limit
to them. A number that is not in the list of all Pokémon is remembered for a seventh of a name's
time. If only a 404 says that it does not exist, it is remembered for at most five minutes, because
a 404 can be wrong.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from time import monotonic, time
from typing import Protocol, TypeVar

from pokemon_names.model import CachedName, Failure, Found, Result

MAX_IN_MEMORY = 4096
MAX_ABSENT = 4096
ABSENT_SECONDS = 300.0  # at most, if only a 404 says that a number does not exist
TABLE_TIMEOUT = 1.0  # seconds for each call of the table, regardless of the size of the range
TABLE_PAUSE = 30.0  # seconds without calls after one that failed or timed out

Names = dict[int, CachedName]
OnError = Callable[[Exception], None]

_Argument = TypeVar("_Argument")
_Answer = TypeVar("_Answer")


class Table(Protocol):
    """A table of names. Its methods block, and report items that they cannot read or write."""

    def load(self, numbers: Sequence[int], on_error: OnError) -> Names:
        """Return the names of these numbers that are in the table, fresh or expired."""

    def save(self, names: Names, on_error: OnError) -> None:
        """Write the names to the table."""


class Cache:
    """The names that outlive an invocation.

    `seconds` is how long a name stays fresh. Errors of the table are passed to `on_error` and never
    raised. `clock` returns the time in epoch seconds.
    """

    def __init__(
        self,
        seconds: float,
        table: Table | None = None,
        on_error: OnError = lambda _: None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._seconds = seconds
        self._table = table
        self._on_error = on_error
        self._clock = clock
        self._memory: dict[int, CachedName] = {}
        self._absent: dict[int, float] = {}  # until when each number is remembered
        self._paused_until = 0.0
        # Not asyncio's own pool: asyncio.run waits for its threads, so a table that hangs would
        # delay the reply.
        self._thread = ThreadPoolExecutor(1)

    async def load(
        self, numbers: Sequence[int], deadline: float
    ) -> tuple[dict[int, Result], dict[int, Result]]:
        """Return the fresh results and the expired names.

        Args:
            numbers: The numbers to look up.
            deadline: The latest time to wait for the table, in seconds of `time.monotonic`.
        """
        now = self._clock()
        if self._table:
            await self._load_from(self._table, numbers, now, deadline)
        fresh: dict[int, Result] = {}
        expired: dict[int, Result] = {}
        for number in numbers:
            cached = self._memory.get(number)
            if self._is_absent(number, now):
                fresh[number] = Failure(
                    number, "not_found", HTTPStatus.NOT_FOUND, 0, "known not to exist"
                )
            elif cached and cached.fresh_until > now:
                fresh[number] = Found(number, cached.name)
            elif cached:
                expired[number] = Found(number, cached.name)
        return fresh, expired

    async def save(self, results: Collection[Result], *, is_listed: bool) -> None:
        """Store names, and the numbers that do not exist.

        Args:
            results: The results of a fetch.
            is_listed: Whether the fetch had the list of all Pokémon.
        """
        now = self._clock()
        names: Names = {}
        for result in results:
            number = result.number
            if isinstance(result, Found):
                self._absent.pop(number, None)
                cached = CachedName(result.name, now + self._seconds)
                if self._is_news(number, cached):
                    names[number] = cached
            elif result.reason == "not_found" and is_listed:
                self._memory.pop(number, None)
                self._absent[number] = now + self._seconds / 7
            elif result.reason == "not_found" and number not in self._memory:
                self._absent[number] = now + min(self._seconds / 7, ABSENT_SECONDS)
        for number, cached in names.items():
            self._remember(number, cached)
        self._forget_oldest()
        if self._table and names:
            await self._call(self._table.save, names, TABLE_TIMEOUT)

    async def _load_from(
        self, table: Table, numbers: Sequence[int], now: float, deadline: float
    ) -> None:
        """For numbers without a fresh result in memory, copy the names from the table."""
        wanted = []
        for number in numbers:
            cached = self._memory.get(number)
            if not self._is_absent(number, now) and (not cached or cached.fresh_until <= now):
                wanted.append(number)
        if not wanted:
            return
        names = await self._call(table.load, wanted, deadline - monotonic())
        for number, cached in (names or {}).items():
            self._remember(number, cached)
        self._forget_oldest()

    def _is_absent(self, number: int, now: float) -> bool:
        return self._absent.get(number, now) > now

    def _is_news(self, number: int, cached: CachedName) -> bool:
        before = self._memory.get(number)
        if before is None or before.name != cached.name:
            return True
        return before.fresh_until < cached.fresh_until - self._seconds / 7

    def _remember(self, number: int, cached: CachedName) -> None:
        self._memory.pop(number, None)  # inserting it again makes it the newest
        self._memory[number] = cached

    def _forget_oldest(self) -> None:
        for known, limit in ((self._memory, MAX_IN_MEMORY), (self._absent, MAX_ABSENT)):
            while len(known) > limit:
                oldest = next(iter(known))
                del known[oldest]

    async def _call(
        self, method: Callable[[_Argument, OnError], _Answer], argument: _Argument, seconds: float
    ) -> _Answer | None:
        """Call a method of the table. Return None if the table is paused, is slow or fails."""
        if seconds <= 0 or monotonic() < self._paused_until:
            return None
        errors: list[Exception] = []
        loop = asyncio.get_running_loop()
        calling = loop.run_in_executor(self._thread, method, argument, errors.append)
        try:
            answer = await asyncio.wait_for(calling, min(seconds, TABLE_TIMEOUT))
        except Exception as error:  # noqa: BLE001  whatever it is, PokeAPI has the names as well
            had_little_time = isinstance(error, TimeoutError) and seconds < TABLE_TIMEOUT
            if not had_little_time:
                self._paused_until = monotonic() + TABLE_PAUSE
            self._on_error(error)
            return None
        for reported in errors:
            self._on_error(reported)
        return answer
