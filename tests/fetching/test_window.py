"""Which request may be sent, and when. test_weather.py shows the effect on whole fetches."""

import asyncio
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from pokemon_names.fetching import window as window_module
from pokemon_names.fetching.fetcher import Download, Fetcher
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.window import RETRY, Window
from pokemon_names.http.client import Answer, Clients, Decode
from pokemon_names.http.errors import GetError, Kind

LONG_AGO = 0.0
NOW = math.inf  # later than any error, so that each one begins another round trip

TEN = Policy(concurrency=10)
ONE = Policy(concurrency=1)


class Clock:
    """The running loop's clock, which stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def move(self, seconds: float) -> None:
        """Move the clock, and let everything that is due run."""
        self.now += seconds
        await let_all_run()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    return clock


@pytest.fixture
def order() -> list[str]:
    """Return the names of the admitted requests, in order."""
    return []


async def let_all_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def send(
    order: list[str], window: Window, name: str, rank: int = 0, max_in_flight: int = 100
) -> asyncio.Task[None]:
    """Start a task that waits until the window admits it."""

    async def send() -> None:
        await window.acquire(rank, 0, max_in_flight)
        order.append(name)

    return asyncio.create_task(send())


async def cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def count_admitted(window: Window) -> int:
    """Return how many requests the window admits at once."""
    order: list[str] = []
    tasks = [send(order, window, "") for _ in range(20)]
    await let_all_run()
    admitted = len(order)
    await cancel(tasks)
    for _ in range(admitted):
        window.release()
    return admitted


async def narrow_to_one(window: Window, clock: Clock) -> None:
    """Narrow a window to one request with errors, and wait until the pause is over."""
    for _ in range(10):
        window.failed(NOW)
    await clock.move(10)


# Which request goes first.


async def test_lower_ranks_go_first_and_equal_ranks_in_order_of_arrival(order: list[str]) -> None:
    window = Window(ONE)
    await window.acquire(0, 0, 1)
    tasks = [
        send(order, window, "A", rank=1),
        send(order, window, "a", rank=0),
        send(order, window, "B", rank=1),
        send(order, window, "b", rank=0),
        send(order, window, "first", rank=-1),
    ]
    for _ in tasks:
        await let_all_run()
        window.release()
    await asyncio.gather(*tasks)
    assert order == ["first", "a", "b", "A", "B"]


async def test_in_a_narrow_window_requests_of_one_rank_go_in_random_order(
    clock: Clock, order: list[str]
) -> None:
    window = Window(TEN)
    await narrow_to_one(window, clock)
    window.answered(NOW)
    await window.acquire(0, 0, 1)
    names = [f"{index:02}" for index in range(50)]
    tasks = [send(order, window, name) for name in names]
    tasks += [send(order, window, "last", rank=1)]
    for _ in tasks:
        await let_all_run()
        window.release()
    await asyncio.gather(*tasks)
    assert order != [*names, "last"]
    assert sorted(order[:-1]) == names
    assert order[-1] == "last"


async def test_while_even_lone_requests_fail_retries_mix_with_first_requests(
    clock: Clock, order: list[str]
) -> None:
    window = Window(ONE)
    window.failed(clock.now)
    tasks = [send(order, window, "first") for _ in range(50)]
    tasks += [send(order, window, "retry", rank=RETRY) for _ in range(50)]
    tasks += [send(order, window, "suspect", rank=RETRY + 1)]
    for _ in tasks:
        await clock.move(10)
        window.release()
    await asyncio.gather(*tasks)
    assert "retry" in order[:50]
    assert order[-1] == "suspect"


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_turn(order: list[str]) -> None:
    window = Window(ONE)
    await window.acquire(0, 0, 1)
    cancelled = send(order, window, "cancelled")
    other = send(order, window, "other")
    await let_all_run()
    cancelled.cancel()
    await let_all_run()
    window.release()
    await other
    assert order == ["other"]


async def test_a_request_that_is_cancelled_once_it_is_admitted_takes_no_turn(
    order: list[str],
) -> None:
    window = Window(ONE)
    await window.acquire(0, 0, 1)
    cancelled = send(order, window, "cancelled")
    other = send(order, window, "other")
    await let_all_run()
    window.release()
    cancelled.cancel()
    await other
    assert order == ["other"]
    window.release()
    assert await count_admitted(window) == 1


async def test_a_request_may_limit_how_many_requests_are_in_flight(order: list[str]) -> None:
    window = Window(TEN)
    tasks = [send(order, window, "suspect", rank=1, max_in_flight=3) for _ in range(5)]
    await let_all_run()
    assert len(order) == 3
    tasks.append(send(order, window, "first"))
    await let_all_run()
    assert order[-1] == "first"
    for _ in range(4):
        window.release()
    await asyncio.gather(*tasks)
    assert len(order) == 6


# How many requests go at once.


async def test_a_window_narrows_with_errors_and_widens_with_answers() -> None:
    window = Window(TEN)
    assert await count_admitted(window) == 10
    for _ in range(4):
        window.failed(NOW)
    assert await count_admitted(window) == 5
    for _ in range(3):
        window.answered(NOW)
    assert await count_admitted(window) == 7
    for _ in range(100):
        window.answered(NOW)
    assert await count_admitted(window) == 10


async def test_in_one_round_trip_a_window_narrows_by_half_at_most(clock: Clock) -> None:
    window = Window(TEN)
    for width in (5, 2):
        sent_at = clock.now
        for _ in range(10):
            await clock.move(0.01)
            window.failed(sent_at)
        assert await count_admitted(window) == width


async def test_each_answer_widens_a_window_by_a_share_of_its_width(clock: Clock) -> None:
    window = Window(msgspec.structs.replace(TEN, wider_share=0.5))
    for _ in range(20):  # a mix of answers and errors, as from a limiter
        window.failed(NOW)
        window.failed(NOW)
        window.answered(NOW)
        await clock.move(10)
    window.failed(NOW)
    await clock.move(10)
    widths = []
    for _ in range(12):
        widths.append(await count_admitted(window))
        window.answered(NOW)
    assert widths[0] == 1
    assert widths[-1] == 10
    assert all(0 <= wider - width <= 1 for width, wider in pairwise(widths))


async def test_after_an_outage_a_window_is_soon_half_as_wide_as_before(clock: Clock) -> None:
    window = Window(TEN)
    for _ in range(10):
        await clock.move(10)
        window.failed(clock.now)
    await clock.move(10)
    assert await count_admitted(window) == 1
    window.answered(clock.now)
    assert await count_admitted(window) == 5


async def test_a_window_is_down_from_the_failure_of_a_lone_request_until_an_answer(
    clock: Clock,
) -> None:
    window = Window(TEN)
    for _ in range(3):
        assert not window.is_down
        window.failed(NOW)
        await clock.move(1)
    await narrow_to_one(window, clock)
    assert window.is_down
    window.answered(NOW)
    assert not window.is_down


async def test_a_window_knows_when_pokeapi_last_answered(clock: Clock) -> None:
    window = Window(TEN)
    started = clock.now
    assert window.answered_at == started
    await clock.move(1)
    window.failed(NOW)
    window.disconnected(NOW)
    assert window.answered_at == started
    window.answered(NOW)
    assert window.answered_at == started + 1


# Pauses.


async def test_after_nothing_but_errors_requests_go_one_at_a_time_after_a_pause(
    clock: Clock, order: list[str]
) -> None:
    policy = msgspec.structs.replace(TEN, first_pause=1.0)
    window = Window(policy)
    for _ in range(9):
        window.failed(NOW)
        await clock.move(10)
    assert await count_admitted(window) == 1
    window.failed(clock.now)
    tasks = [send(order, window, "") for _ in range(20)]
    await clock.move(0.49)
    assert order == []
    await clock.move(policy.max_pause)
    assert len(order) == 1
    await clock.move(10)
    assert len(order) == 1
    window.release()
    await let_all_run()
    assert len(order) == 2
    await cancel(tasks)


async def test_an_answer_ends_a_pause(clock: Clock) -> None:
    window = Window(msgspec.structs.replace(ONE, first_pause=60.0, max_pause=60.0))
    window.failed(clock.now)
    assert await count_admitted(window) == 0
    window.answered(NOW)
    assert await count_admitted(window) == 1


async def test_pauses_double_until_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []

    def note(seconds: float) -> float:
        pauses.append(seconds)
        return seconds

    monkeypatch.setattr(window_module, "jittered", note)
    window = Window(msgspec.structs.replace(ONE, first_pause=0.05, max_pause=1.0))
    for _ in range(7):
        window.failed(NOW)
    window.answered(NOW)
    window.failed(NOW)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.05]


async def test_only_the_first_of_several_requests_in_flight_causes_a_pause(
    clock: Clock,
) -> None:
    window = Window(msgspec.structs.replace(ONE, first_pause=1.0, max_pause=60.0))
    sent_at = clock.now
    await clock.move(0.1)
    for _ in range(100):
        window.failed(sent_at)
    await clock.move(1)
    assert await count_admitted(window) == 1


# Connections that end.


async def test_after_the_end_of_a_connection_requests_go_alone_until_an_answer() -> None:
    window = Window(TEN)
    for _ in range(10):
        window.disconnected(LONG_AGO)
    assert await count_admitted(window) == 1
    window.answered(NOW)
    assert await count_admitted(window) == 9


async def test_only_the_first_request_on_an_ended_connection_counts(clock: Clock) -> None:
    window = Window(msgspec.structs.replace(TEN, first_pause=60.0, max_pause=60.0))
    sent_at = clock.now
    await clock.move(0.1)
    for _ in range(10):
        window.disconnected(sent_at)
    window.answered(NOW)
    assert await count_admitted(window) == 9


async def test_if_two_connections_end_without_an_answer_there_is_a_pause(clock: Clock) -> None:
    window = Window(msgspec.structs.replace(TEN, first_pause=60.0, max_pause=60.0))
    window.disconnected(clock.now)
    assert await count_admitted(window) == 1
    await clock.move(0.1)
    window.disconnected(clock.now)
    assert await count_admitted(window) == 0
    window.answered(NOW)
    assert await count_admitted(window) == 8


# The limit on requests per second.


async def test_requests_are_sent_at_the_allowed_rate(clock: Clock, order: list[str]) -> None:
    window = Window(msgspec.structs.replace(TEN, requests_per_second=4.0))
    tasks = [send(order, window, "") for _ in range(20)]
    await let_all_run()
    for sent in range(1, 6):
        assert len(order) == sent
        await clock.move(0.24)
        assert len(order) == sent
        await clock.move(0.01)
    await cancel(tasks)


async def test_idle_time_is_not_made_up_for(clock: Clock, order: list[str]) -> None:
    window = Window(msgspec.structs.replace(TEN, requests_per_second=4.0))
    await window.acquire(0, 0, 10)
    await clock.move(10)
    tasks = [send(order, window, "") for _ in range(5)]
    await let_all_run()
    assert len(order) == 1
    await clock.move(0.25)
    assert len(order) == 2
    await cancel(tasks)


async def test_a_paced_request_also_waits_for_a_place_in_the_window(
    clock: Clock, order: list[str]
) -> None:
    window = Window(msgspec.structs.replace(ONE, requests_per_second=4.0))
    await window.acquire(0, 0, 1)
    task = send(order, window, "")
    await clock.move(1)
    assert order == []
    window.release()
    await task
    assert order == [""]


@pytest.mark.usefixtures("clock")
async def test_without_a_limit_on_the_rate_all_requests_are_sent_at_once() -> None:
    assert await count_admitted(Window(TEN)) == 10


# How a fetch uses a window.


class Scripted(Clients):
    """Clients that record each request, and answer it when a test sets the answer."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.paths: list[str] = []
        self.answering: list[asyncio.Future[Answer[Any]]] = []

    async def get(
        self, path: str, decode: Decode[Any], seconds: float | None = None
    ) -> Answer[Any]:
        del decode, seconds
        self.paths.append(path)
        answering = asyncio.get_running_loop().create_future()
        self.answering.append(answering)
        answer: Answer[Any] = await answering
        return answer


