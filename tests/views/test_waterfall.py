"""The rows and bars of the waterfall, drawn as text."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names.model import Attempt
from pokemon_names.views.waterfall import Bar, Lane, bars, ticks
from tests.tools.waterfall import text

TIMES = st.floats(0, 30_000)


def attempt(number: int | None, *times: float | None, attempt: int = 1) -> Attempt:
    """Return an attempt. Its times are when it was ready, sent, began to be answered and ended.

    If the response never began, the attempt failed.
    """
    ready, start, first_byte, end = times
    assert ready is not None
    assert start is not None
    assert end is not None
    ok = first_byte is not None
    return Attempt(number, attempt, ok, ready, start, first_byte, end, 1000)


def staircase(count: int, step: float = 1.0) -> Lane:
    """Return a lane of requests sent one after another; each takes `step` milliseconds."""
    attempts = []
    for index in range(count):
        start = index * step
        end = start + step
        attempts.append(attempt(index + 1, start, start, start + step / 2, end))
    return Lane("sequential", attempts, count * step, f"{count} names")


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    ready, start, first_byte, end = sorted(draw(st.tuples(TIMES, TIMES, TIMES, TIMES)))
    first_byte_or_none = draw(st.sampled_from([None, first_byte]))
    number = draw(st.none() | st.integers(1, 999_999_999))
    return attempt(number, ready, start, first_byte_or_none, end)


lanes = st.lists(
    st.builds(Lane, st.just("gather"), st.lists(attempts()), TIMES), min_size=1, max_size=4
)

ONE = Lane("gather", [attempt(25, 0.0, 19.5, 39.0, 78.0)], 78.0, "1 name", "get(25)")
RETRIED = Lane(
    "gather",
    [attempt(7, 0.0, 0.0, None, 20.0), attempt(7, 20.0, 40.0, 60.0, 79.0, attempt=2)],
    79.0,
    "1 name, 1 retried",
    "get(7)",
)


def test_a_row_shows_what_a_request_waited_for() -> None:
    assert text([ONE], width=43).splitlines() == [
        "gather, 78 ms, 1 name",
        "25 ··········──────────███████████████████",
        "   0                        50 ms",
        "   · queued   ─ waiting for the response",
        "   █ downloading   × failed",  # noqa: RUF001
    ]


def test_the_same_in_ascii() -> None:
    drawn = text([ONE, RETRIED], plain=True)
    glyphs = str.maketrans(".-#x", "·─█×")  # noqa: RUF001
    assert drawn.isascii()
    assert drawn.translate(glyphs) == text([ONE, RETRIED])


def test_all_attempts_for_a_number_share_a_row() -> None:
    header, row, *_ = text([RETRIED], width=82).splitlines()
    assert header == "gather, 79 ms, 1 name, 1 retried"
    assert row == "7 " + "×" * 20 + "·" * 20 + "─" * 20 + "█" * 19  # noqa: RUF001


@pytest.mark.parametrize(
    ("count", "rows", "last"), [(1, 1, "1"), (24, 24, "24"), (150, 22, "148"), (1351, 24, "1312")]
)
def test_too_many_rows_are_grouped(count: int, rows: int, last: str) -> None:
    _, *drawn, _, _ = text([staircase(count)]).splitlines()
    assert len(drawn) == rows
    assert drawn[-1].split()[0] == last


def test_rows_are_in_the_order_in_which_their_requests_were_ready() -> None:
    late = attempt(1, 5.0, 8.0, 8.5, 9.0)
    early = attempt(2, 5.0, 6.0, 6.5, 7.0)
    rows = Lane("gather", [late, early], 9.0).rows(10)
    assert [row[0].number for row in rows] == [2, 1]


def test_a_group_shows_what_most_requests_do_and_every_failure() -> None:
    attempts = [attempt(number, 0.0, 0.0, 39.0, 78.0) for number in range(1, 40)]
    attempts.append(attempt(40, 0.0, 58.5, None, 78.0))
    _, row, *_ = text([Lane("gather", attempts, 78.0)], width=42, max_rows=1).splitlines()
    assert row == "1 " + "─" * 20 + "█" * 9 + "×" * 10  # noqa: RUF001


def test_a_row_is_empty_while_nothing_happens() -> None:
    attempts = [attempt(1, 0.0, 0.0, 10.0, 20.0), attempt(1, 50.0, 50.0, 60.0, 79.0)]
    _, row, *_ = text([Lane("sequential", attempts, 79.0)], width=82).splitlines()
    assert row == "1 " + "─" * 10 + "█" * 10 + " " * 30 + "─" * 10 + "█" * 19


def test_several_lanes_share_one_axis() -> None:
    index = Lane("index", [attempt(None, 0.0, 0.0, 5.0, 6.0)], 6.0)
    lines = text([staircase(3, 10.0), index]).splitlines()
    assert lines[4:6] == ["index, 6.0 ms", "all ────────────███"]
    assert lines[-2].endswith("30 ms")


def test_a_long_axis_is_in_seconds() -> None:
    *_, axis, _ = text([staircase(1351, 2.0)]).splitlines()
    assert axis.split() == ["0", "0.5", "1", "1.5", "2", "2.5", "s"]


def test_a_tick_that_would_touch_the_last_one_is_omitted() -> None:
    lane = Lane("gather", [attempt(1_000_000, 0.0, 0.0, 1.0, 999.0)], 999.0)
    _, _, axis, *_ = text([lane], width=35).splitlines()
    assert axis.split() == ["0", "500", "ms"]


@given(lanes)
def test_every_waterfall_fits_80_columns(lanes: Sequence[Lane]) -> None:
    lines = text(lanes).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24 + 2 + len(lanes)


def test_a_lane_without_attempts() -> None:
    lines = text([Lane("gather", [], 0.0)]).splitlines()
    assert lines[0] == "gather, 0.000 ms"
    assert lines[-2].split() == ["0", "1", "ms"]  # an axis is at least 1 ms long


def test_an_axis_has_as_many_ticks_as_fit() -> None:
    assert ticks(60.0, 6) == [0, 10, 20, 30, 40, 50, 60]
    assert ticks(61.0, 6) == [0, 20, 40, 60]


def test_the_number_of_names_goes_up_with_each_response_to_a_number() -> None:
    list_of_all = attempt(None, 0.0, 0.0, 0.5, 1.0)
    lane = Lane("gather", [*staircase(3).attempts, *RETRIED.attempts, list_of_all], 79.0)
    assert [lane.names_by(ms) for ms in (0.0, 1.0, 2.5, 20.0, 79.0)] == [0, 1, 2, 3, 4]


def test_a_failed_attempt_is_drawn_as_failed_from_its_start_even_if_the_response_began() -> None:
    unavailable = Attempt(
        1, 1, ok=False, ready_ms=0, start_ms=0, first_byte_ms=5, end_ms=9, bytes=9
    )
    assert list(bars([unavailable], 1.0)) == [Bar("failed", 0, 9)]
