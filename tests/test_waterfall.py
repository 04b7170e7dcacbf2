from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names.outcome import Exchange
from pokemon_names.waterfall import Lane, duration, text

TIMES = st.floats(0, 30_000)


def exchange(number: int | None, *times: float | None, attempt: int = 1) -> Exchange:
    """Make one of when it was ready, sent, began and ended; it failed where it never began."""
    ready, start, first_byte, end = times
    assert ready is not None
    assert start is not None
    assert end is not None
    return Exchange(number, attempt, first_byte is not None, ready, start, first_byte, end, 1000)


def staircase(count: int, step: float = 1.0) -> Lane:
    """Make a lane of requests one after another."""
    steps = [exchange(n + 1, n * step, n * step, (n + 0.5) * step, (n + 1) * step) for n in range(count)]
    return Lane("sequential", steps, count * step)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    ready, start, first_byte, end = sorted(draw(st.tuples(TIMES, TIMES, TIMES, TIMES)))
    number = draw(st.none() | st.integers(1, 999_999_999))
    return exchange(number, ready, start, draw(st.sampled_from([None, first_byte])), end)


lanes = st.lists(st.builds(Lane, st.just("gather"), st.lists(exchanges()), TIMES), min_size=1, max_size=4)

ONE = Lane("gather", [exchange(25, 0.0, 19.5, 39.0, 78.0)], 78.0)
RETRIED = Lane("gather", [exchange(7, 0.0, 0.0, None, 20.0), exchange(7, 20.0, 40.0, 60.0, 79.0, attempt=2)], 79.0)


def test_a_row_shows_what_a_request_waited_for() -> None:
    assert text([ONE], width=43).splitlines() == [
        "gather: 1 request in 78.0 ms",
        "25 ··········──────────███████████████████",
        "   0                        50 ms",
        "   · waits   ─ first byte   █ body   × failed",  # noqa: RUF001
    ]


def test_the_same_in_ascii() -> None:
    drawn = text([ONE, RETRIED], plain=True)
    assert drawn.isascii()
    assert drawn.translate(str.maketrans(".-#x", "·─█×")).replace("·0", ".0") == text([ONE, RETRIED])  # noqa: RUF001


def test_attempts_share_a_row() -> None:
    header, row, *_ = text([RETRIED], width=82).splitlines()
    assert header == "gather: 2 requests in 79.0 ms, 1 retried"
    assert row == "7 " + "×" * 20 + "·" * 20 + "─" * 20 + "█" * 19  # noqa: RUF001


@pytest.mark.parametrize(("count", "rows", "last"), [(1, 1, "1"), (24, 24, "24"), (150, 22, "148"), (1351, 24, "1312")])
def test_rows_become_groups_where_there_are_too_many(count: int, rows: int, last: str) -> None:
    _, *drawn, _, _ = text([staircase(count)]).splitlines()
    assert len(drawn) == rows
    assert drawn[-1].split()[0] == last


def test_rows_are_in_the_order_in_which_they_were_ready() -> None:
    late, early = exchange(1, 5.0, 8.0, 8.5, 9.0), exchange(2, 5.0, 6.0, 6.5, 7.0)
    assert [row[0].number for row in Lane("gather", [late, early], 9.0).rows(10)] == [2, 1]


def test_a_group_shows_what_most_do_and_any_that_fails() -> None:
    many = [exchange(n, 0.0, 0.0, 39.0, 78.0) for n in range(1, 40)]
    failing = exchange(40, 0.0, 58.5, None, 78.0)
    (row,) = text([Lane("gather", [*many, failing], 78.0)], width=42, most_rows=1).splitlines()[1:2]
    assert row == "1 " + "─" * 20 + "█" * 9 + "×" * 10  # noqa: RUF001


def test_a_row_is_empty_while_nothing_happens() -> None:
    row = [exchange(1, 0.0, 0.0, 10.0, 20.0), exchange(1, 50.0, 50.0, 60.0, 79.0)]
    assert text([Lane("sequential", row, 79.0)], width=82).splitlines()[1] == (
        "1 " + "─" * 10 + "█" * 10 + " " * 30 + "─" * 10 + "█" * 19
    )


def test_several_lanes_share_one_axis() -> None:
    lines = text([staircase(3, 10.0), Lane("index", [exchange(None, 0.0, 0.0, 5.0, 6.0)], 6.0, 5.0)]).splitlines()
    assert lines[4:6] == ["index: 1 request in 6.0 ms, 5.0x sync", "all ────────────███"]
    assert lines[-2].endswith("30 ms")


def test_a_time_that_would_touch_the_last_one_is_left_out() -> None:
    *_, axis, _ = text([Lane("gather", [exchange(1_000_000, 0.0, 0.0, 1.0, 25_000.0)], 25_000.0)]).splitlines()
    assert axis.split() == ["0", "5,000", "10,000", "15,000", "25,000", "ms"]
    assert len(axis) == 80


@given(lanes)
def test_whatever_is_drawn_fits_80_columns(lanes: Sequence[Lane]) -> None:
    lines = text(lanes).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24 + 2 + len(lanes)


def test_nothing_to_draw() -> None:
    assert text([Lane("gather", [], 0.0)]).startswith("gather: 0 requests in 0.0 ms\n")


@pytest.mark.parametrize(("ms", "told"), [(0.04, "0.0 ms"), (999.9, "999.9 ms"), (1000, "1.00 s"), (8213, "8.21 s")])
def test_times_are_told_as_people_read_them(ms: float, told: str) -> None:
    assert duration(ms) == told
