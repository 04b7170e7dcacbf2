"""The waterfall as SVG, for a page that has waterfall.css."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from pokemon_names.views import waterfall
from pokemon_names.views.waterfall import PHASES, Bar, Lane, Row

ATTRIBUTES = 'xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title words"'

_COLUMNS = 1000  # of a plot, however wide it is shown
_LEFT = 9  # of a plot, in percent
_WIDTH = 89  # of a plot, in percent

# Heights in pixels.
_LEGEND = 30
_HEADER = 26
_GAP = 22
_AXIS = 38
_LABEL = 14
_ROWS = 700  # of a lane alone; of four a seventh each, so that a screen shows them all
_MIN_ROW = 4
_MAX_ROW = 18

_MAX_ROWS = 150  # of a lane alone
_MAX_TICKS = 6  # a phone has no room for more
_LEGEND_PLACES = {"wait": 9, "first": 30, "body": 55, "failed": 74}  # in percent
_UNIT = "milliseconds since the fetch began"
_STRIPES = (
    '<defs><pattern id="stripes" width="8" height="8" patternUnits="userSpaceOnUse">'
    '<rect class="stripe" width="5" height="8"/></pattern></defs>'
)


class Drawing:
    """The lanes on one time axis.

    `inner` is the elements, `height` that of the picture in pixels. `about` is the same in words,
    for those who cannot see it.
    """

    def __init__(self, lanes: Sequence[Lane], title: str) -> None:
        scale = waterfall.scale_of(lanes, _COLUMNS)
        share = 2 * len(lanes) - 1
        elements = [_STRIPES, *_legend()]
        top = _LEGEND
        for lane in lanes:
            rows = lane.rows(_MAX_ROWS // share)
            row_height = _row_height(len(rows), share)
            elements.extend(_plot(lane, rows, scale, top, row_height))
            top += _HEADER + row_height * len(rows) + _GAP
        bottom = top - _GAP
        elements.extend(_axis(scale, bottom))
        self.inner = "\n".join(elements)
        self.height = bottom + _AXIS
        self.about = _about(lanes, title)


def svg(lanes: Sequence[Lane], title: str) -> str:
    """Return the picture, as wide as its place in the page."""
    drawing = Drawing(lanes, title)
    size = f'width="100%" height="{drawing.height}"'
    return f"<svg {ATTRIBUTES} {size}>\n{drawing.about}\n{drawing.inner}\n</svg>"


def _about(lanes: Sequence[Lane], title: str) -> str:
    lanes_in_words = "; ".join(f"{lane.title}: {lane}" for lane in lanes)
    words = escape(f"{title}. {lanes_in_words}")
    return f'<title id="title">{escape(title)}</title><desc id="words">{words}.</desc>'


def _row_height(rows: int, share: int) -> int:
    if rows == 0:
        return _MAX_ROW
    height = _ROWS // share // rows
    return max(_MIN_ROW, min(_MAX_ROW, height))


def _plot(
    lane: Lane, rows: Sequence[Row], scale: float, top: int, row_height: int
) -> Iterator[str]:
    """Yield a lane: its header, its row labels, its rows in a plot of their own, and its grid."""
    description = f'<tspan class="dim note" dx="8">{escape(str(lane))}</tspan>'
    yield f'<text class="lane" y="{top + 15}">{escape(lane.title)}{description}</text>'
    top += _HEADER
    height = row_height * len(rows)
    bottom = top + height
    yield from _row_labels(rows, top, row_height)
    place = f'x="{_LEFT}%" y="{top}" width="{_WIDTH}%" height="{height}"'
    yield f'<svg {place} viewBox="0 0 {_COLUMNS} {height}" preserveAspectRatio="none">'
    width = lane.total_ms * scale
    yield f'<rect class="took" width="{width:.1f}" height="{height}"/>'
    for index, row in enumerate(rows):
        row_top = row_height * index
        yield f"<g><title>{_row_in_words(row)}</title>"
        for bar in waterfall.bars(row, scale):
            yield _rect(bar, row_top, row_height)
        yield "</g>"
    yield "</svg>"
    for _, x in _ticks(scale):
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'


def _row_labels(rows: Sequence[Row], top: int, row_height: int) -> Iterator[str]:
    """Yield the numbers of as many rows as there is room for."""
    rows_per_label = math.ceil(_LABEL / row_height)
    for index in range(0, len(rows), rows_per_label):
        middle = top + row_height * (index + 0.5)
        number = waterfall.label(rows[index])
        yield f'<text class="dim number" x="{_LEFT - 1}%" y="{middle + 4:g}">{number}</text>'


def _rect(bar: Bar, row_top: float, row_height: float) -> str:
    height = PHASES[bar.phase].height * row_height
    y = row_top + (row_height - height) / 2
    width = bar.end - bar.start
    size = f'width="{width}" height="{height:.1f}"'
    return f'<rect class="{bar.phase}" x="{bar.start}" y="{y:.1f}" {size}/>'


def _legend() -> Iterator[str]:
    for phase, left in _LEGEND_PLACES.items():
        bar = Bar(phase, start=0, end=18)
        rect = _rect(bar, row_top=0, row_height=10)
        label = PHASES[phase].label
        yield f'<svg x="{left}%" y="2" width="18" height="10">{rect}</svg>'
        yield f'<text x="{left}%" y="11" dx="24">{label}</text>'


def _ticks(scale: float) -> Iterator[tuple[int, str]]:
    """Yield each tick with its place in percent."""
    for tick in waterfall.ticks(_COLUMNS / scale, _MAX_TICKS):
        x = _LEFT + _WIDTH * tick * scale / _COLUMNS
        yield tick, f"{x:.2f}%"


def _axis(scale: float, bottom: float) -> Iterator[str]:
    for tick, x in _ticks(scale):
        yield f'<text class="dim tick" x="{x}" y="{bottom + 18}">{tick:,}</text>'
    middle = _LEFT + _WIDTH / 2
    yield f'<text class="dim tick" x="{middle}%" y="{bottom + 34}">{_UNIT}</text>'


def _row_in_words(row: Row) -> str:
    start = min(attempt.start_ms for attempt in row)
    end = max(attempt.end_ms for attempt in row)
    name = waterfall.label(row)
    numbers = {attempt.number for attempt in row}
    if len(numbers) > 1:
        name = f"{len(numbers)} numbers from {name}"
    requests = waterfall.format_requests(len(row))
    return f"{name}: {requests} from {start:,.1f} to {end:,.1f} ms"
