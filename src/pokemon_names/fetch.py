"""The strategies: four programs that fetch the same names, from one request to all of them at once."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic, perf_counter
from typing import Annotated

import httpx
import msgspec

from pokemon_names.cache import Cache
from pokemon_names.client import Clients, unzipped
from pokemon_names.fault import Fault, of_error, of_status
from pokemon_names.outcome import Exchange, Failed, Fetched, Found, Outcome
from pokemon_names.request import Request
from pokemon_names.retry import MAX_WAIT, OWN_RETRIES, SILENCE_TIMEOUT, Retries
from pokemon_names.window import Window

_ONE = "pokemon/{number}"
_EVERYTHING = "pokemon?limit=100000&offset=0"  # the list endpoint has no maximum, and 20 as its default

_IN_A_ROW = 3  # attempts for a number before the others' turn
_PROMISE_TIMEOUT = 2.0  # for an answer at the time that Retry-After gave
_GLANCE = 0.5  # how often to see whether it is worth waiting longer
_LONG_GLANCE = 2.0  # which only a frozen environment takes

# DynamoDB's items take 400 KB, and UTF-8 has up to four bytes for a character.
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]

_Get = Callable[[str], Awaitable[httpx.Response]]


class _Pokemon(msgspec.Struct):
    """All that is wanted of up to 665 KB of JSON: skipping the rest takes a fifth of json.loads' time."""

    name: _Name


class _Listed(msgspec.Struct):
    name: _Name
    url: Annotated[str, msgspec.Meta(pattern=r"/[0-9]{1,9}/?$")]

    @property
    def number(self) -> int:
        return int(self.url.rstrip("/").rpartition("/")[2])


class _Index(msgspec.Struct):
    """The list of all; one that is cut short says nothing of the numbers that it lacks."""

    results: Annotated[list[_Listed], msgspec.Meta(min_length=1)]
    next: None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.count not in {None, len(self.results)}:
            raise ValueError(f"the list has {len(self.results)} of {self.count} Pokémon")


class _Wanted(msgspec.Struct):
    """A number on its way to its name, or the list of all, which has none. Times are seconds of `time.monotonic`."""

    number: int | None
    path: str
    kind: type[_Pokemon | _Index]
    attempts: int = 0
    unreadable: int = 0
    disconnected: int = 0
    ready_ms: float = 0.0
    retry_at: float = 0.0
    failed_at: float = 0.0
    fault: Fault | None = None
    body: _Pokemon | _Index | None = None
    settled: bool = False


