"""The waterfall as SVG. motion.py has how it moves."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from pokemon_names.views import motion, waterfall
from pokemon_names.views.waterfall import PHASES, Bar, Lane, Row
from pokemon_names.views.words import format_duration, plural, two_digits, unit_of

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

_COLUMNS = 1000  # of a plot, however wide it is shown
_MAX_ROWS = 150  # of a lane alone
_MAX_TICKS = 6  # a phone has no room for more
_SLIVER = 6  # a lane is magnified if the span is longer by this factor

# Places and widths in percent of the picture's width.
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
_CAPTION = 16  # of what is magnified
_ROWS = 700  # of a lane alone; of four a seventh each, so that a screen shows them all
_MIN_ROW = 4
_MAX_ROW = 18

# Of a document, in pixels.
_DOCUMENT_WIDTH = 1000
_MARGIN = 20
_HEADLINE = 68

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


class Drawing:
    """The lanes on one time axis.

    `elements` are what it consists of, `about` is the same in words, for those who cannot see it.
    `height` is in pixels.
    """

    def __init__(self, lanes: Sequence[Lane], title: str) -> None:
        self._span_ms = waterfall.span_of(lanes)
        self._share = 2 * len(lanes) - 1
        self.about = _about(lanes, title, self._span_ms)
        self.elements: list[str] = []
        self.height = _LEGEND
        self._add(_STRIPES)
        self._add(*_legend())
        self._add(motion.curtain("curtain", _LEFT, _WIDTH, self._span_ms))
        bottom = self.height
        for lane in lanes:
            bottom = self._add_lane(lane)
        self._add(*_now(self._span_ms, bottom))
        self._add(*_axis(self._span_ms, bottom))
        self.height = bottom + _AXIS

    def _add(self, *elements: str) -> None:
        self.elements.extend(elements)

    def _add_lane(self, lane: Lane) -> int:
        """Add a lane, and return where it ends."""
        rows = lane.rows(_MAX_ROWS // self._share)
        plot = Plot(rows, self.height + _HEADER, _row_height(len(rows), self._share))
        self._add(*_header(lane, self.height, self._span_ms))
        self._add(*plot.labels())
        self._add(*_grid(self._span_ms, plot.top, plot.bottom))
        self._add(*plot.bars("curtain", _LEFT, _WIDTH, lane.total_ms, self._span_ms))
        self.height = plot.bottom + _GAP
        lane_ms = waterfall.span_of([lane])
        if len(rows) > 1 and lane_ms * _SLIVER < self._span_ms:
            self._add(*_inset(plot, lane_ms, self._span_ms))
            return plot.bottom + _CAPTION
        return plot.bottom


class Plot:
    """The rows of a lane, from its top to its bottom in pixels."""

    def __init__(self, rows: Sequence[Row], top: int, row_height: int) -> None:
        self.top = top
        self.height = row_height * len(rows)
        self.bottom = top + self.height
        self._rows = rows
        self._row_height = row_height

    def labels(self) -> Iterator[str]:
        """Yield the numbers of as many rows as there is room for."""
        rows_per_label = math.ceil(_LABEL / self._row_height)
        for index in range(0, len(self._rows), rows_per_label):
            middle = self.top + self._row_height * (index + 0.5)
            number = waterfall.label(self._rows[index])
            yield _text("dim number", _LEFT - 1, middle + 4, number)

    def bars(
        self, curtain: str, left: float, width: float, total_ms: float, span_ms: float
    ) -> Iterator[str]:
        """Yield the bars, behind a curtain, and under them how long the lane took.

        Args:
            curtain: The id of the curtain.
            left: Where the plot begins, in percent.
            width: How much room the span has, in percent.
            total_ms: How long the lane took.
            span_ms: The end of the time axis.
        """
        scale = waterfall.scale_of(span_ms, _COLUMNS)
        view = f'viewBox="0 0 {_COLUMNS} {self.height}" preserveAspectRatio="none"'
        took = f'width="{total_ms * scale:.1f}" height="{self.height}"'
        yield f'<g clip-path="url(#{curtain})">'
        yield f"<svg {self.place(left, width)} {view}>"
        yield f'<rect class="took" {took}/>'
        for index, row in enumerate(self._rows):
            yield f"<g><title>{_row_in_words(row)}</title>"
            for bar in waterfall.bars(row, scale):
                yield _bar(bar, self._row_height * index, self._row_height)
            yield "</g>"
        yield "</svg></g>"

    def place(self, left: float, width: float) -> str:
        """Return the attributes of an element that covers the plot."""
        x = f'x="{left}%" width="{width}%"'
        y = f'y="{self.top}" height="{self.height}"'
        return f"{x} {y}"


def inline(lanes: Sequence[Lane], title: str, place: str) -> str:
    """Return the picture for a page that has waterfall.css, as wide as its place there.

    Its end is a link that plays it again, and leads to the element of that id.
    """
    drawing = Drawing(lanes, title)
    elements = "\n".join(drawing.elements)
    height = drawing.height
    return f"""<svg id="{motion.PICTURE}" width="100%" height="{height}">
