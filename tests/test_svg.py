from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from pokemon_names.outcome import Exchange
from pokemon_names.svg import STYLE, svg
from pokemon_names.waterfall import Lane
from tests.test_waterfall import ONE, RETRIED, lanes, staircase

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawn: str) -> ET.Element:
    return ET.fromstring(drawn)  # noqa: S314  it is our own


def classes(root: ET.Element) -> list[str]:
    return [bar.get("class", "") for row in root.iter(f"{SVG}g") for bar in row.iter(f"{SVG}rect")]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (150, 150), (151, 76), (1351, 136)])
def test_an_element_for_each_number_or_group_of_them(count: int, rows: int) -> None:
    assert len(list(parsed(svg([staircase(count)], "Waterfall")).iter(f"{SVG}g"))) == rows


def test_each_tells_in_words_what_it_shows() -> None:
    (one,), (group, *_) = (list(parsed(svg([lane], "")).iter(f"{SVG}g")) for lane in (ONE, staircase(1351)))
    assert one.findtext(f"{SVG}title") == "25: 1 requests from 19.5 to 78.0 ms"
    assert group.findtext(f"{SVG}title") == "10 numbers from 1: 10 requests from 0.0 to 10.0 ms"


def test_the_phases_differ_in_height_or_pattern() -> None:
    root = parsed(svg([ONE, RETRIED], "Waterfall"))
    assert classes(root) == ["wait", "first", "body", "failed", "wait", "first", "body"]
    row = next(root.iter(f"{SVG}g"))
    assert len({bar.get("height") for bar in row.iter(f"{SVG}rect")}) == 3
    assert ".failed{fill:url(#stripes)}" in STYLE
    assert root.find(f".//{SVG}pattern[@id='stripes']") is not None


def test_it_says_what_it_shows_to_who_cannot_see_it() -> None:
    root = parsed(svg([ONE, RETRIED], "Two lanes"))
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title words")
    assert root.findtext(f"{SVG}title[@id='title']") == "Two lanes"
    words = "Two lanes. gather: 1 request in 78.0 ms; gather: 2 requests in 79.0 ms, 1 retried."
    assert root.findtext(f"{SVG}desc[@id='words']") == words


def test_the_axis_is_in_milliseconds() -> None:
    root = parsed(svg([staircase(1351)], "Waterfall"))
    ticks = [tick.text for tick in root.iter(f"{SVG}text") if tick.get("class") == "dim tick"]
    assert ticks == ["0", "500", "1,000", "milliseconds since the fetch began"]


def test_alone_it_has_its_style_and_in_a_page_the_pages() -> None:
    assert STYLE in svg([ONE], "Waterfall")
    within = svg([ONE], "Waterfall", standalone=False)
    assert "<style" not in within
    assert parsed(within).get("width") == "100%"


def test_text_is_escaped() -> None:
    wicked = "</title><script>alert('1')</script>&"
    lane = Lane(wicked, [Exchange(1, 1, True, 0.0, 0.0, 1.0, 2.0, 3)], 2.0)  # noqa: FBT003
    root = parsed(svg([lane], wicked))
    assert root.findtext(f"{SVG}title") == wicked
    assert not list(root.iter(f"{SVG}script"))


@given(lanes)
def test_whatever_is_drawn_is_well_formed(lanes: Sequence[Lane]) -> None:
    root = parsed(svg(lanes, ""))
    bars = [bar for row in root.iter(f"{SVG}g") for bar in row.iter(f"{SVG}rect")]
    assert all(0 <= int(bar.get("x", -1)) < int(bar.get("x", 0)) + int(bar.get("width", 0)) <= 1000 for bar in bars)
