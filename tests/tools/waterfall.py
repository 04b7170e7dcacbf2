"""The waterfall as text for a terminal."""

import os
import sys
from collections.abc import Mapping, Sequence

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
        lines.append(header[:width])
        lines.extend(f"{label(row):>{gutter - 1}} {_line(row, scale, glyphs)}" for row in rows)
    legend = "   ".join(f"{glyphs[phase]} {name}" for phase, name in PHASES.items())
    indent = " " * gutter
    lines.append(indent + _axis(columns, span_ms))
    lines.append(indent + legend)
    return "\n".join(lines)


def is_plain() -> bool:
    """Return whether the standard output can show only ASCII."""
    try:
        "".join(GLYPHS.values()).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return True
    return os.environ.get("TERM") == "dumb"


def _line(row: Row, scale: float, glyphs: Mapping[str, str]) -> str:
    line = ""
    for bar in bars(row, scale):
        line = line.ljust(bar.start) + glyphs[bar.phase] * (bar.end - bar.start)
    return line


def _axis(columns: int, span_ms: float) -> str:
    scale = scale_of(span_ms, columns)
    unit, unit_ms = unit_of(span_ms)
    *others, last = ticks(span_ms, columns // _COLUMNS_PER_TICK)
    end = f"{last / unit_ms:g} {unit}"
    end_column = min(round(last * scale), columns - len(end))
    line = ""
    for tick in others:
        mark = f"{tick / unit_ms:g}"
        column = round(tick * scale)
        if column + len(mark) < end_column:  # otherwise it would touch the last one
            line = line.ljust(column) + mark
    return line.ljust(end_column) + end