<g {_ROLE}>
{drawing.about}
{elements}
</g>
<a id="{motion.AGAIN}" href="#{place}">
<rect x="80%" y="{height - 28}" width="20%" height="28"/>
{_text("end", _RIGHT, height - 9, "Replay")}
</a>
</svg>"""


def document(lanes: Sequence[Lane], title: str) -> str:
    """Return the picture with its title as a document of its own, for a file or an image."""
    drawing = Drawing(lanes, title)
    elements = "\n".join(drawing.elements)
    result, _, details = title.partition(": ")
    top = _MARGIN + _HEADLINE
    width = _DOCUMENT_WIDTH
    height = top + drawing.height + _MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    inner_size = f'width="{width - 2 * _MARGIN}" height="{drawing.height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" id="{motion.PICTURE}" {_ROLE} {size}>
{drawing.about}
<style>{DOCUMENT_STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
<text class="headline" x="{_MARGIN}" y="{_MARGIN + 22}">{escape(result)}</text>
<text class="details" x="{_MARGIN}" y="{_MARGIN + 48}">{escape(details)}</text>
<svg x="{_MARGIN}" y="{top}" {inner_size}>
{elements}
</svg>
</svg>
"""


def _about(lanes: Sequence[Lane], title: str, span_ms: float) -> str:
    sentences = []
    for lane in lanes:
        duration = format_duration(lane.total_ms, span_ms)
        sentences.append(f"{lane.title}: {duration}, {lane.note}.")
    words = escape(" ".join(sentences))
    return f'<title id="title">{escape(title)}</title><desc id="words">{words}</desc>'


def _row_height(rows: int, share: int) -> int:
    if rows == 0:
        return _MAX_ROW
    height = _ROWS // share // rows
    return max(_MIN_ROW, min(_MAX_ROW, height))


def _header(lane: Lane, top: int, span_ms: float) -> Iterator[str]:
    """Yield what a lane is, and its result, which appears when the lane has ended."""
    duration = format_duration(lane.total_ms, span_ms)
    yield _text("lane", 0, top + 15, lane.title)
    yield '<g class="result">'
    yield motion.visibility("hidden", lane.total_ms)
    yield _text("lane end", _RIGHT, top + 15, duration)
    yield _text("dim", 0, top + 34, lane.note)
    yield "</g>"


def _inset(plot: Plot, lane_ms: float, span_ms: float) -> Iterator[str]:
    """Yield a lane that is a sliver once more, magnified, in the empty space beside it."""
    end = _LEFT + _WIDTH * lane_ms / span_ms
    factor = two_digits(_INSET_WIDTH / _WIDTH * span_ms / lane_ms)
    lens = f"lens-{plot.top}"
    yield _line("guide", end, _INSET_LEFT, plot.top, plot.top)
    yield _line("guide", end, _INSET_LEFT, plot.bottom, plot.bottom)
    yield f'<rect class="inset" {plot.place(_INSET_LEFT, _INSET_WIDTH)}/>'
    yield motion.curtain(lens, _INSET_LEFT, _INSET_WIDTH, lane_ms)
    yield from plot.bars(lens, _INSET_LEFT, _INSET_WIDTH, lane_ms, lane_ms)
    yield _text("dim", _INSET_LEFT, plot.bottom + 14, f"magnified {factor} times")
    yield _text("dim end", _RIGHT, plot.bottom + 14, format_duration(lane_ms, span_ms))


def _legend() -> Iterator[str]:
    for phase, (left, line) in _LEGEND_PLACES.items():
        bar = Bar(phase, start=0, end=18)
        top = 2 + line * _LEGEND_LINE
        yield f'<svg x="{left}%" y="{top}" width="18" height="10">{_bar(bar, 0, 10)}</svg>'
        yield f'<text x="{left}%" y="{top + 9}" dx="24">{PHASES[phase].label}</text>'


def _now(span_ms: float, bottom: int) -> Iterator[str]:
    """Yield the line that goes with the time, while it does."""
    y = f'y1="{_LEGEND}" y2="{bottom}"'
    yield f'<line class="now" x1="{_LEFT}%" x2="{_LEFT}%" {y} visibility="hidden">'
    yield motion.visibility("visible", span_ms)
    for end in ("x1", "x2"):
        yield motion.animate(end, f"{_LEFT}%", f"{_RIGHT}%", span_ms)
    yield "</line>"


def _grid(span_ms: float, top: float, bottom: float) -> Iterator[str]:
    for _, x in _ticks(span_ms):
        yield _line("grid", x, x, top, bottom)


def _axis(span_ms: float, bottom: float) -> Iterator[str]:
    unit, unit_ms = unit_of(span_ms)
    for tick, x in _ticks(span_ms):
        yield _text("dim tick", x, bottom + 17, f"{tick / unit_ms:g}")
    yield _text("dim", _LEFT, bottom + 35, f"{_UNITS[unit]} since the strategy began")


def _ticks(span_ms: float) -> Iterator[tuple[int, float]]:
    """Yield each tick with its place in percent."""
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
    height = PHASES[bar.phase].height * row_height
    top = row_top + (row_height - height) / 2
    x = f'x="{bar.start}" width="{bar.end - bar.start}"'
    y = f'y="{top:.1f}" height="{height:.1f}"'
    return f'<rect class="{bar.phase}" {x} {y}/>'


def _text(style: str, x: float, y: float, text: str) -> str:
    """Return a text at a place in percent and pixels."""
    place = f'x="{x:.4g}%" y="{y:g}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _line(style: str, x1: float, x2: float, y1: float, y2: float) -> str:
    """Return a line between places in percent and pixels."""
    x = f'x1="{x1:.4g}%" x2="{x2:.4g}%"'
    y = f'y1="{y1}" y2="{y2}"'
    return f'<line class="{style}" {x} {y}/>'
