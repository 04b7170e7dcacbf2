"""The waterfall as text, for a terminal."""

from collections.abc import Mapping, Sequence

from pokemon_names.views.waterfall import PHASES, Lane, Row, bars, label, scale_of, ticks

GLYPHS = {"wait": "·", "first": "─", "body": "█", "failed": "×"}  # noqa: RUF001  meant
ASCII_GLYPHS = {"wait": ".", "first": "-", "body": "#", "failed": "x"}

_COLUMNS_PER_TICK = 12


def text(lanes: Sequence[Lane], *, plain: bool = False, width: int = 80, max_rows: int = 24) -> str:
    """Return the waterfall in lines of at most `width`; `plain` is in ASCII alone."""
    glyphs = ASCII_GLYPHS if plain else GLYPHS
    rows_per_lane = max(1, max_rows // len(lanes))
    plots = [(lane, lane.rows(rows_per_lane)) for lane in lanes]
    labels = [label(row) for _, rows in plots for row in rows]
    gutter = max(map(len, labels), default=0) + 1
    columns = width - gutter
    scale = scale_of(lanes, columns)
    lines = []
    for lane, rows in plots:
        lines.append(f"{lane.title}: {lane}")
        lines.extend(f"{label(row):>{gutter - 1}} {_line(row, scale, glyphs)}" for row in rows)
    legend = "   ".join(f"{glyphs[name]} {phase.label}" for name, phase in PHASES.items())
    indent = " " * gutter
    lines.append(indent + _axis(columns, scale))
    lines.append(indent + legend)
    return "\n".join(lines)


def _line(row: Row, scale: float, glyphs: Mapping[str, str]) -> str:
    line = ""
    for bar in bars(row, scale):
        line = line.ljust(bar.start) + glyphs[bar.phase] * (bar.end - bar.start)
    return line


def _axis(columns: int, scale: float) -> str:
    *others, last = ticks(columns / scale, columns // _COLUMNS_PER_TICK)
    end = f"{last:,} ms"
    end_column = min(round(last * scale), columns - len(end))
    line = ""
    for tick in others:
        mark = f"{tick:,}"
        column = round(tick * scale)
        if column + len(mark) < end_column:  # where they would touch, only the last is written
            line = line.ljust(column) + mark
    return line.ljust(end_column) + end
