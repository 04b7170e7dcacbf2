"""A line chart over time, with lanes above it for events and periods.

It is an SVG for light and dark pages. Plotting libraries are no alternative, because they write the
colours of one theme, and text as outlines.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

Point = tuple[float, float]
"""A time in seconds, and a value."""
Span = tuple[float, float]
"""A start and an end, in seconds."""

STYLE = """
:root { max-width: 100%; height: auto; background: #fff }
svg { font: 13px system-ui, sans-serif; fill: #1f2328 }
.paper { fill: #fff }
.title { font-size: 18px; font-weight: 700 }
.panel { font-weight: 600 }
.dim { fill: #59636e }
.end { text-anchor: end }
.tick { text-anchor: middle }
.grid { stroke: #8c959f4d }
.lane { fill: #8c959f1f }
.span { fill: #bc4c00 }
.line { fill: none; stroke-width: 1.5; stroke-linejoin: round }
.line0 { stroke: #0a56b8 }
.line1 { stroke: #1a7f37 }
.name0 { fill: #0a56b8 }
.name1 { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
  :root { background: #0d1117 }
  svg { fill: #e6edf3 }
  .paper { fill: #0d1117 }
  .dim { fill: #9198a1 }
  .span { fill: #f0883e }
  .line0 { stroke: #74b9f5 }
  .line1 { stroke: #56d364 }
  .name0 { fill: #74b9f5 }
  .name1 { fill: #56d364 }
}
"""
WIDTH = 800
LEFT = 84
RIGHT = 784
TOP = 64
LANE = 18
PANEL = 150
GAP = 44
MAX_TICKS = 10
TICKS = (1, 2, 5, 10, 30, 60, 120, 300, 600)  # seconds


class Panel(NamedTuple):
    """Up to two named lines on one axis, which starts at zero."""

    title: str
    lines: Mapping[str, Sequence[Point]]


def chart(title: str, lanes: Mapping[str, Sequence[Span]], panels: Sequence[Panel]) -> str:
    """Return the SVG: the lanes with their spans, and the panels below them."""
    values = [point for panel in panels for line in panel.lines.values() for point in line]
    ends = [span[1] for spans in lanes.values() for span in spans]
    seconds = max([1.0, *ends, *(at for at, _ in values)])
    scale = (RIGHT - LEFT) / seconds
    elements = list(_lanes(lanes, scale))
    top = TOP + LANE * len(lanes) + GAP
    for panel in panels:
        elements += _panel(panel, top, scale)
        top += PANEL + GAP
    elements += _time_axis(seconds, scale, top - GAP)
    height = top + 8
    drawn = "\n".join(elements)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" \
viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">
<title id="title">{escape(title)}</title>
<style>{STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
<text class="title" x="16" y="32">{escape(title)}</text>
{drawn}
</svg>
"""


def _lanes(lanes: Mapping[str, Sequence[Span]], scale: float) -> Iterator[str]:
    for index, (name, spans) in enumerate(lanes.items()):
        top = TOP + index * LANE
        height = LANE - 4
        yield _text("dim end", LEFT - 8, top + 12, name)
        yield f'<rect class="lane" x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{height}"/>'
        marks = "".join(
            f"M{LEFT + begin * scale:.1f} {top}h{max(1.5, (end - begin) * scale):.1f}v{height}"
            f"H{LEFT + begin * scale:.1f}z"
            for begin, end in spans
        )
        yield f'<path class="span" d="{marks}"/>'


def _panel(panel: Panel, top: int, scale: float) -> Iterator[str]:
    bottom = top + PANEL
    step = _step(max((value for line in panel.lines.values() for _, value in line), default=1.0))
    highest = 4 * step
    yield _text("panel", LEFT, top - 12, panel.title)
    for value in range(0, highest + 1, step):
        y = bottom - PANEL * value / highest
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield _text("dim end", LEFT - 8, y + 4, f"{value}")
    for index, (name, line) in enumerate(panel.lines.items()):
        places = [(LEFT + at * scale, bottom - PANEL * value / highest) for at, value in line]
        yield f'<polyline class="line line{index}" points="{_points(places)}"/>'
        if len(panel.lines) > 1:
            yield _text(f"panel name{index} end", RIGHT - 100 * index, top - 12, name)


def _points(places: Sequence[Point]) -> str:
    """Return at most two points for each column of pixels: the lowest and the highest."""
    points = []
    for x, group in groupby(places, key=lambda place: round(place[0])):
        heights = [y for _, y in group]
        points += [f"{x},{y:.1f}" for y in dict.fromkeys((max(heights), min(heights)))]
    return " ".join(points)


def _step(highest: float) -> int:
    """Return a quarter of the axis, rounded up to a round number."""
    magnitude = int(10 ** math.floor(math.log10(max(1.0, highest / 4))))
    steps = [factor * magnitude for factor in (1, 2, 3, 4, 5, 10)]
    return next(step for step in steps if 4 * step >= highest)


def _time_axis(seconds: float, scale: float, bottom: int) -> Iterator[str]:
    step = next((tick for tick in TICKS if seconds / tick <= MAX_TICKS), TICKS[-1])
    unit, length = ("minutes", 60) if step >= 60 else ("seconds", 1)
    for at in range(0, math.floor(seconds) + 1, step):
        yield _text("dim tick", LEFT + at * scale, bottom + 20, f"{at // length}")
    yield _text("dim", LEFT, bottom + 40, unit)


def _text(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
