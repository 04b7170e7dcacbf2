"""The strategies: four programs that fetch the same names, from one request to all of them at once.

A number that could not be fetched is a value, `Failed` with its reason, so that it never costs the others their names.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Literal

import httpx
import msgspec

from pokemon_names.client import Clients, cause, unzipped
from pokemon_names.request import Request

Reason = Literal["not_found", "bad_status", "bad_body", "timeout", "unreachable"]

_EVERYTHING = "pokemon?limit=100000&offset=0"  # the list endpoint has no maximum, and 20 as its default
_MAX_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A number with its name."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A number without its name. The status is PokeAPI's, None where it answered none for this number."""

    number: int
    reason: Reason
    status: int | None
    attempts: int
    detail: str


Outcome = Found | Failed


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request: milliseconds from sending it to the body's end, and the body's bytes once unzipped."""

    ms: float
    size: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """An outcome for every number, in the order asked for, and every HTTP request that it took."""

    outcomes: Sequence[Outcome]
    exchanges: Sequence[Exchange]
    total_ms: float


class _Pokemon(msgspec.Struct):
    """All that is wanted of up to 665 KB of JSON: skipping the rest takes a fifth of json.loads' time."""

    name: str


class _Listed(msgspec.Struct):
    name: str
    url: str

    @property
    def number(self) -> int:
        return int(self.url.rstrip("/").rpartition("/")[2])


class _Index(msgspec.Struct):
    results: list[_Listed]


async def fetch(request: Request, clients: Clients, slots: asyncio.Semaphore) -> Fetched:
    """Fetch every number of the request by its strategy, with no more in flight than there are slots."""
    started = perf_counter()
    strategies = _Strategies(clients, slots)
    outcomes = await getattr(strategies, request.strategy)(request.numbers)
    return Fetched(outcomes, strategies.exchanges, _ms_since(started))


@dataclass(slots=True)
class _Strategies:
    """The public methods are the strategies, by the names that a request has for them."""

    clients: Clients
    slots: asyncio.Semaphore
    exchanges: list[Exchange] = field(default_factory=list)

    async def gather(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        return await asyncio.gather(*map(self._one, numbers))

    async def sequential(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        return [await self._one(number) for number in numbers]

    async def sync(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        return await asyncio.to_thread(lambda: [self._one_blocking(number) for number in numbers])

    async def index(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        try:
            listed = msgspec.json.decode(await self._get(_EVERYTHING), type=_Index).results
            names = {entry.number: entry.name for entry in listed}
        except (httpx.HTTPError, ValueError) as fault:
            return [_failed(number, fault) for number in numbers]
        return [Found(n, names[n]) if n in names else _unlisted(n) for n in numbers]

    async def _one(self, number: int) -> Outcome:
        try:
            return _found(number, await self._get(f"pokemon/{number}"))
        except (httpx.HTTPError, msgspec.DecodeError) as fault:
            return _failed(number, fault)

    def _one_blocking(self, number: int) -> Outcome:
        try:
            return _found(number, self._get_blocking(f"pokemon/{number}"))
        except (httpx.HTTPError, msgspec.DecodeError) as fault:
            return _failed(number, fault)

    async def _get(self, path: str) -> bytes:
        async with self.slots:
            started, body = perf_counter(), b""
            try:
                response = await self.clients.asynchronous.get(self.clients.url(path))
                body = unzipped(response)
                response.raise_for_status()
                return body
            finally:
                self.exchanges.append(Exchange(_ms_since(started), len(body)))

    def _get_blocking(self, path: str) -> bytes:
        started, body = perf_counter(), b""
        try:
            response = self.clients.blocking.get(self.clients.url(path))
            body = unzipped(response)
            response.raise_for_status()
            return body
        finally:
            self.exchanges.append(Exchange(_ms_since(started), len(body)))


def _found(number: int, body: bytes) -> Found:
    return Found(number, msgspec.json.decode(body, type=_Pokemon).name)


def _unlisted(number: int) -> Failed:
    return Failed(number, "not_found", status=None, attempts=1, detail="not in the list of all Pokémon")


def _failed(number: int, fault: Exception) -> Failed:
    status, detail = None, cause(fault)
    reason: Reason
    match fault:
        case httpx.HTTPStatusError(response=response):
            status = response.status_code
            detail = unzipped(response).decode(errors="replace").strip() or response.reason_phrase
            reason = "not_found" if status == HTTPStatus.NOT_FOUND else "bad_status"
        case httpx.TimeoutException():
            reason = "timeout"
        case httpx.DecodingError() | ValueError():
            reason = "bad_body"
        case _:
            reason = "unreachable"
    return Failed(number, reason, status, attempts=1, detail=detail[:_MAX_DETAIL])


def _ms_since(started: float) -> float:
    return (perf_counter() - started) * 1000
