"""The strategies: four programs that fetch the same names, from one request to all of them at once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic, perf_counter
from typing import Annotated, TypeVar

import httpx
import msgspec

from pokemon_names.cache import Cache
from pokemon_names.client import Clients, unzipped
from pokemon_names.outcome import Exchange, Failed, Fetched, Found, Outcome, failed
from pokemon_names.request import Request
from pokemon_names.retry import FAULTS, Retries

_ONE = "pokemon/{number}"
_EVERYTHING = "pokemon?limit=100000&offset=0"  # the list endpoint has no maximum, and 20 as its default

T = TypeVar("T")


class _Pokemon(msgspec.Struct):
    """All that is wanted of up to 665 KB of JSON: skipping the rest takes a fifth of json.loads' time."""

    name: str


class _Listed(msgspec.Struct):
    name: str
    url: Annotated[str, msgspec.Meta(pattern=r"/[0-9]+/?$")]

    @property
    def number(self) -> int:
        return int(self.url.rstrip("/").rpartition("/")[2])


class _Index(msgspec.Struct):
    results: list[_Listed]


async def fetch(request: Request, clients: Clients, cache: Cache, slots: asyncio.Semaphore, deadline: float) -> Fetched:
    """Give an outcome for every number of the request by the deadline, in seconds of `time.monotonic`.

    What the cache does not know is fetched by the request's strategy, with no more in flight than there are slots.
    """
    started = perf_counter()
    known, expired = ({}, {}) if request.fresh else await cache.load(request.numbers, deadline)
    missing = [number for number in request.numbers if number not in known]
    strategies = _Strategies(clients, slots, deadline, started)
    fetched = dict(zip(missing, await getattr(strategies, request.strategy)(missing), strict=True))
    await cache.save(fetched.values())
    stale = {number: expired[number] for number, outcome in fetched.items() if number in expired and _lost(outcome)}
    outcomes = known | fetched | stale
    return Fetched(
        [outcomes[number] for number in request.numbers],
        strategies.exchanges,
        total_ms=strategies.ms(),
        cached=len(known),
        stale=len(stale),
    )


class _Strategies:
    """The public methods are the strategies, by the names that a request has for them."""

    def __init__(self, clients: Clients, slots: asyncio.Semaphore, deadline: float, started: float) -> None:
        self.clients, self.slots, self.deadline, self.started = clients, slots, deadline, started
        self.retries = Retries(deadline)
        self.exchanges = list[Exchange]()
        # By number, and None for the list of all.
        self.ready = dict[int | None, float]()
        self.attempts = Counter[int | None]()
        self.faults = dict[int | None, Exception]()

    def ms(self, now: float | None = None) -> float:
        """Give the milliseconds since the fetch began."""
        return ((perf_counter() if now is None else now) - self.started) * 1000

    async def gather(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        return await asyncio.gather(*map(self._one, numbers))

    async def sequential(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        return [await self._one(number) for number in numbers]

    async def sync(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        async with self.slots:
            return await asyncio.to_thread(lambda: [self._one_blocking(number) for number in numbers])

    async def index(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        try:
            listed = (await self._get(None, _Index)).results if numbers else []
        except (*FAULTS, TimeoutError) as fault:
            return [self._failed(number, fault, asked=None) for number in numbers]
        names = {entry.number: entry.name for entry in listed}
        return [Found(n, names[n]) if n in names else _unlisted(n) for n in numbers]

    async def _one(self, number: int) -> Outcome:
        try:
            return Found(number, (await self._get(number, _Pokemon)).name)
        except (*FAULTS, TimeoutError) as fault:
            return self._failed(number, fault, asked=number)

    def _one_blocking(self, number: int) -> Outcome:
        try:
            return Found(number, self._get_blocking(number, _Pokemon).name)
        except (*FAULTS, TimeoutError) as fault:
            return self._failed(number, fault, asked=number)

    async def _get(self, number: int | None, kind: type[T]) -> T:
        self.ready[number] = self.ms()
        async with asyncio.timeout_at(self.deadline), self.slots:
            return await self.retries.call(partial(self._exchange, number, kind))

    def _get_blocking(self, number: int, kind: type[T]) -> T:
        self.ready[number] = self.ms()
        return self.retries.call_blocking(partial(self._exchange_blocking, number, kind))

    async def _exchange(self, number: int | None, kind: type[T]) -> T:
        with self._watched(number) as read:
            return read(await self.clients.get(_path(number)), kind)

    def _exchange_blocking(self, number: int, kind: type[T]) -> T:
        with self._watched(number) as read:
            return read(self.clients.get_blocking(_path(number), self.deadline - monotonic()), kind)

    @contextmanager
    def _watched(self, number: int | None) -> Iterator[Callable[[httpx.Response, type[T]], T]]:
        """Keep account of one exchange; gives what reads its response, and raises TimeoutError past the deadline."""
        if monotonic() >= self.deadline:
            raise TimeoutError
        self.attempts[number] += 1
        start_ms, first_byte_ms, size, ok = self.ms(), None, 0, False

        def read(response: httpx.Response, kind: type[T]) -> T:
            nonlocal first_byte_ms, size, ok
            first_byte_ms = self.ms(response.extensions["begun"])
            body = unzipped(response)
            size = len(body)
            response.raise_for_status()
            decoded = msgspec.json.decode(body, type=kind)
            ok = True
            return decoded

        try:
            yield read
        except FAULTS as fault:
            if isinstance(fault, httpx.TimeoutException) and monotonic() >= self.deadline:
                raise TimeoutError from None
            self.faults[number] = fault
            raise
        finally:
            times = self.ready[number], start_ms, first_byte_ms, self.ms()
            self.exchanges.append(Exchange(number, self.attempts[number], ok, *times, size))
            self.ready[number] = times[-1]

    def _failed(self, number: int, fault: Exception, asked: int | None) -> Failed:
        return failed(number, fault, self.attempts[asked], before=self.faults.get(asked))


def _path(number: int | None) -> str:
    return _EVERYTHING if number is None else _ONE.format(number=number)


def _lost(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.lost


def _unlisted(number: int) -> Failed:
    return Failed(number, "not_found", status=None, attempts=1, detail="not in the list of all Pokémon")
