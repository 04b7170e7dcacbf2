"""The waterfall as an SVG document of its own, for a README."""

from collections.abc import Sequence
from pathlib import Path

from pokemon_names.views import svg
from pokemon_names.views.waterfall import Lane

_WIDTH = 1000
_MARGIN = 20
_STYLE = Path(svg.__file__).with_name("waterfall.css").read_text(encoding="utf-8")
_PAPER = """.paper { fill: #fff }
@media (prefers-color-scheme: dark) { .paper { fill: #0d1117 } }
"""


def picture(lanes: Sequence[Lane], title: str) -> str:
    """Return the document."""
    drawing = svg.Drawing(lanes, title)
    height = drawing.height + 2 * _MARGIN
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    inset_size = f'width="{_WIDTH - 2 * _MARGIN}" height="{drawing.height}"'
    return f"""<svg {svg.ATTRIBUTES} {size}>
{drawing.about}
<style>{_STYLE}{_PAPER}</style>
<rect class="paper" width="100%" height="100%"/>
<svg x="{_MARGIN}" y="{_MARGIN}" {inset_size}>
{drawing.inner}
</svg>
</svg>
"""
