"""Fetch from a simulated PokeAPI on a virtual clock, in all conditions: `make simulate`.

Waiting takes no time: minutes of fetching pass in seconds, and the same seed produces the same
table. Only the network, the service and the clock are simulated; `fetching` is the real code.
"""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

import msgspec

from pokemon_names.fetching import policy, window
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.pokeapi import LIST_PATHS
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import fetch
from pokemon_names.fetching.window import Window
from pokemon_names.http.client import Answer, Clients, Decode
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError
from pokemon_names.model import Found, Request
from tests.tools import output
from tests.tools.options import Parser, number

SECONDS = 28.0  # for each fetch, as on AWS
RATE = 2000.0  # answers per second that the service can send
SPREAD = 0.2  # a round trip is longer by up to this share, at random
ROUND_TRIPS = (0.005, 0.03, 0.1, 0.3)
COUNTS = (150, 1025)
LISTED = 2000  # numbers in the list of all
AFTERWARDS = 30.0  # seconds after a fetch in which nothing more may happen

_BUSY = GetError(kind="service", reason="bad_status", detail="Service Unavailable", status=503)
_BROKEN = GetError(kind="service", reason="bad_status", detail="Server Error", status=500)
_REFUSED = GetError(kind="service", reason="bad_status", detail="Too Many Requests", status=429)
_MISSING = GetError(kind="final", reason="not_found", detail="Not Found", status=404)
_SILENT = GetError(kind="service", reason="timeout", detail="operation timed out")

_TINY = 1e-9  # seconds, the rounding error of sums of times

_T = TypeVar("_T")
_Body = TypeVar("_Body")


class Arrival(NamedTuple):
    """A request as it reaches the service, `at` seconds after the fetch began.

    `number` is None for the list of all.
    """

    at: float
    number: int | None
    path: str


Condition = Callable[[Arrival, Random], GetError | None]
MakeCondition = Callable[[], Condition]


def clear() -> Condition:
    return lambda _arrival, _random: None


def dead() -> Condition:
    return lambda _arrival, _random: _BUSY


def outage(seconds: float) -> Condition:
    """Fail every request for this many seconds."""
    return lambda arrival, _random: _BUSY if arrival.at < seconds else None


def flapping(bad: float, good: float) -> Condition:
    """Fail every request for `bad` seconds, then none for `good` seconds, and so on."""
    return lambda arrival, _random: _BUSY if arrival.at % (bad + good) < bad else None


def faults(share: float) -> Condition:
    """Fail each request with this probability."""
    return lambda _arrival, random: _BROKEN if random.random() < share else None


def block(first: int, last: int) -> Condition:
    """Fail every request for the numbers from `first` to `last`."""
    failing = range(first, last + 1)
    return lambda arrival, _random: _BUSY if arrival.number in failing else None


def silent(divisor: int) -> Condition:
    """Never answer a request for a multiple of the divisor."""
    return lambda arrival, _random: _SILENT if _divides(divisor, arrival) else None


def poisoned(divisor: int) -> Condition:
    """Answer 404 for each multiple of the divisor, if the path ends with a slash."""

    def condition(arrival: Arrival, _random: Random) -> GetError | None:
        is_poisoned = _divides(divisor, arrival) and arrival.path.endswith("/")
        return _MISSING if is_poisoned else None

    return condition


def limiter(rate: float, burst: float = 10.0, retry_after: float | None = None) -> Condition:
    """Let each request take a token from a bucket, and refuse it if there is none."""
    refusal = msgspec.structs.replace(_REFUSED, retry_after=retry_after)
    tokens = burst
    filled_at = 0.0

    def condition(arrival: Arrival, _random: Random) -> GetError | None:
        nonlocal tokens, filled_at
        tokens = min(burst, tokens + (arrival.at - filled_at) * rate)
        filled_at = arrival.at
        if tokens < 1:
            return refusal
        tokens -= 1
        return None

    return condition


def _divides(divisor: int, arrival: Arrival) -> bool:
    return arrival.number is not None and arrival.number % divisor == 0


class _VirtualSelector(selectors.DefaultSelector):
    """A selector that moves the clock on instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task is waiting, and nothing will wake one")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock, for tasks that wait only for time and each other."""

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._virtual.now


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