async def fetch(  # noqa: PLR0913, PLR0917
    request: Request,
    clients: Clients,
    cache: Cache,
    window: Window,
    deadline: float,
    straggler_timeout: float = math.inf,
) -> Fetched:
    """Give an outcome for every number of the request by the deadline, in seconds of `time.monotonic`.

    What the cache does not know is fetched by the request's strategy, with no more in flight than the window lets in.
    The last tenth of the numbers is given up after `straggler_timeout` seconds in which none of them comes or fails
    for good.
    """
    started = perf_counter()
    known, expired = ({}, {}) if request.fresh else await cache.load(request.numbers, deadline)
    missing = [number for number in request.numbers if number not in known]
    strategies = _Strategies(clients, window, deadline, straggler_timeout, started)
    fetched = await strategies.run(request.strategy, missing) if missing else {}
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
    """The strategies for the numbers of one request, and the account of every attempt."""

    def __init__(
        self, clients: Clients, window: Window, deadline: float, straggler_timeout: float, started: float
    ) -> None:
        self.clients = clients
        self.window = window
        self.deadline = deadline
        self.straggler_timeout = straggler_timeout
        self.started = started
        self.started_at = self.settled_at = monotonic()
        self.promised_at = 0.0
        self.looked_at = self.woke_at = self.started_at
        self.retries = Retries(deadline)
        self.at_once = 1
        self.wanted: Sequence[_Wanted] = []
        self.exchanges = list[Exchange]()
        self.service_fault: Fault | None = None

    def ms(self, now: float | None = None) -> float:
        """Give the milliseconds since the fetch began."""
        return ((perf_counter() if now is None else now) - self.started) * 1000

    async def run(self, strategy: str, numbers: Sequence[int]) -> dict[int, Outcome]:
        """Give what becomes of each number, by a strategy, until it is not worth waiting longer."""
        if strategy == "index":
            self.wanted = [_Wanted(None, _EVERYTHING, _Index)]
        else:
            self.wanted = [_Wanted(number, _ONE.format(number=number), _Pokemon) for number in numbers]
        running = asyncio.create_task(self._run(strategy))
        while not running.done() and (seconds := self._ends_at() - monotonic()) > 0:
            await asyncio.wait([running], timeout=min(seconds, _GLANCE))
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()
        if strategy == "index":
            return self._listed(self.wanted[0], numbers)
        return {one.number: self._outcome(one, one.number) for one in self.wanted if one.number is not None}

    async def _run(self, strategy: str) -> None:
        match strategy:
            case "sequential":
                await self._one_at_a_time(self.clients.get)
            case "sync":
                await self._one_at_a_time(self._get_in_thread)
            case _:
                self.at_once = min(self.window.size, len(self.wanted))
                await asyncio.gather(*map(self._one, self.wanted))

    async def _one(self, one: _Wanted) -> None:
        while not one.settled:
            await self._attempt(one, self.clients.get)

    async def _one_at_a_time(self, get: _Get) -> None:
        """Go through the numbers, and then again through those that hold up the others."""
        left = self.wanted
        while left:
            for one in left:
                for _ in range(_IN_A_ROW):
                    await self._attempt(one, get)
                    if one.settled or _is_slow(one):
                        break
            left = sorted((one for one in left if not one.settled), key=_is_slow)

    async def _get_in_thread(self, path: str) -> httpx.Response:
        try:
            return await asyncio.to_thread(self.clients.get_blocking, path, self._ends_at() - monotonic())
        except httpx.TimeoutException:
            if monotonic() < self._ends_at():
                raise
            raise asyncio.CancelledError from None  # as it is about to be, for a thread cannot be stopped otherwise

    async def _attempt(self, one: _Wanted, get: _Get) -> None:
        """Send one request when it is due, and settle the number or note when to try again."""
        if one.attempts == 0:
            one.ready_ms = self.ms()
        elif (seconds := one.retry_at - monotonic()) > 0:
            await asyncio.sleep(seconds)
        await self.window.enter(self._rank(one), self._most(one))
        try:
            if one.settled:
                return
            sent_at = monotonic()
            result = await self._exchange(one, get)
            if isinstance(result, Fault):
                self._note(one, result, sent_at)
            else:
                one.body = result
                self.window.answered()
                self.retries.earn()
                self._settle(one)
        finally:
            self.window.leave()

    def _rank(self, one: _Wanted) -> int:
        """Say who goes first: retries, then what was not sent yet, then who may be what ends the connections."""
        is_retry = 0 < one.attempts <= OWN_RETRIES
        return one.disconnected or -is_retry

    def _most(self, one: _Wanted) -> int:
        """Halve the company of a number with each connection that ended under it, to find the one that ends them."""
        return max(1, self.at_once >> one.disconnected) if one.disconnected else self.window.size

    async def _exchange(self, one: _Wanted, get: _Get) -> _Pokemon | _Index | Fault:
        one.attempts += 1
        requests = 1
        exchange = Exchange(
            number=one.number,
            attempt=one.attempts,
            ok=False,
            ready_ms=one.ready_ms,
            start_ms=self.ms(),
            first_byte_ms=None,
            end_ms=0.0,
            bytes=0,
        )
        try:
            response = await get(one.path)
            exchange.first_byte_ms = self.ms(response.extensions["begun"])
            if not response.is_success:
                exchange.bytes = len(response.content)
                return of_status(response)
            body = unzipped(response)
            exchange.bytes = len(body)
            decoded = _decoded(body, one.kind)
            exchange.ok = True
        except httpx.RequestError as error:
            fault = of_error(error)
            requests = fault.requests
            return fault
        else:
            return decoded
        finally:
            exchange.end_ms = one.ready_ms = self.ms()
            attempts = range(one.attempts, one.attempts + requests)
            self.exchanges += [msgspec.structs.replace(exchange, attempt=attempt) for attempt in attempts]
            one.attempts += requests - 1

    def _note(self, one: _Wanted, fault: Fault, sent_at: float) -> None:
        fault = self._weighed(one, fault, sent_at)
        one.failed_at = monotonic()
        one.unreadable += fault.kind == "unreadable"
        if fault.kind != "unprocessed":
            one.fault = fault
        if fault.kind == "hopeless":
            for other in self.wanted:
                self._settle(other)
        seconds = self.retries.wait(fault, one.attempts, one.unreadable)
        if seconds is None:
            self._settle(one)
            return
        one.retry_at = one.failed_at + seconds
        if seconds == fault.retry_after and self.promised_at <= self.window.answered_at:
            self.promised_at = one.retry_at

    def _weighed(self, one: _Wanted, fault: Fault, sent_at: float) -> Fault:
        """Tell the window what a fault says of the service, and return it as one of the number's own where it is."""
        if fault.kind in {"unreadable", "final"}:
            self.window.answered()
            return fault
        if fault.kind == "unprocessed":
            self.service_fault = self.service_fault or fault
        else:
            self.service_fault = fault
        if fault.kind in {"connection", "unprocessed"}:
            self.window.disconnected(sent_at)
        elif not self._is_its_own(one):
            self.window.failed(sent_at)
        if fault.kind == "connection":
            one.disconnected += 1
            if self.at_once >> one.disconnected == 0:  # it was alone
                return msgspec.structs.replace(fault, kind="service")
        return fault

    def _is_its_own(self, one: _Wanted) -> bool:
        """Whether a number fails again and again while others are answered: that says nothing of the service."""
        return one.attempts > OWN_RETRIES and one.failed_at < self.window.answered_at

    def _settle(self, one: _Wanted) -> None:
        one.settled = True
        self.settled_at = monotonic()

    def _ends_at(self) -> float:
        """Give the time at which it is not worth waiting longer, as things stand."""
        woke_at = self._woke_at()
        left = [one for one in self.wanted if not one.settled]
        few = len(left) < len(self.wanted) and len(left) <= max(1, len(self.wanted) // 10)
        if few and all(one.attempts for one in left):
            return min(self.deadline, max(self.settled_at, woke_at) + self.straggler_timeout)
        silent_since = max(self.started_at, self.window.answered_at, woke_at)
        return min(self.deadline, max(silent_since + SILENCE_TIMEOUT, self.promised_at + _PROMISE_TIMEOUT))

    def _woke_at(self) -> float:
        """Give when the environment was last seen to have been frozen: nobody can answer while it is."""
        now = monotonic()
        if now - self.looked_at > _LONG_GLANCE:
            self.woke_at = now
        self.looked_at = now
        return self.woke_at

    def _listed(self, everything: _Wanted, numbers: Sequence[int]) -> dict[int, Outcome]:
        if not isinstance(everything.body, _Index):
            return {number: self._outcome(everything, number) for number in numbers}
        names = {entry.number: entry.name for entry in everything.body.results}
        return {number: Found(number, names[number]) if number in names else _unlisted(number) for number in numbers}

    def _outcome(self, one: _Wanted, number: int) -> Outcome:
        if isinstance(one.body, _Pokemon):
            return Found(number, one.body.name)
        fault = one.fault if one.settled and one.fault else self._given_up(one)
        return Failed(number, fault.reason, fault.status, one.attempts, fault.detail)

    def _given_up(self, one: _Wanted) -> Fault:
        """Say why a number that is not settled was given up."""
        if monotonic() >= self.deadline:
            after = f", after: {one.fault}" if one.fault else ""
            return Fault("service", "deadline", f"no time was left{after}")
        if one.fault:
            return one.fault
        if self.service_fault and not one.attempts:
            return msgspec.structs.replace(self.service_fault, detail=f"not sent, after: {self.service_fault}")
        return Fault("service", "timeout", "no answer came while others did")


def _decoded(body: bytes | bytearray, kind: type[_Pokemon | _Index]) -> _Pokemon | _Index:
    """Give what a body says; raises httpx.DecodingError, whatever is wrong with it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except Exception as error:
        raise httpx.DecodingError(str(error)) from error


def _is_slow(one: _Wanted) -> bool:
    """Whether a number would hold up the others for long."""
    return one.fault is not None and (one.fault.reason == "timeout" or one.retry_at > monotonic() + MAX_WAIT)


def _lost(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.lost


def _unlisted(number: int) -> Failed:
    return Failed(number, "not_found", status=None, attempts=1, detail="not in the list of all Pokémon")