def fetcher_of(count: int, clients: Clients, window: Window, policy: Policy) -> Fetcher:
    now = asyncio.get_running_loop().time()
    return Fetcher(range(1, count + 1), clients, window, policy, now, now + 60)


@pytest.mark.usefixtures("clock")
async def test_unsent_numbers_go_first_and_suspects_of_ending_connections_go_last() -> None:
    clients = Scripted()
    window = Window(ONE)
    await window.acquire(0, 0, 1)
    fetcher = fetcher_of(6, clients, window, ONE)
    disconnected_twice, disconnected, retry, last_retry, *_ = fetcher.numbers
    disconnected_twice.requests = disconnected_twice.disconnected = 2
    disconnected.requests = disconnected.disconnected = 1
    retry.requests = 1
    last_retry.requests = ONE.own_retries
    downloads: list[Download] = [*fetcher.numbers, fetcher.list]
    tasks = [asyncio.create_task(fetcher.request(download)) for download in downloads]
    await let_all_run()
    window.release()
    for _ in tasks:
        await let_all_run()
        clients.answering[-1].set_result(Answer(body={}))
    await asyncio.gather(*tasks)
    numbers = [path.rstrip("/").rpartition("/")[2] for path in clients.paths[1:]]
    assert clients.paths[0].startswith("pokemon/?")
    assert numbers == ["5", "6", "3", "4", "2", "1"]


