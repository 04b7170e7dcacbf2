"""The waterfall as data: the rows, bars and ticks that svg.py draws.

It shows what each HTTP request waited for, and when. A row holds all attempts for one number. If
there are more numbers than rows, a row holds several numbers; it shows what most of their attempts
were doing at each moment, but if any of them fails, it shows the failure.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, pairwise
from typing import NamedTuple

import msgspec

from pokemon_names.model import Attempt
from pokemon_names.report import Standing
from pokemon_names.views.words import ABOUT, CODE, compare_with_sync, format_names

Row = Sequence[Attempt]

# The phases of an attempt, with their labels.
PHASES = {
    "queued": "queued",
    "waiting": "waiting for the response",
    "downloading": "downloading",
    "failed": "failed",
}


class Bar(NamedTuple):
    """A phase, and the columns where it starts and ends."""

    phase: str
    start: int
    end: int


class Lane(msgspec.Struct, frozen=True):
    """The attempts of one strategy, with a title, a note about the result, and a line of Python."""

    title: str
    attempts: Sequence[Attempt]
    total_ms: float
    note: str = ""
    code: str = ""

    def rows(self, max_rows: int) -> list[Row]:
        """Return at most `max_rows` rows, in the order in which their first attempts were ready."""
        numbers: defaultdict[int | None, list[Attempt]] = defaultdict(list)
        for attempt in sorted(self.attempts, key=_readiness):
            numbers[attempt.number].append(attempt)
        rows = list(numbers.values())
        group_size = math.ceil(len(rows) / max_rows) or 1
        starts = range(0, len(rows), group_size)
        return [list(chain(*rows[start : start + group_size])) for start in starts]

    def names_by(self, milliseconds: float) -> int:
        """Return how many numbers had their own response by then."""
        return sum(
            attempt.ok and attempt.number is not None and attempt.end_ms <= milliseconds
            for attempt in self.attempts
        )


def lanes_of(standings: Sequence[Standing]) -> list[Lane]:
    """Return a lane for each strategy."""
    lanes = []
    for standing in standings:
        report = standing.report
        strategy = report.request.strategy
        fetched = report.fetched
        title = f"{strategy}: {ABOUT[strategy]}"
        note = _note(standing)
        lanes.append(Lane(title, fetched.attempts, fetched.total_ms, note, CODE[strategy]))
    return lanes


def span_of(lanes: Sequence[Lane]) -> float:
    """Return when the last lane ends, in milliseconds; at least 1, so an axis has a length."""
    span_ms = 1.0
    for lane in lanes:
        ends = [attempt.end_ms for attempt in lane.attempts]
        span_ms = max(span_ms, lane.total_ms, *ends)
    return span_ms


def scale_of(span_ms: float, columns: int) -> float:
    """Return the number of columns per millisecond.

    One column is left over for an attempt that takes no time at the end of the span.
    """
    return (columns - 1) / span_ms


def ticks(span_ms: float, max_ticks: int) -> list[int]:
    """Return round milliseconds from 0 to the span."""
    return list(range(0, int(span_ms) + 1, step_of(span_ms, max_ticks)))


def step_of(span: float, max_steps: int) -> int:
    """Return the smallest step of 1, 2 or 5 times 10^n that fits into a span at most that often."""
    step = 1
    factors = cycle([2, 2.5, 2])
    while span / step > max_steps:
        step = int(step * next(factors))
    return step


def bars(row: Row, scale: float) -> Iterator[Bar]:
    """Yield the bars of a row, from left to right.

    This is a sweep-line algorithm: the number of attempts in each phase changes only at columns
    where a phase starts or ends.
    """
    changes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for attempt in row:
        for phase, start, end in _phases(attempt, scale):
            changes[start][phase] += 1
            changes[end][phase] -= 1
    current: Counter[str] = Counter()
    for start, end in pairwise(sorted(changes)):
        current.update(changes[start])
        phase = max(PHASES, key=current.__getitem__)
        if current["failed"]:
            phase = "failed"
        if current[phase]:
            yield Bar(phase, start, end)


def label(row: Row, step: int = 1) -> str:
    """Return the label of a row: its first number that is a multiple of the step, if any."""
    for attempt in row:
        if attempt.number is None:
            return "all"
        if attempt.number % step == 0:
            return str(attempt.number)
    return ""


def _readiness(attempt: Attempt) -> tuple[float, float]:
    return attempt.ready_ms, attempt.start_ms


def _phases(attempt: Attempt, scale: float) -> Iterator[Bar]:
    """Yield the phases of an attempt, which has at least one column even if it took no time."""
    start = round(attempt.start_ms * scale)
    end = max(round(attempt.end_ms * scale), start + 1)
    yield Bar("queued", round(attempt.ready_ms * scale), start)
    if attempt.ok and attempt.first_byte_ms is not None:
        begun = min(round(attempt.first_byte_ms * scale), end)
        yield Bar("waiting", start, begun)
        yield Bar("downloading", begun, end)
    else:
        yield Bar("failed", start, end)


def _note(standing: Standing) -> str:
    """Return the result of a strategy, short enough for a phone."""
    report = standing.report
    names = format_names(report)
    if report.cut_off:
        return f"cut off after {names}"
    parts = [names]
    retries = sum(attempt.ordinal > 1 for attempt in report.fetched.attempts)
    if retries:
        parts.append(f"{retries:,} retried")
    if standing.speedup is not None and report.request.strategy != "sync":
        parts.append(compare_with_sync(standing))
    return ", ".join(parts)
