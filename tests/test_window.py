"""Who may send a request when; what comes of it in all weathers is test_weather.py's."""

import asyncio

import pytest

from pokemon_names import window
from pokemon_names.window import Window

LONG_AGO, NOW = 0.0, float("inf")


@pytest.fixture
def order() -> list[str]:
    return []


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def sending(order: list[str], through: Window, name: str, rank: int = 0, most: int = 100) -> asyncio.Task[None]:
    async def send() -> None:
        await through.enter(rank, most)
        order.append(name)

    return asyncio.create_task(send())


async def test_those_of_a_lower_rank_go_first_and_each_rank_in_its_order(order: list[str]) -> None:
    narrow = Window(1)
    await narrow.enter(0, 1)
    tasks = [sending(order, narrow, name, rank=name.isupper()) for name in "AaBb"]
    for _ in tasks:
        await settle()
        narrow.leave()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "A", "B"]


@pytest.mark.parametrize("admitted", [False, True])
async def test_who_is_cancelled_takes_nobodys_turn(order: list[str], *, admitted: bool) -> None:
    narrow = Window(1)
    await narrow.enter(0, 1)
    cancelled, other = sending(order, narrow, "cancelled"), sending(order, narrow, "other")
    await settle()
    if admitted:
        narrow.leave()
        cancelled.cancel()
    else:
        cancelled.cancel()
        await settle()
        narrow.leave()
    await other
    assert order == ["other"]


async def in_flight(through: Window, order: list[str]) -> int:
    """Count those that get in at once."""
    tasks = [sending(order, through, "") for _ in range(20)]
    await settle()
    entered = len(order)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(entered):
        through.leave()
    return entered


async def test_it_narrows_with_faults_and_widens_with_answers(order: list[str]) -> None:
    wide = Window(10)
    for _ in range(4):
        wide.failed(NOW)
    assert await in_flight(wide, order) == 5
    for _ in range(2):
        wide.answered()
    order.clear()
    assert await in_flight(wide, order) == 7
    for _ in range(100):
        wide.answered()
    order.clear()
    assert await in_flight(wide, order) == 10


async def test_faults_alone_leave_one_at_a_time_after_a_pause(
    order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "FIRST_PAUSE", 0.1)
    wide = Window(10)
    for _ in range(10):
        wide.failed(LONG_AGO)
    assert await in_flight(wide, order) == 0
    begun = asyncio.get_running_loop().time()
    await asyncio.wait_for(wide.enter(0, 1), 10)
    assert asyncio.get_running_loop().time() - begun >= 0.04
    assert await in_flight(wide, order) == 0
    wide.answered()
    wide.leave()
    assert await in_flight(wide, order) == 1


async def test_the_end_of_a_connection_counts_once_and_leaves_one_alone_until_an_answer(order: list[str]) -> None:
    wide = Window(10)
    for _ in range(10):
        wide.disconnected(LONG_AGO)
    assert await in_flight(wide, order) == 1
    order.clear()
    wide.answered()
    assert await in_flight(wide, order) == 9


async def test_after_a_second_end_without_an_answer_there_is_a_pause(
    order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "FIRST_PAUSE", 60.0)
    wide = Window(10)
    for _ in range(2):
        wide.disconnected(NOW)
    assert await in_flight(wide, order) == 0
    wide.answered()
    assert await in_flight(wide, order) == 8


async def test_some_go_with_few_others_alone(order: list[str]) -> None:
    wide = Window(10)
    tasks = [sending(order, wide, "suspect", rank=1, most=3) for _ in range(5)]
    await settle()
    assert len(order) == 3
    tasks.append(sending(order, wide, "first"))
    await settle()
    assert order[-1] == "first"
    for _ in range(4):
        wide.leave()
    await asyncio.gather(*tasks)
    assert len(order) == 6
