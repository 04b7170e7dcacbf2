"""Names known already: in this environment's memory, and behind it in a table that all environments may share.

A name stays fresh for the cache's seconds, and that a number does not exist for a seventh of them. What has expired is
kept for when PokeAPI fails. A table that fails, is slow or holds rubbish is passed over.

Writes cost more than all else, so an entry that was made within the last seventh is left as it is, and that a number
does not exist stays in memory: there is no end of such numbers.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from time import monotonic, time
from typing import TYPE_CHECKING

import msgspec

from pokemon_names.outcome import Failed, Found, Outcome

if TYPE_CHECKING:
    from pokemon_names.table import Table

MOST_IN_MEMORY = 4096
TABLE_SECONDS = 1.0  # for a table, at every look and however large the range
PAUSE_SECONDS = 30.0  # for a table that did not answer in TABLE_SECONDS


class Known(msgspec.Struct, frozen=True):
    """A number's name, None where no Pokémon has the number; fresh until then, in seconds of `time.time`."""

    name: str | None
    fresh_until: float


class TableError(Exception):
    """Some of the items could not be read or written; all others were."""


class Cache:
    """What cannot be read or written is handed to `passed_over`, and never raised."""

    def __init__(
        self,
        seconds: float,
        table: "Table | None" = None,
        passed_over: Callable[[Exception], None] = lambda _: None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._seconds, self._table, self._passed_over, self._clock = seconds, table, passed_over, clock
        self._memory: dict[int, Known] = {}
        self._paused_until = 0.0

    async def load(self, numbers: Sequence[int], deadline: float) -> tuple[dict[int, Outcome], dict[int, Found]]:
        """Give what is known of the numbers, and the names whose time has expired."""
        now = self._clock()
        unknown = [n for n in numbers if n not in self._memory or self._memory[n].fresh_until <= now]
        if (table := self._table) and unknown:
            read: dict[int, Known] = {}
            await self._consult(table, lambda: read.update(table.load(unknown)), deadline - monotonic())
            self._remember(dict(read))
        entries = {number: self._memory[number] for number in numbers if number in self._memory}
        known = {number: _outcome(number, entry) for number, entry in entries.items() if entry.fresh_until > now}
        expired = {n: Found(n, entry.name) for n, entry in entries.items() if entry.name and n not in known}
        return known, expired

    async def save(self, outcomes: Collection[Outcome]) -> None:
        """Remember names, and numbers that do not exist."""
        now = self._clock()
        named = {o.number: Known(o.name, now + self._seconds) for o in outcomes if isinstance(o, Found)}
        named = {number: entry for number, entry in named.items() if self._is_news(number, entry)}
        missing = {o.number: Known(None, now + self._seconds / 7) for o in outcomes if _is_missing(o)}
        self._remember(named | missing)
        if (table := self._table) and named:
            await self._consult(table, lambda: table.save(named), TABLE_SECONDS)

    def _is_news(self, number: int, entry: Known) -> bool:
        before = self._memory.get(number)
        return not before or before.name != entry.name or before.fresh_until < entry.fresh_until - self._seconds / 7

    def _remember(self, entries: Mapping[int, Known]) -> None:
        for number, entry in entries.items():
            self._memory.pop(number, None)
            self._memory[number] = entry
        for number in list(self._memory)[:-MOST_IN_MEMORY]:
            del self._memory[number]

    async def _consult(self, table: "Table", call: Callable[[], None], seconds: float) -> None:
        if seconds <= 0 or monotonic() < self._paused_until:
            return
        try:
            running = asyncio.get_running_loop().run_in_executor(table.thread, call)
            await asyncio.wait_for(running, min(seconds, TABLE_SECONDS))
        except Exception as error:  # noqa: BLE001  whatever it is, the names can still be fetched
            hurried = isinstance(error, TimeoutError) and seconds < TABLE_SECONDS
            if not hurried and not isinstance(error, TableError):
                self._paused_until = monotonic() + PAUSE_SECONDS
            self._passed_over(error)


def _is_missing(outcome: Outcome) -> bool:
    """Whether PokeAPI itself said so: a list may lack a number for other reasons."""
    return isinstance(outcome, Failed) and outcome.status == HTTPStatus.NOT_FOUND


def _outcome(number: int, entry: Known) -> Outcome:
    if entry.name:
        return Found(number, entry.name)
    return Failed(number, "not_found", HTTPStatus.NOT_FOUND, attempts=0, detail="known not to exist")
