"""Which request may be sent, and when; test_weather.py shows what comes of it."""

import asyncio
from functools import partial

import pytest

from pokemon_names.fetching import window
from pokemon_names.fetching.admission import Admission
from pokemon_names.fetching.attempt_error import AttemptError, Kind
from pokemon_names.fetching.download import Download
from pokemon_names.fetching.pokeapi import Pokemon
from pokemon_names.fetching.retry import OWN_RETRIES
from pokemon_names.fetching.window import Window

LONG_AGO = 0.0
NOW = float("inf")


@pytest.fixture
def order() -> list[str]:
    """Return the names of the requests that were admitted, in their order."""
    return []


async def let_all_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def send(
    order: list[str], through: Window, name: str, rank: int = 0, max_in_flight: int = 100
) -> asyncio.Task[None]:
    """Start a task that waits until the window admits it."""

    async def send() -> None:
        await through.acquire(rank, max_in_flight)
        order.append(name)

    return asyncio.create_task(send())


async def count_admitted(through: Window) -> int:
    """Return how many requests the window admits at once."""
    order: list[str] = []
    tasks = [send(order, through, "") for _ in range(20)]
    await let_all_run()
    admitted = len(order)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(admitted):
        through.release()
    return admitted


async def test_lower_ranks_go_first_and_equal_ones_in_their_order(order: list[str]) -> None:
    narrow = Window(1)
    await narrow.acquire(0, 1)
    tasks = [
        send(order, narrow, "A", rank=1),
        send(order, narrow, "a", rank=0),
        send(order, narrow, "B", rank=1),
        send(order, narrow, "b", rank=0),
    ]
    for _ in tasks:
        await let_all_run()
        narrow.release()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "A", "B"]


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_turn(order: list[str]) -> None:
    narrow = Window(1)
    await narrow.acquire(0, 1)
    cancelled = send(order, narrow, "cancelled")
    other = send(order, narrow, "other")
    await let_all_run()
    cancelled.cancel()
    await let_all_run()
    narrow.release()
    await other
    assert order == ["other"]


async def test_a_request_that_is_cancelled_once_it_is_admitted_takes_no_turn(
    order: list[str],
) -> None:
    narrow = Window(1)
    await narrow.acquire(0, 1)
    cancelled = send(order, narrow, "cancelled")
    other = send(order, narrow, "other")
    await let_all_run()
    narrow.release()
    cancelled.cancel()
    await other
    assert order == ["other"]


async def test_it_narrows_with_errors_and_widens_with_answers() -> None:
    wide = Window(10)
    for _ in range(4):
        wide.failed(NOW)
    assert await count_admitted(wide) == 5
    for _ in range(2):
        wide.answered()
    assert await count_admitted(wide) == 7
    for _ in range(100):
        wide.answered()
    assert await count_admitted(wide) == 10


async def test_after_errors_alone_one_request_at_a_time_is_sent_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "FIRST_PAUSE", 0.1)
    loop = asyncio.get_running_loop()
    wide = Window(10)
    for _ in range(10):
        wide.failed(LONG_AGO)
    assert await count_admitted(wide) == 0
    started = loop.time()
    await asyncio.wait_for(wide.acquire(0, 1), 10)
    assert loop.time() - started >= 0.04
    assert await count_admitted(wide) == 0
    wide.answered()
    wide.release()
    assert await count_admitted(wide) == 1


async def test_after_the_end_of_a_connection_requests_go_alone_until_an_answer() -> None:
    wide = Window(10)
    for _ in range(10):
        wide.disconnected(LONG_AGO)
    assert await count_admitted(wide) == 1
    wide.answered()
    assert await count_admitted(wide) == 9


async def test_after_a_second_end_without_an_answer_there_is_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "FIRST_PAUSE", 60.0)
    wide = Window(10)
    for _ in range(2):
        wide.disconnected(NOW)
    assert await count_admitted(wide) == 0
    wide.answered()
    assert await count_admitted(wide) == 8


async def test_a_request_may_limit_how_many_others_are_in_flight(order: list[str]) -> None:
    wide = Window(10)
    tasks = [send(order, wide, "suspect", rank=1, max_in_flight=3) for _ in range(5)]
    await let_all_run()
    assert len(order) == 3
    tasks.append(send(order, wide, "first"))
    await let_all_run()
    assert order[-1] == "first"
    for _ in range(4):
        wide.release()
    await asyncio.gather(*tasks)
    assert len(order) == 6


def test_pauses_double_until_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []

    def note(seconds: float) -> float:
        pauses.append(seconds)
        return seconds

    monkeypatch.setattr(window, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(window, "MAX_PAUSE", 1.0)
    monkeypatch.setattr(window, "jittered", note)
    narrow = Window(1)
    for _ in range(7):
        narrow.failed(NOW)
    narrow.answered()
    narrow.failed(NOW)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.05]


a_download = partial(Download, 1, "", Pokemon)


async def test_retries_go_first_and_those_that_may_end_connections_last(order: list[str]) -> None:
    narrow = Window(1)
    admission = Admission(narrow, at_once=100)
    await narrow.acquire(0, 1)

    async def send(name: str, download: Download) -> None:
        await admission.acquire(download)
        order.append(name)
        admission.release()

    downloads = {
        "ended two": a_download(attempts=2, disconnected=2),
        "ended one": a_download(attempts=1, disconnected=1),
        "new": a_download(),
        "failed often": a_download(attempts=OWN_RETRIES + 1),
        "retry": a_download(attempts=1),
        "last own retry": a_download(attempts=OWN_RETRIES),
    }
    tasks = [asyncio.create_task(send(name, download)) for name, download in downloads.items()]
    await let_all_run()
    admission.release()
    await asyncio.gather(*tasks)
    assert order == ["retry", "last own retry", "new", "failed often", "ended one", "ended two"]


@pytest.mark.parametrize(("disconnected", "together"), [(0, 10), (1, 8), (2, 4), (4, 1), (9, 1)])
async def test_with_each_end_of_its_connection_a_number_goes_with_half_as_many(
    disconnected: int, together: int
) -> None:
    admission = Admission(Window(10), at_once=16)
    requests = [
        asyncio.create_task(admission.acquire(a_download(disconnected=disconnected)))
        for _ in range(20)
    ]
    await let_all_run()
    assert sum(request.done() for request in requests) == together
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)


@pytest.mark.parametrize(
    ("kind", "download", "width"),
    [
        ("service", a_download(), 3),
        ("refused", a_download(), 3),
        ("unreadable", a_download(), 6),
        ("permanent", a_download(), 6),
        ("service", a_download(attempts=OWN_RETRIES), 3),
        (
            "service",
            a_download(attempts=OWN_RETRIES + 1),
            5,
        ),  # it fails, while PokeAPI answers others
        ("service", a_download(attempts=OWN_RETRIES + 1, failed_at=NOW), 3),
    ],
)
async def test_the_kind_of_an_error_decides_on_the_windows_width(
    kind: Kind, download: Download, width: int
) -> None:
    wide = Window(10)
    for _ in range(4):
        wide.failed(NOW)
    assert await count_admitted(wide) == 5
    error = AttemptError(kind, "bad_body", "")
    assert Admission(wide, at_once=10).failed(download, error, NOW) == error
    assert await count_admitted(wide) == width