@pytest.mark.parametrize(("disconnected", "together"), [(0, 10), (1, 8), (2, 4), (4, 1), (9, 1)])
async def test_each_connection_that_ends_halves_how_many_requests_accompany_a_number(
    disconnected: int, together: int
) -> None:
    clients = Scripted()
    fetcher = fetcher_of(20, clients, Window(TEN), TEN)
    fetcher.at_once = 16
    for download in fetcher.numbers:
        download.disconnected = disconnected
    tasks = [asyncio.create_task(fetcher.request(download)) for download in fetcher.numbers]
    await let_all_run()
    assert len(clients.paths) == together
    await cancel(tasks)


def error_answer(kind: Kind) -> Answer[Any]:
    return Answer(error=GetError(kind=kind, reason="bad_body", detail=""))


async def width_after(kind: Kind, clock: Clock, *, attempts: int = 0, answered: bool) -> int:
    """Return how many requests a window of 5 admits after an error of this kind.

    `attempts` is how many attempts the number has already had, and `answered` says whether another
    number is answered in the meantime.
    """
    clients = Scripted()
    window = Window(TEN)
    for _ in range(4):
        window.failed(NOW)
    assert await count_admitted(window) == 5
    fetcher = fetcher_of(20, clients, window, TEN)
    failing, other, *_ = fetcher.numbers
    failing.requests = attempts
    failing.failed_at = clock.now
    await clock.move(0.1)
    tasks = [asyncio.create_task(fetcher.request(download)) for download in (failing, other)]
    await let_all_run()
    await clock.move(0.1)
    first, second = clients.answering
    if answered:
        second.set_result(Answer(body="missingno"))
        await let_all_run()
    first.set_result(error_answer(kind))
    await let_all_run()
    await cancel(tasks)
    return await count_admitted(window)


OWN_RETRIES = TEN.own_retries


@pytest.mark.parametrize(
    ("kind", "attempts", "width"),
    [
        ("service", 0, 4),
        ("refused", 0, 4),
        ("fatal", 0, 4),
        ("unreadable", 0, 6),
        ("final", 0, 6),
        ("disconnected", 0, 1),
        ("unprocessed", 0, 1),
        ("service", OWN_RETRIES - 1, 4),
        ("service", OWN_RETRIES, 4),
        ("refused", OWN_RETRIES, 4),
    ],
)
async def test_the_kind_of_an_error_decides_the_windows_width(
    clock: Clock, kind: Kind, attempts: int, width: int
) -> None:
    assert await width_after(kind, clock, attempts=attempts, answered=True) == width


@pytest.mark.parametrize(
    ("kind", "attempts", "width"),
    [
        ("service", OWN_RETRIES, 3),  # PokeAPI answers no request
        ("unreadable", 0, 3),  # no body could be read
        ("final", 0, 5),
    ],
)
async def test_an_error_that_may_affect_all_numbers_narrows_the_window(
    clock: Clock, kind: Kind, attempts: int, width: int
) -> None:
    assert await width_after(kind, clock, attempts=attempts, answered=False) == width
