"""When each HTTP request waited for what, drawn as text for a terminal; svg.py draws the same as SVG.

A row is one number with all its attempts; where there are more numbers than rows it is several, and shows what most of
them were doing at the time, but a failed attempt as soon as there is one. Glyphs and heights tell the phases apart as
colours do.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, pairwise

import msgspec

from pokemon_names.outcome import Exchange

Row = Sequence[Exchange]


class Phase(msgspec.Struct, frozen=True):
    """How a phase is drawn: as text, as text in ASCII, and with which share of a row's height."""

    label: str
    glyph: str
    plain: str
    height: float


PHASES = {
    "wait": Phase("waits", "·", ".", 0.2),
    "first": Phase("first byte", "─", "-", 0.6),
    "body": Phase("body", "█", "#", 0.9),
    "failed": Phase("failed", "×", "x", 0.9),  # noqa: RUF001  meant
}
GLYPHS = "".join(phase.glyph for phase in PHASES.values())


class Lane(msgspec.Struct, frozen=True):
    """What one strategy did; every lane of a picture has the same time axis."""

    title: str
    exchanges: Sequence[Exchange]
    total_ms: float
    speedup: float | None = None  # over `sync`, in a race

    def __str__(self) -> str:
        requests, retries = len(self.exchanges), sum(exchange.attempt > 1 for exchange in self.exchanges)
        plural, again = "s" * (requests != 1), f", {retries:,} retried" * (retries > 0)
        faster = f", {self.speedup:.1f}x sync" if self.speedup and self.title != "sync" else ""
        return f"{requests:,} request{plural} in {duration(self.total_ms)}{again}{faster}"

    def rows(self, most: int) -> list[Row]:
        """Give no more rows than that, in the order in which their first requests were ready."""
        numbers = defaultdict[int | None, list[Exchange]](list)
        for exchange in sorted(self.exchanges, key=lambda exchange: (exchange.ready_ms, exchange.start_ms)):
            numbers[exchange.number].append(exchange)
        each, rows = max(1, -(-len(numbers) // most)), list(numbers.values())
        return [list(chain(*rows[start : start + each])) for start in range(0, len(rows), each)]


def duration(ms: float) -> str:
    """Write a time as people read it."""
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.1f} ms"  # noqa: PLR2004  a second's


def text(lanes: Sequence[Lane], *, plain: bool = False, width: int = 80, most_rows: int = 24) -> str:
    """Draw as text of that width, `plain` in ASCII alone."""
    glyphs = {name: phase.plain if plain else phase.glyph for name, phase in PHASES.items()}
    plots = [(lane, lane.rows(max(1, most_rows // len(lanes)))) for lane in lanes]
    gutter = max((len(label(row)) for _, rows in plots for row in rows), default=0) + 1
    columns = width - gutter
    scale = scale_of(lanes, columns)
    lines = list[str]()
    for lane, rows in plots:
        lines.append(f"{lane.title}: {lane}")
        lines.extend(f"{label(row):>{gutter - 1}} {_bar(row, scale, glyphs)}" for row in rows)
    legend = "   ".join(f"{glyphs[name]} {phase.label}" for name, phase in PHASES.items())
    return "\n".join([*lines, " " * gutter + _text_axis(columns, scale), " " * gutter + legend])


def _bar(row: Row, scale: float, glyphs: Mapping[str, str]) -> str:
    bar = ""
    for phase, start, end in runs(row, scale):
        bar = bar.ljust(start) + glyphs[phase] * (end - start)
    return bar


def _text_axis(columns: int, scale: float) -> str:
    *others, last = ticks(columns / scale, columns // 12)
    end = f"{last:,} ms"
    end_column = min(round(last * scale), columns - len(end))
    line = ""
    for tick in others:
        mark = f"{tick:,}"
        column = round(tick * scale)
        if column + len(mark) < end_column:  # where they would touch, the last one alone is written
            line = line.ljust(column) + mark
    return line.ljust(end_column) + end


def scale_of(lanes: Sequence[Lane], columns: int) -> float:
    """Give the columns of a millisecond; the last column is for what ends with the lane and takes no time."""
    ends = [exchange.end_ms for lane in lanes for exchange in lane.exchanges]
    return (columns - 1) / max(1.0, *ends, *(lane.total_ms for lane in lanes))


def ticks(span: float, most: int) -> list[int]:
    """Give round milliseconds from 0 on."""
    steps = (digit * 10**power for power in count() for digit in (1, 2, 5))
    step = next(step for step in steps if span / step <= most)
    return list(range(0, int(span) + 1, step))


def runs(row: Row, scale: float) -> Iterator[tuple[str, int, int]]:
    """Give what a row shows from column to column."""
    changes = defaultdict[int, Counter[str]](Counter)
    for exchange in row:
        for phase, start, end in _phases(exchange, scale):
            changes[start][phase] += 1
            changes[end][phase] -= 1
    now = Counter[str]()
    for start, end in pairwise(sorted(changes)):
        now.update(changes[start])
        phase = "failed" if now["failed"] else max(PHASES, key=now.__getitem__)
        if now[phase]:
            yield phase, start, end


def _phases(exchange: Exchange, scale: float) -> Iterator[tuple[str, int, int]]:
    """Give an exchange's phases in columns: at least one, however short it was."""
    start, end = round(exchange.start_ms * scale), round(exchange.end_ms * scale)
    end = max(end, start + 1)
    yield "wait", round(exchange.ready_ms * scale), start
    if exchange.ok and exchange.first_byte_ms is not None:
        begun = min(round(exchange.first_byte_ms * scale), end)
        yield from (("first", start, begun), ("body", begun, end))
    else:
        yield "failed", start, end


def label(row: Row) -> str:
    """Name a row by its first number."""
    return "all" if row[0].number is None else str(row[0].number)
