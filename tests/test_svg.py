from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from pokemon_names.views.svg import svg
from pokemon_names.views.waterfall import Lane
from tests.test_waterfall import ONE, RETRIED, attempt, lanes, staircase
from tests.tools.picture import picture

SVG = "{http://www.w3.org/2000/svg}"


def parse(drawn: str) -> ET.Element:
    return ET.fromstring(drawn)  # noqa: S314  it is our own


def rows_of(root: ET.Element) -> list[ET.Element]:
    return list(root.iter(f"{SVG}g"))


def bars_of(root: ET.Element) -> list[ET.Element]:
    return [bar for row in rows_of(root) for bar in row.iter(f"{SVG}rect")]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (150, 150), (151, 76), (1351, 136)])
def test_a_row_for_each_number_or_group_of_numbers(count: int, rows: int) -> None:
    root = parse(svg([staircase(count)], "Waterfall"))
    assert len(rows_of(root)) == rows


def test_each_row_says_in_words_what_it_shows() -> None:
    (row,) = rows_of(parse(svg([ONE], "")))
    assert row.findtext(f"{SVG}title") == "25: 1 request from 19.5 to 78.0 ms"
    group, *_ = rows_of(parse(svg([staircase(1351)], "")))
    assert group.findtext(f"{SVG}title") == "10 numbers from 1: 10 requests from 0.0 to 10.0 ms"


def test_the_phases_differ_in_height_or_pattern() -> None:
    root = parse(svg([ONE, RETRIED], "Waterfall"))
    phases = [bar.get("class") for bar in bars_of(root)]
    assert phases == ["wait", "first", "body", "failed", "wait", "first", "body"]
    first_row, *_ = rows_of(root)
    heights = {bar.get("height") for bar in first_row.iter(f"{SVG}rect")}
    assert len(heights) == 3
    assert ".failed { fill: url(#stripes) }" in picture([ONE], "Waterfall")
    assert root.find(f".//{SVG}pattern[@id='stripes']") is not None


def test_it_says_what_it_shows_to_those_who_cannot_see_it() -> None:
    root = parse(svg([ONE, RETRIED], "Two lanes"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title words"
    assert root.findtext(f"{SVG}title[@id='title']") == "Two lanes"
    words = "Two lanes. gather: 1 request in 78.0 ms; gather: 2 requests in 79.0 ms, 1 retried."
    assert root.findtext(f"{SVG}desc[@id='words']") == words


def test_the_axis_is_in_milliseconds() -> None:
    root = parse(svg([staircase(1351)], "Waterfall"))
    ticks = [tick.text for tick in root.iter(f"{SVG}text") if tick.get("class") == "dim tick"]
    assert ticks == ["0", "500", "1,000", "milliseconds since the fetch began"]


def test_in_a_page_it_has_the_pages_style() -> None:
    drawn = svg([ONE], "Waterfall")
    assert "<style" not in drawn
    assert parse(drawn).get("width") == "100%"


def test_alone_it_has_its_own_style_and_size() -> None:
    root = parse(picture([ONE], "Waterfall"))
    assert root.find(f"{SVG}style") is not None
    assert root.get("width") == "1000"


def test_text_is_escaped() -> None:
    hostile = "</title><script>alert('1')</script>&"
    lane = Lane(hostile, [attempt(1, 0.0, 0.0, 1.0, 2.0)], 2.0)
    root = parse(svg([lane], hostile))
    assert root.findtext(f"{SVG}title") == hostile
    assert not list(root.iter(f"{SVG}script"))


@given(lanes)
def test_every_picture_is_well_formed_and_has_its_bars_inside(lanes: Sequence[Lane]) -> None:
    for bar in bars_of(parse(svg(lanes, ""))):
        start = int(bar.get("x", -1))
        end = start + int(bar.get("width", 0))
        assert 0 <= start < end <= 1000