class SimulatedClients(Clients):
    """Clients of a service with a round trip, a rate and a condition. They own no connection.

    `sent_at` holds the time of every request, and `failed` counts those that returned no body.
    """

    def __init__(self, condition: Condition, round_trip: float, random: Random) -> None:
        self.limits = Limits()
        self.sent_at: list[float] = []
        self.failed = 0
        self._condition = condition
        self._round_trip = round_trip
        self._random = random
        self._busy_until = 0.0

    async def get(
        self, path: str, decode: Decode[_Body], seconds: float | None = None
    ) -> Answer[_Body]:
        """Return the service's answer to one request, once it has arrived."""
        now = asyncio.get_running_loop().time()
        self.sent_at.append(now)
        self.failed += 1  # until it succeeds, because it may be cancelled
        arrives_at = now + self._round_trip / 2
        number = None if "?" in path else int(path.removesuffix("/").rpartition("/")[2])
        error = self._condition(Arrival(arrives_at, number, path), self._random)
        timeout = self.limits.read_timeout if seconds is None else seconds
        if error is _SILENT:
            await asyncio.sleep(timeout)
            return Answer(error=_SILENT)
        self._busy_until = max(self._busy_until, arrives_at) + 1 / RATE
        returns = self._round_trip * (0.5 + self._random.uniform(0, SPREAD))
        takes = self._busy_until + returns - now
        await asyncio.sleep(min(takes, timeout))
        if takes > timeout:
            return Answer(error=_SILENT)
        begun_at = now + takes
        if error:
            return Answer(error=error, begun_at=begun_at)
        self.failed -= 1
        content = _list_of_all() if number is None else _pokemon(number)
        return Answer(body=decode(content), begun_at=begun_at, bytes=len(content))


class Outcome(NamedTuple):
    """The result of a simulation.

    `names` counts the names received, and `listed` the names from the list of all. `requests`
    counts all requests, and `failed` the requests that returned no body. `peak` is the maximum of
    requests sent within a second. `lost` are the numbers without a name. `late` counts the tasks
    left at the end, and the requests sent after it.
    """

    names: int
    listed: int
    failed: int
    requests: int
    peak: int
    seconds: float
    lost: Sequence[int]
    late: int


