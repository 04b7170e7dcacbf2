"""The waterfall as text for a terminal."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from pokemon_names.views.waterfall import (
    PHASES,
    Lane,
    Row,
    bars,
    label,
    scale_of,
    span_of,
    ticks,
)
from pokemon_names.views.words import format_duration, unit_of
from tests.tools.output import wrap

GLYPHS = {"queued": "·", "waiting": "─", "downloading": "█", "failed": "×"}  # noqa: RUF001  on purpose
ASCII_GLYPHS = {"queued": ".", "waiting": "-", "downloading": "#", "failed": "x"}

_COLUMNS_PER_TICK = 12


def text(lanes: Sequence[Lane], *, plain: bool = False, width: int = 80, max_rows: int = 24) -> str:
    """Return the waterfall in lines of at most `width` characters; `plain` uses only ASCII."""
    glyphs = ASCII_GLYPHS if plain else GLYPHS
    rows_per_lane = max(1, max_rows // len(lanes))
    plots = [(lane, lane.rows(rows_per_lane)) for lane in lanes]
    labels = [label(row) for _, rows in plots for row in rows]
    gutter = max(map(len, labels), default=0) + 1
    columns = width - gutter
    span_ms = span_of(lanes)
    scale = scale_of(span_ms, columns)
    lines = []
    for lane, rows in plots:
        header = f"{lane.title}, {format_duration(lane.total_ms, span_ms)}"
        if lane.note:
            header += f", {lane.note}"
        lines.extend(wrap(header, width))
        lines.extend(f"{label(row):>{gutter - 1}} {_line(row, scale, glyphs)}" for row in rows)
    indent = " " * gutter
    lines.append(indent + _axis(columns, span_ms))
    lines.extend(indent + line for line in _legend(glyphs, columns))
    return "\n".join(lines)


def is_plain(stream: TextIO) -> bool:
    """Return whether a stream can show only ASCII."""
    try:
        "".join(GLYPHS.values()).encode(stream.encoding)
    except UnicodeEncodeError:
        return True
    return os.environ.get("TERM") == "dumb"


def _line(row: Row, scale: float, glyphs: Mapping[str, str]) -> str:
    line = ""
    for bar in bars(row, scale):
        line = line.ljust(bar.start) + glyphs[bar.phase] * (bar.end - bar.start)
    return line


def _legend(glyphs: Mapping[str, str], columns: int) -> Iterator[str]:
    """Yield the legend, on as many lines as it needs."""
    line = ""
    for phase, name in PHASES.items():
        entry = f"{glyphs[phase]} {name}"
        if line and len(f"{line}   {entry}") > columns:
            yield line
            line = ""
        line = f"{line}   {entry}" if line else entry
    yield line


def _axis(columns: int, span_ms: float) -> str:
    scale = scale_of(span_ms, columns)
    unit, unit_ms = unit_of(span_ms)
    *others, last = ticks(span_ms, max(1, columns // _COLUMNS_PER_TICK))
    end = f"{last / unit_ms:g} {unit}"
    end_column = min(round(last * scale), columns - len(end))
    line = ""
    for tick in others:
        mark = f"{tick / unit_ms:g}"
        column = round(tick * scale)
        if column + len(mark) < end_column:  # otherwise it would touch the last one
            line = line.ljust(column) + mark
    return line.ljust(end_column) + end
