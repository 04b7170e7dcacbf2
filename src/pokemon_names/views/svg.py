"""The waterfall as SVG; motion.py animates it."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import msgspec

from pokemon_names.views import motion, waterfall
from pokemon_names.views.waterfall import Bar, Lane, Row
from pokemon_names.views.words import MORAL, format_duration, one_line, plural, two_digits, unit_of

STYLE = Path(__file__).with_name("waterfall.css").read_text(encoding="utf-8")
DOCUMENT_STYLE = (
    STYLE
    + """:root { max-width: 100%; height: auto; background: #fff }
.headline { font-size: 26px; font-weight: 700 }
.details { font-size: 16px; font-weight: 600 }
.moral { font-size: 14px; font-weight: 600 }
.paper { fill: #fff }
@media (prefers-color-scheme: dark) {
  :root { background: #0d1117 }
  .paper { fill: #0d1117 }
}
"""
)

_COLUMNS = 1000  # of a plot, however wide it is displayed
_MAX_TICKS = 6  # a phone has no space for more
_SLIVER = 6  # a lane is magnified if the time axis is longer than the lane by this factor
_LENS_COLUMNS = 600  # how far a sliver is magnified
_MAX_COUNTS = 20  # how often the number of names changes while a lane runs
_COUNT_MS = 100  # for how long each of these numbers is shown, at least

# Positions and widths in percent of the picture's width.
_LEFT = 7
_WIDTH = 93
_LEGEND_PLACES = {"queued": 0, "waiting": 23, "downloading": 47, "failed": 80}

# Heights in pixels.
_LEGEND = 22
_HEADER = 40
_GAP = 12
_AXIS = 36
_SPREAD = 10  # between a sliver and its magnification
_LABEL = 12
_ROWS = 480  # of a single lane; four lanes have a seventh each, so a screen shows them all
_DOCUMENT_ROWS = 290
_MIN_ROW = 6
_MAX_ROW = 14

# Sizes of a document in pixels.
_DOCUMENT_WIDTH = 840
_MARGIN = 16
_HEADLINE = 56
_MORAL = 18

# A bar's share of its row's height. Heights distinguish the phases as colours do.
_HEIGHTS = {"queued": 0.2, "waiting": 0.6, "downloading": 0.9, "failed": 0.9}

_STRIPES = (
    '<defs><pattern id="stripes" width="8" height="8" patternUnits="userSpaceOnUse">'
    '<rect class="stripe" width="5" height="8"/></pattern></defs>'
)
_ROLE = 'role="img" aria-labelledby="title" aria-describedby="words"'
_UNITS = {"s": "seconds", "ms": "ms"}


class Plot(msgspec.Struct, frozen=True):
    """A lane's rows, and where they are drawn. `lens_height` is 0 unless they are magnified.

    `top`, `row_height` and `lens_height` are in pixels.
    """

    lane: Lane
    rows: Sequence[Row]
    top: int
    row_height: int
    lens_height: int = 0

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.row_height * len(self.rows)

    @property
    def bottom(self) -> int:
        """The lower edge of the rows in pixels."""
        return self.top + self.height

    @property
    def end(self) -> int:
        """The lower edge of the rows and their magnification in pixels."""
        return self.bottom + self.lens_height


def inline(lanes: Sequence[Lane], title: str, anchor: str) -> str:
    """Return the picture for a page that includes waterfall.css, as wide as its container.

    It ends with a link that plays it again and leads to the element whose id is the anchor.
    """
    span_ms = waterfall.span_of(lanes)
    elements, height = _drawing(lanes, span_ms, _ROWS)
    return f"""<svg id="{motion.PICTURE}" width="100%" height="{height}">
<g {_ROLE}>
{_about(lanes, title, span_ms)}
{elements}
</g>
<a id="{motion.AGAIN}" href="#{anchor}">
<rect x="80%" y="{height - 28}" width="20%" height="28"/>
{_text("end", 100, height - 5, "Replay")}
</a>
</svg>"""


def document(lanes: Sequence[Lane], result: str, details: str = "") -> str:
    """Return the picture under its headline as a document of its own, for a file or an image."""
    span_ms = waterfall.span_of(lanes)
    elements, inner_height = _drawing(lanes, span_ms, _DOCUMENT_ROWS)
    top = _MARGIN + _HEADLINE
    moral = top + inner_height + _MORAL
    width = _DOCUMENT_WIDTH
    height = moral + _MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    inner_size = f'width="{width - 2 * _MARGIN}" height="{inner_height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" id="{motion.PICTURE}" {_ROLE} {size}>
{_about(lanes, one_line(result, details), span_ms)}
<style>{DOCUMENT_STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
<text class="headline" x="{_MARGIN}" y="{_MARGIN + 20}">{escape(result)}</text>
<text class="details" x="{_MARGIN}" y="{_MARGIN + 44}">{escape(details)}</text>
<svg x="{_MARGIN}" y="{top}" {inner_size}>
{elements}
</svg>
<text class="moral" x="{_MARGIN}" y="{moral}">{MORAL}</text>
</svg>
"""


def _drawing(lanes: Sequence[Lane], span_ms: float, rows_height: int) -> tuple[str, int]:
    """Return the lanes on one time axis, and their height in pixels."""
    plots = list(_plots(lanes, span_ms, rows_height))
    bottom = plots[-1].end
    elements = [_STRIPES, *_legend(lanes), motion.curtain("curtain", _LEFT, _WIDTH, span_ms)]
    for plot in plots:
        elements += _lane(plot, span_ms)
    elements += _axis(span_ms, bottom)
    return "\n".join(elements), bottom + _AXIS


def _plots(lanes: Sequence[Lane], span_ms: float, rows_height: int) -> Iterator[Plot]:
    """Yield the plot of each lane, from top to bottom.

    A single lane gets the full height. Of `n` lanes, each gets one of `2n - 1` equal parts, because
    the gaps between them also take space.
    """
    height = rows_height // (2 * len(lanes) - 1)
    top = _LEGEND + _HEADER
    for lane in lanes:
        rows = lane.rows(height // _MIN_ROW)
        row_height = min(_MAX_ROW, height // max(1, len(rows)))
        lens_height = 0
        if _is_sliver(lane, rows, span_ms):
            lens_height = _SPREAD + row_height * len(rows) // 2
        plot = Plot(lane, rows, top, row_height, lens_height)
        yield plot
        top = plot.end + _GAP + _HEADER


def _is_sliver(lane: Lane, rows: Sequence[Row], span_ms: float) -> bool:
    """Return whether a lane is too short to read; magnifying a single row would show no more."""
    return len(rows) > 1 and waterfall.span_of([lane]) * _SLIVER < span_ms


def _about(lanes: Sequence[Lane], title: str, span_ms: float) -> str:
    """Return the picture in words, for those who cannot see it."""
    sentences = []
    for lane in lanes:
        duration = format_duration(lane.total_ms, span_ms)
        sentences.append(f"{lane.title}, {lane.code}: {duration}, {lane.note}.")
    words = escape(" ".join(sentences))
    return f'<title id="title">{escape(title)}</title><desc id="words">{words}</desc>'


def _lane(plot: Plot, span_ms: float) -> Iterator[str]:
    yield from _header(plot.lane, plot.top - _HEADER, span_ms)
    yield from _labels(plot)
    yield from _grid(plot, span_ms)
    place = _place(plot.top, _WIDTH, plot.height)
    lane = f"lane-{plot.top}"
    yield f'<use class="preview" href="#{lane}"/>'
    yield '<g clip-path="url(#curtain)">'
    yield from _bars(plot, f'id="{lane}" {place}', plot.lane.total_ms, span_ms)
    yield "</g>"
    yield from _now(plot, span_ms)
    if plot.lens_height:
        yield from _lens(plot, span_ms)


def _header(lane: Lane, top: int, span_ms: float) -> Iterator[str]:
    """Yield a lane's title with its code, and its result, which appears when the lane has ended."""
    strategy, colon, about = lane.title.partition(":")
    title = f'<tspan class="strategy">{escape(strategy)}</tspan>'
    title += f'<tspan class="about">{colon}{escape(about)}</tspan>'
    title += f'<tspan class="code" dx="10">{escape(lane.code)}</tspan>'
    yield f'<text y="{top + 14}">{title}</text>'
    yield from _counts(lane, top + 32)
    duration = format_duration(lane.total_ms, span_ms)
    result = f'<tspan class="strategy">{duration}</tspan>'
    result += f'<tspan class="dim" dx="8">{escape(lane.note)}</tspan>'
    hidden = motion.visibility("hidden", lane.total_ms)
    yield f'<text class="result" y="{top + 32}">{hidden}{result}</text>'


def _counts(lane: Lane, y: int) -> Iterator[str]:
    """Yield the number of names at a few moments; the lane shows each until the next one."""
    moments = max(1, min(_MAX_COUNTS, int(lane.total_ms / _COUNT_MS)))
    for moment in range(moments):
        start, end = moment / moments, (moment + 1) / moments
        names = plural(lane.names_by(start * lane.total_ms), "name")
        shown = motion.visible_between(start, end, lane.total_ms)
        yield f'<text class="count dim" y="{y}" visibility="hidden">{shown}{names}</text>'


def _labels(plot: Plot) -> Iterator[str]:
    """Yield round numbers as labels of their rows, as many as there is space for."""
    numbers = len({attempt.number for row in plot.rows for attempt in row})
    step = waterfall.step_of(numbers, max(1, plot.height // _LABEL))
    free = float(plot.top)
    for index, row in enumerate(plot.rows):
        middle = plot.top + plot.row_height * (index + 0.5)
        label = waterfall.label(row, step)
        if label and middle >= free:
            yield _text("dim number", _LEFT - 1, middle + 4, label)
            free = middle + _LABEL


def _bars(plot: Plot, place: str, took_ms: float, span_ms: float) -> Iterator[str]:
    """Yield the bars of a lane, and under them a background as long as the lane took.

    Args:
        plot: The rows.
        place: Attributes with the position and the size.
        took_ms: How long the lane took.
        span_ms: The end of the time axis.
    """
    scale = waterfall.scale_of(span_ms, _COLUMNS)
    view = f'viewBox="0 0 {_COLUMNS} {plot.height}" preserveAspectRatio="none"'
    took = f'width="{took_ms * scale:.1f}" height="{plot.height}"'
    yield f"<svg {place} {view}>"
    yield f'<rect class="took" {took}/>'
    for index, row in enumerate(plot.rows):
        yield f"<g><title>{_row_in_words(row)}</title>"
        for bar in waterfall.bars(row, scale):
            yield _bar(bar, plot.row_height * index, plot.row_height)
        yield "</g>"
    yield "</svg>"


def _place(top: float, width: float, height: float) -> str:
    """Return the position and the size of a plot. `width` is in percent."""
    return f'x="{_LEFT}%" width="{width:.4g}%" y="{top}" height="{height}"'


def _lens(plot: Plot, span_ms: float) -> Iterator[str]:
    """Yield a sliver again, magnified, under it and half as high."""
    lane_ms = waterfall.span_of([plot.lane])
    sliver = _COLUMNS * lane_ms / span_ms
    factor = two_digits(_LENS_COLUMNS / sliver)
    width = _WIDTH * _LENS_COLUMNS / _COLUMNS
    top = plot.bottom + _SPREAD
    height = plot.end - top
    view = f'viewBox="0 0 {_COLUMNS} {_SPREAD}" preserveAspectRatio="none"'
    yield f"<svg {_place(plot.bottom, _WIDTH, _SPREAD)} {view}>"
    yield f'<path class="lens" d="M0 {_SPREAD}V0H{sliver:.1f}L{_LENS_COLUMNS} {_SPREAD}"/></svg>'
    yield '<g class="magnified">'
    yield from _bars(plot, _place(top, width, height), lane_ms, lane_ms)
    yield "</g>"
    yield _text("dim", _LEFT + width + 1, top + height / 2 + 4, f"magnified {factor} times")


def _legend(lanes: Sequence[Lane]) -> Iterator[str]:
    """Yield the phases; `failed` only if something failed."""
    has_failed = any(not attempt.ok for lane in lanes for attempt in lane.attempts)
    for phase, left in _LEGEND_PLACES.items():
        if phase != "failed" or has_failed:
            bar = _bar(Bar(phase, start=0, end=18), 0, 10)
            yield f'<svg x="{left}%" y="1" width="18" height="10">{bar}</svg>'
            yield f'<text x="{left}%" y="10" dx="24">{phase}</text>'


def _now(plot: Plot, span_ms: float) -> Iterator[str]:
    """Yield the line that moves with the time across a lane; it is visible only while it moves."""
    lane_ms = plot.lane.total_ms
    end = _LEFT + _WIDTH * lane_ms / span_ms
    y = f'y1="{plot.top}" y2="{plot.bottom}"'
    yield f'<line class="now" x1="{_LEFT}%" x2="{_LEFT}%" {y} visibility="hidden">'
    yield motion.visibility("visible", lane_ms)
    for attribute in ("x1", "x2"):
        yield motion.animate(attribute, f"{_LEFT}%", f"{end:.4g}%", lane_ms)
    yield "</line>"


def _grid(plot: Plot, span_ms: float) -> Iterator[str]:
    for _, x in _ticks(span_ms):
        yield _line("grid", x, plot.top, plot.bottom)


def _axis(span_ms: float, bottom: float) -> Iterator[str]:
    unit, unit_ms = unit_of(span_ms)
    for tick, x in _ticks(span_ms):
        yield _text("dim tick", x, bottom + 15, f"{tick / unit_ms:g}")
    yield _text("dim", _LEFT, bottom + 31, f"{_UNITS[unit]} since the strategy began")


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


def _line(style: str, x: float, y1: float, y2: float) -> str:
    """Return an upright line. `x` is in percent, `y1` and `y2` in pixels."""
    return f'<line class="{style}" x1="{x:.4g}%" x2="{x:.4g}%" y1="{y1}" y2="{y2}"/>'
