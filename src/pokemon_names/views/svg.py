"""The waterfall as SVG; motion.py animates it."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import msgspec

from pokemon_names.views import motion, waterfall
from pokemon_names.views.waterfall import PHASES, Bar, Lane, Row
from pokemon_names.views.words import format_duration, one_line, plural, two_digits, unit_of

STYLE = Path(__file__).with_name("waterfall.css").read_text(encoding="utf-8")
DOCUMENT_STYLE = (
    STYLE
    + """:root { max-width: 100%; height: auto; background: #fff }
.headline { font-size: 28px; font-weight: 700 }
.details { font-size: 16px; font-weight: 600 }
.paper { fill: #fff }
@media (prefers-color-scheme: dark) {
  :root { background: #0d1117 }
  .paper { fill: #0d1117 }
}
"""
)

_COLUMNS = 1000  # of a plot, however wide it is displayed
_MAX_ROWS = 150  # of a single lane
_MAX_TICKS = 6  # a phone has no space for more
_SLIVER = 6  # a lane is magnified if the time axis is longer than the lane by this factor

# Positions and widths in percent of the picture's width.
_LEFT = 9
_WIDTH = 89
_RIGHT = _LEFT + _WIDTH
_INSET_LEFT = 28
_INSET_WIDTH = _RIGHT - _INSET_LEFT

# Heights in pixels.
_LEGEND = 44
_LEGEND_LINE = 18
_HEADER = 44
_GAP = 22
_AXIS = 44
_LABEL = 14
_CAPTION = 16  # of an inset
_ROWS = 700  # of a single lane; four lanes have a seventh each, so a screen shows them all
_MIN_ROW = 4
_MAX_ROW = 18

# Sizes of a document in pixels.
_DOCUMENT_WIDTH = 1000
_MARGIN = 20
_HEADLINE = 68

# A bar's share of its row's height. Heights distinguish the phases as colours do.
_HEIGHTS = {"queued": 0.2, "waiting": 0.6, "downloading": 0.9, "failed": 0.9}

_LEGEND_PLACES = {  # in percent and lines
    "queued": (_LEFT, 0),
    "failed": (_LEFT, 1),
    "waiting": (40, 0),
    "downloading": (40, 1),
}
_STRIPES = (
    '<defs><pattern id="stripes" width="8" height="8" patternUnits="userSpaceOnUse">'
    '<rect class="stripe" width="5" height="8"/></pattern></defs>'
)
_ROLE = 'role="img" aria-labelledby="title" aria-describedby="words"'
_UNITS = {"s": "seconds", "ms": "ms"}


class Plot(msgspec.Struct, frozen=True):
    """A lane's rows, and where they are drawn: `top` and `row_height` are in pixels."""

    lane: Lane
    rows: Sequence[Row]
    top: int
    row_height: int

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.row_height * len(self.rows)

    @property
    def bottom(self) -> int:
        """The lower edge in pixels."""
        return self.top + self.height


def inline(lanes: Sequence[Lane], title: str, anchor: str) -> str:
    """Return the picture for a page that includes waterfall.css, as wide as its container.

    It ends with a link that plays it again and leads to the element whose id is the anchor.
    """
    span_ms = waterfall.span_of(lanes)
    elements, height = _drawing(lanes, span_ms)
    return f"""<svg id="{motion.PICTURE}" width="100%" height="{height}">
<g {_ROLE}>
{_about(lanes, title, span_ms)}
{elements}
</g>
<a id="{motion.AGAIN}" href="#{anchor}">
<rect x="80%" y="{height - 28}" width="20%" height="28"/>
{_text("end", _RIGHT, height - 9, "Replay")}
</a>
</svg>"""


def document(lanes: Sequence[Lane], result: str, details: str = "") -> str:
    """Return the picture under its headline as a document of its own, for a file or an image."""
    span_ms = waterfall.span_of(lanes)
    elements, inner_height = _drawing(lanes, span_ms)
    top = _MARGIN + _HEADLINE
    width = _DOCUMENT_WIDTH
    height = top + inner_height + _MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    inner_size = f'width="{width - 2 * _MARGIN}" height="{inner_height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" id="{motion.PICTURE}" {_ROLE} {size}>
{_about(lanes, one_line(result, details), span_ms)}
<style>{DOCUMENT_STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
<text class="headline" x="{_MARGIN}" y="{_MARGIN + 22}">{escape(result)}</text>
<text class="details" x="{_MARGIN}" y="{_MARGIN + 48}">{escape(details)}</text>
<svg x="{_MARGIN}" y="{top}" {inner_size}>
{elements}
</svg>
</svg>
"""


def _drawing(lanes: Sequence[Lane], span_ms: float) -> tuple[str, int]:
    """Return the lanes on one time axis, and their height in pixels."""
    plots = list(_plots(lanes))
    bottom = _bottom(plots[-1], span_ms)
    elements = [_STRIPES, *_legend(), motion.curtain("curtain", _LEFT, _WIDTH, span_ms)]
    for plot in plots:
        elements += _lane(plot, span_ms)
    elements += _now(span_ms, bottom)
    elements += _axis(span_ms, bottom)
    return "\n".join(elements), bottom + _AXIS


def _plots(lanes: Sequence[Lane]) -> Iterator[Plot]:
    """Yield the plot of each lane, from top to bottom.

    A single lane gets all rows and the full height. Of `n` lanes, each gets one of `2n - 1` equal
    parts, because the gaps between them also take space.
    """
    parts = 2 * len(lanes) - 1
    top = _LEGEND + _HEADER
    for lane in lanes:
        rows = lane.rows(_MAX_ROWS // parts)
        plot = Plot(lane, rows, top, _row_height(len(rows), parts))
        yield plot
        top = plot.bottom + _GAP + _HEADER


def _row_height(rows: int, parts: int) -> int:
    if rows == 0:
        return _MAX_ROW
    height = _ROWS // parts // rows
    return max(_MIN_ROW, min(_MAX_ROW, height))


def _bottom(last: Plot, span_ms: float) -> int:
    """Return where the lanes end and the axis begins."""
    if _is_sliver(last, span_ms):
        return last.bottom + _CAPTION
    return last.bottom


def _is_sliver(plot: Plot, span_ms: float) -> bool:
    """Return whether a lane is too short to read; magnifying a single row would show no more."""
    return len(plot.rows) > 1 and waterfall.span_of([plot.lane]) * _SLIVER < span_ms


def _about(lanes: Sequence[Lane], title: str, span_ms: float) -> str:
    """Return the picture in words, for those who cannot see it."""
    sentences = []
    for lane in lanes:
        duration = format_duration(lane.total_ms, span_ms)
        sentences.append(f"{lane.title}: {duration}, {lane.note}.")
    words = escape(" ".join(sentences))
    return f'<title id="title">{escape(title)}</title><desc id="words">{words}</desc>'


def _lane(plot: Plot, span_ms: float) -> Iterator[str]:
    yield from _header(plot.lane, plot.top - _HEADER, span_ms)
    yield from _labels(plot)
    yield from _grid(plot, span_ms)
    place = _place(plot, _LEFT, _WIDTH)
    yield from _bars(plot, "curtain", place, plot.lane.total_ms, span_ms)
    if _is_sliver(plot, span_ms):
        yield from _inset(plot, span_ms)


def _header(lane: Lane, top: int, span_ms: float) -> Iterator[str]:
    """Yield a lane's title, and its result, which appears when the lane has ended."""
    duration = format_duration(lane.total_ms, span_ms)
    yield _text("lane", 0, top + 15, lane.title)
    yield '<g class="result">'
    yield motion.visibility("hidden", lane.total_ms)
    yield _text("lane end", _RIGHT, top + 15, duration)
    yield _text("dim", 0, top + 34, lane.note)
    yield "</g>"


def _labels(plot: Plot) -> Iterator[str]:
    """Yield the labels of as many rows as there is space for."""
    rows_per_label = math.ceil(_LABEL / plot.row_height)
    for index in range(0, len(plot.rows), rows_per_label):
        middle = plot.top + plot.row_height * (index + 0.5)
        yield _text("dim number", _LEFT - 1, middle + 4, waterfall.label(plot.rows[index]))


def _bars(plot: Plot, curtain: str, place: str, took_ms: float, span_ms: float) -> Iterator[str]:
    """Yield the bars of a lane, and under them a background as long as the lane took.

    Args:
        plot: The rows.
        curtain: The id of the clip path that uncovers the bars.
        place: Attributes with the position and the size.
        took_ms: How long the lane took.
        span_ms: The end of the time axis.
    """
    scale = waterfall.scale_of(span_ms, _COLUMNS)
    view = f'viewBox="0 0 {_COLUMNS} {plot.height}" preserveAspectRatio="none"'
    took = f'width="{took_ms * scale:.1f}" height="{plot.height}"'
    yield f'<g clip-path="url(#{curtain})">'
    yield f"<svg {place} {view}>"
    yield f'<rect class="took" {took}/>'
    for index, row in enumerate(plot.rows):
        yield f"<g><title>{_row_in_words(row)}</title>"
        for bar in waterfall.bars(row, scale):
            yield _bar(bar, plot.row_height * index, plot.row_height)
        yield "</g>"
    yield "</svg></g>"


def _place(plot: Plot, left: float, width: float) -> str:
    """Return the attributes of an element as high as the plot. `left` and `width` are percent."""
    return f'x="{left}%" width="{width}%" y="{plot.top}" height="{plot.height}"'


def _inset(plot: Plot, span_ms: float) -> Iterator[str]:
    """Yield a sliver again, magnified, in the empty space next to it."""
    lane_ms = waterfall.span_of([plot.lane])
    end = _LEFT + _WIDTH * lane_ms / span_ms
    factor = two_digits(_INSET_WIDTH / _WIDTH * span_ms / lane_ms)
    lens = f"lens-{plot.top}"
    place = _place(plot, _INSET_LEFT, _INSET_WIDTH)
    yield _line("guide", end, _INSET_LEFT, plot.top, plot.top)
    yield _line("guide", end, _INSET_LEFT, plot.bottom, plot.bottom)
    yield f'<rect class="inset" {place}/>'
    yield motion.curtain(lens, _INSET_LEFT, _INSET_WIDTH, lane_ms)
    yield from _bars(plot, lens, place, lane_ms, lane_ms)
    yield _text("dim", _INSET_LEFT, plot.bottom + 14, f"magnified {factor} times")
    yield _text("dim end", _RIGHT, plot.bottom + 14, format_duration(lane_ms, span_ms))


def _legend() -> Iterator[str]:
    for phase, (left, line) in _LEGEND_PLACES.items():
        bar = Bar(phase, start=0, end=18)
        top = 2 + line * _LEGEND_LINE
        yield f'<svg x="{left}%" y="{top}" width="18" height="10">{_bar(bar, 0, 10)}</svg>'
        yield f'<text x="{left}%" y="{top + 9}" dx="24">{PHASES[phase]}</text>'


def _now(span_ms: float, bottom: int) -> Iterator[str]:
    """Yield the line that moves with the time; it is visible only while it moves."""
    y = f'y1="{_LEGEND}" y2="{bottom}"'
    yield f'<line class="now" x1="{_LEFT}%" x2="{_LEFT}%" {y} visibility="hidden">'
    yield motion.visibility("visible", span_ms)
    for end in ("x1", "x2"):
        yield motion.animate(end, f"{_LEFT}%", f"{_RIGHT}%", span_ms)
    yield "</line>"


def _grid(plot: Plot, span_ms: float) -> Iterator[str]:
    for _, x in _ticks(span_ms):
        yield _line("grid", x, x, plot.top, plot.bottom)


def _axis(span_ms: float, bottom: float) -> Iterator[str]:
    unit, unit_ms = unit_of(span_ms)
    for tick, x in _ticks(span_ms):
        yield _text("dim tick", x, bottom + 17, f"{tick / unit_ms:g}")
    yield _text("dim", _LEFT, bottom + 35, f"{_UNITS[unit]} since the strategy began")


def _ticks(span_ms: float) -> Iterator[tuple[int, float]]:
    """Yield each tick and its position in percent."""
    for tick in waterfall.ticks(span_ms, _MAX_TICKS):
        yield tick, _LEFT + _WIDTH * tick / span_ms


def _row_in_words(row: Row) -> str:
    start = min(attempt.start_ms for attempt in row)
    end = max(attempt.end_ms for attempt in row)
    name = waterfall.label(row)
    numbers = {attempt.number for attempt in row}
    if len(numbers) > 1:
        name = f"{len(numbers)} numbers from {name}"
    return f"{name}: {plural(len(row), 'request')} from {start:,.1f} to {end:,.1f} ms"


def _bar(bar: Bar, row_top: float, row_height: float) -> str:
    height = _HEIGHTS[bar.phase] * row_height
    top = row_top + (row_height - height) / 2
    x = f'x="{bar.start}" width="{bar.end - bar.start}"'
    y = f'y="{top:.1f}" height="{height:.1f}"'
    return f'<rect class="{bar.phase}" {x} {y}/>'


def _text(style: str, x: float, y: float, text: str) -> str:
    """Return a text. `x` is in percent, `y` in pixels."""
    place = f'x="{x:.4g}%" y="{y:g}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _line(style: str, x1: float, x2: float, y1: float, y2: float) -> str:
    """Return a line. `x1` and `x2` are in percent, `y1` and `y2` in pixels."""
    x = f'x1="{x1:.4g}%" x2="{x2:.4g}%"'
    y = f'y1="{y1}" y2="{y2}"'
    return f'<line class="{style}" {x} {y}/>'