def simulate(  # noqa: PLR0913  the parameters of a row of the table
    make_condition: MakeCondition,
    numbers: Sequence[int],
    *,
    jobs: int = 1,
    round_trip: float = 0.03,
    strategy: str = "gather",
    with_list: bool = True,
    seed: int = 1,
    limits: Policy | None = None,
) -> Outcome:
    """Fetch the numbers in a condition, within a policy's limits, and return the outcome.

    Several jobs, such as SQS messages, fetch their parts concurrently through one window.
    """
    random = Random(seed)  # noqa: S311  the same seed, the same outcome
    clients = SimulatedClients(make_condition(), round_trip, random)
    bounds = [len(numbers) * job // jobs for job in range(jobs + 1)]
    requests = [
        Request(
            range="",
            strategy=strategy,
            fresh=True,
            trace=False,
            numbers=tuple(numbers[first:end]),
        )
        for first, end in pairwise(bounds)
    ]
    with _repeatable(random, with_list=with_list):
        return run(_fetch(requests, clients, limits or Policy()))


async def _fetch(requests: Sequence[Request], clients: SimulatedClients, limits: Policy) -> Outcome:
    shared = Window(limits)
    fetches = [fetch(request, clients, Cache(0), shared, SECONDS, limits) for request in requests]
    fetched = await asyncio.gather(*fetches)
    seconds = asyncio.get_running_loop().time()
    sent = len(clients.sent_at)
    late = len(asyncio.all_tasks()) - 1
    await asyncio.sleep(AFTERWARDS)
    late += len(clients.sent_at) - sent
    results = [result for one in fetched for result in one.results]
    lost = [result.number for result in results if not isinstance(result, Found)]
    return Outcome(
        names=len(results) - len(lost),
        listed=sum(one.listed for one in fetched),
        failed=clients.failed,
        requests=sent,
        peak=_peak(clients.sent_at),
        seconds=seconds,
        lost=lost,
        late=late,
    )


def _peak(sent_at: Sequence[float]) -> int:
    """Return the maximum number of requests sent within any second."""
    first = 0
    most = 0
    for last, at in enumerate(sent_at):
        while sent_at[first] <= at - 1 + _TINY:
            first += 1
        most = max(most, last + 1 - first)
    return most


@contextmanager
def _repeatable(random: Random, *, with_list: bool) -> Iterator[None]:
    """Make everything random in `fetching` follow from one seed, with or without the list."""
    paths = LIST_PATHS if with_list else ()
    with (
        patch.object(policy, "_uniform", random.uniform),
        patch.object(window, "_random", random),
        patch("pokemon_names.fetching.fetcher.LIST_PATHS", paths),
    ):
        yield


def _pokemon(number: int) -> bytes:
    return msgspec.json.encode({"id": number, "name": f"name-{number}"})


@cache
def _list_of_all() -> bytes:
    entries = [
        {"name": f"name-{number}", "url": f"https://pokeapi.co/api/v2/pokemon/{number}/"}
        for number in range(1, LISTED + 1)
    ]
    return msgspec.json.encode({"count": LISTED, "next": None, "results": entries})


def _share_of(first: float, last: float) -> Callable[[int], MakeCondition]:
    """Return, for any count of numbers, the condition in which this part of them fails."""
    return lambda count: lambda: block(int(first * count) + 1, int(last * count))


def _any_count(make_condition: MakeCondition) -> Callable[[int], MakeCondition]:
    return lambda _count: make_condition


CONDITIONS: dict[str, Callable[[int], MakeCondition]] = {
    "clear": _any_count(clear),
    "outage 0.5 s": _any_count(lambda: outage(0.5)),
    "outage 2 s": _any_count(lambda: outage(2)),
    "outage 5 s": _any_count(lambda: outage(5)),
    "limiter 100/s": _any_count(lambda: limiter(100)),
    "limiter 20/s": _any_count(lambda: limiter(20)),
    "limiter 500/s": _any_count(lambda: limiter(500)),
    "Retry-After 1 s": _any_count(lambda: limiter(100, retry_after=1)),
    "flapping 1 s/1 s": _any_count(lambda: flapping(1, 1)),
    "flapping 2 s/1 s": _any_count(lambda: flapping(2, 1)),
    "first third": _share_of(0, 1 / 3),
    "second third": _share_of(1 / 3, 2 / 3),
    "last third": _share_of(2 / 3, 1),
    "10 % silent": _any_count(lambda: silent(10)),
    "5 % poisoned": _any_count(lambda: poisoned(20)),
    "30 % faults": _any_count(lambda: faults(0.3)),
    "50 % faults": _any_count(lambda: faults(0.5)),
    "dead": _any_count(dead),
}


def table(seed: int) -> Iterator[str]:
    """Yield the lines of the table, which has five columns for each round trip."""
    yield "names, names from the list, requests, requests without a body, seconds"
    for with_list in (True, False):
        title = f"{'with' if with_list else 'without'} the list of all"
        trips = [f"round trip {1000 * round_trip:3.0f} ms" for round_trip in ROUND_TRIPS]
        yield f"\n{title:22} │ {' │ '.join(trip.ljust(27) for trip in trips)}".rstrip()
        for name, make in CONDITIONS.items():
            for count in COUNTS:
                cells = [
                    _cell(
                        simulate(
                            make(count),
                            range(1, count + 1),
                            round_trip=round_trip,
                            with_list=with_list,
                            seed=seed,
                        )
                    )
                    for round_trip in ROUND_TRIPS
                ]
                yield f"{name:17}{count:5} │{' │'.join(cells)}"


def _cell(one: Outcome) -> str:
    return f"{one.names:5}{one.listed:5}{one.requests:6}{one.failed:6}{one.seconds:6.1f}"


def main() -> int:
    parser = Parser(prog="python -m tests.tools.simulation", description=__doc__)
    seed_type = number(int, "a whole number, such as 7", -math.inf)
    parser.add_argument("--seed", type=seed_type, default=1, help="seed of everything random")
    options = parser.parse_args()
    for line in table(options.seed):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    output.run(main)
