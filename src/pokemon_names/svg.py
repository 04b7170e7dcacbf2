"""The waterfall as SVG: as a document of its own, or within a page."""

from collections.abc import Iterator, Sequence
from html import escape

from pokemon_names.waterfall import PHASES, Lane, Row, label, runs, scale_of, ticks

STYLE = """
svg{font:12px system-ui,sans-serif;fill:#1f2328;overflow:visible}
.paper{fill:#fff}.took{fill:#8c959f1f}.grid{stroke:#8c959f4d}.dim{fill:#59636e}.lane{font-size:15px;font-weight:600}
.note{font-size:13px;font-weight:400}.number{font-size:11px;text-anchor:end}.tick{text-anchor:middle}
.wait{fill:#8c959f}.first{fill:#74b9f5}.body{fill:#0a56b8}.failed{fill:url(#stripes)}.stripe{fill:#d1242f}
@media(prefers-color-scheme:dark){svg{fill:#e6edf3}.paper{fill:#0d1117}.dim{fill:#9198a1}
.wait{fill:#7d8590}.first{fill:#2667b5}.body{fill:#9ecbff}.stripe{fill:#ff7b72}}
"""

_COLUMNS = 1000  # of a plot, however wide it is shown
_LEFT, _WIDTH = 9, 89  # of a plot, in percent
_LEGEND, _HEADER, _GAP, _AXIS, _LABEL = 30, 26, 22, 38, 14  # heights in pixels
_MOST_ROWS, _HEIGHT = 150, 700  # of a lane alone; of four a seventh each, so that a screen shows them all
_THINNEST, _THICKEST = 4, 18  # of a row, in pixels
_TICKS = 6  # at most; a phone has no room for more
_PLACES = dict(zip(PHASES, (9, 30, 55, 74), strict=True))  # in the legend, in percent
_UNIT = "milliseconds since the fetch began"
_STRIPES = (
    '<defs><pattern id="stripes" width="8" height="8" patternUnits="userSpaceOnUse">'
    '<rect class="stripe" width="5" height="8"/></pattern></defs>'
)


def svg(lanes: Sequence[Lane], title: str, *, standalone: bool = True) -> str:
    """Draw as SVG: a document of its own, or for a page that has the STYLE, as wide as its place there."""
    scale, share = scale_of(lanes, _COLUMNS), 2 * len(lanes) - 1
    plots, top = list[str](), _LEGEND
    for lane in lanes:
        rows = lane.rows(_MOST_ROWS // share)
        thick = max(_THINNEST, min(_THICKEST, _HEIGHT // share // (len(rows) or 1)))
        plots += _plot(lane, rows, scale, top, thick)
        top += _HEADER + thick * len(rows) + _GAP
    words = escape(f"{title}. " + "; ".join(f"{lane.title}: {lane}" for lane in lanes))
    about = f'<title id="title">{escape(title)}</title><desc id="words">{words}.</desc>'
    inner = "\n".join([_STRIPES, *_legend(), *plots, *_axis(scale, top - _GAP)])
    names = 'xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title words"'
    height = top - _GAP + _AXIS
    if not standalone:
        return f'<svg {names} width="100%" height="{height}">\n{about}\n{inner}\n</svg>'
    size = f'viewBox="0 0 1000 {height + 40}" width="1000" height="{height + 40}"'
    paper = '<rect class="paper" width="100%" height="100%"/>'
    inset = f'<svg x="20" y="20" width="960" height="{height}">\n{inner}\n</svg>'
    return f"<svg {names} {size}>\n{about}\n<style>{STYLE}</style>\n{paper}\n{inset}\n</svg>\n"


def _plot(lane: Lane, rows: Sequence[Row], scale: float, top: int, thick: int) -> Iterator[str]:
    told = f'<tspan class="dim note" dx="8">{escape(str(lane))}</tspan>'
    yield f'<text class="lane" y="{top + 15}">{escape(lane.title)}{told}</text>'
    top, height = top + _HEADER, thick * len(rows)
    every = -(-_LABEL // thick)
    for place, row in list(enumerate(rows))[::every]:
        yield f'<text class="dim number" x="{_LEFT - 1}%" y="{top + thick * (place + 0.5) + 4:g}">{label(row)}</text>'
    box = f'viewBox="0 0 {_COLUMNS} {height}" preserveAspectRatio="none"'
    yield f'<svg x="{_LEFT}%" y="{top}" width="{_WIDTH}%" height="{height}" {box}>'
    yield f'<rect class="took" width="{lane.total_ms * scale:.1f}" height="{height}"/>'
    for place, row in enumerate(rows):
        bars = (_rect(name, start, end, thick * place, thick) for name, start, end in runs(row, scale))
        yield f"<g><title>{_told(row)}</title>{''.join(bars)}</g>"
    yield "</svg>"
    for _, x in _ticks(scale):
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{top + height}"/>'


def _rect(name: str, start: int, end: int, top: float, thick: float) -> str:
    height = PHASES[name].height * thick
    box = f'x="{start}" y="{top + (thick - height) / 2:.1f}" width="{end - start}" height="{height:.1f}"'
    return f'<rect class="{name}" {box}/>'


def _legend() -> Iterator[str]:
    for name, left in _PLACES.items():
        yield f'<svg x="{left}%" y="2" width="18" height="10">{_rect(name, 0, 18, 0, 10)}</svg>'
        yield f'<text x="{left}%" y="11" dx="24">{PHASES[name].label}</text>'


def _ticks(scale: float) -> Iterator[tuple[int, str]]:
    for tick in ticks(_COLUMNS / scale, _TICKS):
        yield tick, f"{_LEFT + _WIDTH * tick * scale / _COLUMNS:.2f}%"


def _axis(scale: float, bottom: float) -> Iterator[str]:
    for tick, x in _ticks(scale):
        yield f'<text class="dim tick" x="{x}" y="{bottom + 18}">{tick:,}</text>'
    yield f'<text class="dim tick" x="{_LEFT + _WIDTH / 2}%" y="{bottom + 34}">{_UNIT}</text>'


def _told(row: Row) -> str:
    numbers = len({exchange.number for exchange in row})
    start, end = min(exchange.start_ms for exchange in row), max(exchange.end_ms for exchange in row)
    whose = f"{numbers} numbers from {label(row)}" if numbers > 1 else label(row)
    return f"{whose}: {len(row)} requests from {start:,.1f} to {end:,.1f} ms"
