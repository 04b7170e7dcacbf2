"""The waterfall as a picture."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from pokemon_names.views.svg import document, inline
from pokemon_names.views.waterfall import Lane
from tests.views.test_waterfall import ONE, RETRIED, attempt, lanes, staircase

SVG = "{http://www.w3.org/2000/svg}"
GATHER = Lane("gather", [attempt(number, 0.0, 0.0, 50.0, 60.0) for number in (1, 2)], 60.0)
SLOW = staircase(10, 500.0)


class Picture(SingleFileSnapshotExtension):
    """A picture in __snapshots__. `make test ARGS='FILE --snapshot-update'` stores it again."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT


def parse(drawn: str) -> ET.Element:
    return ET.fromstring(drawn)  # noqa: S314  it is our own


def rows_of(root: ET.Element) -> list[ET.Element]:
    return [group for group in root.iter(f"{SVG}g") if group.find(f"{SVG}title") is not None]


def bars_of(root: ET.Element) -> list[ET.Element]:
    return [bar for row in rows_of(root) for bar in row.iter(f"{SVG}rect")]


def texts_of(root: ET.Element) -> list[str | None]:
    return [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (150, 150), (151, 76), (1351, 136)])
def test_each_number_or_group_of_numbers_has_a_row(count: int, rows: int) -> None:
    root = parse(document([staircase(count)], "Waterfall"))
    assert len(rows_of(root)) == rows


def test_lanes_and_the_gaps_between_them_share_the_rows() -> None:
    root = parse(document([staircase(64)] * 4, "Waterfall"))
    assert len(rows_of(root)) == 4 * 16  # groups of 4, because 21 rows are a seventh of 150


def test_each_row_says_in_words_what_it_shows() -> None:
    (row,) = rows_of(parse(document([ONE], "")))
    assert row.findtext(f"{SVG}title") == "25: 1 request from 19.5 to 78.0 ms"
    group, *_ = rows_of(parse(document([staircase(1351)], "")))
    assert group.findtext(f"{SVG}title") == "10 numbers from 1: 10 requests from 0.0 to 10.0 ms"


def test_the_phases_differ_in_height_or_pattern() -> None:
    root = parse(document([ONE, RETRIED], "Waterfall"))
    phases = [bar.get("class") for bar in bars_of(root)]
    once = ["queued", "waiting", "downloading"]
    assert phases == [*once, "failed", *once]
    first_row, *_ = rows_of(root)
    heights = {bar.get("height") for bar in first_row.iter(f"{SVG}rect")}
    assert len(heights) == 3
    assert ".failed { fill: url(#stripes) }" in root.findtext(f"{SVG}style", "")
    assert root.find(f".//{SVG}pattern[@id='stripes']") is not None


def test_the_legend_has_every_phase() -> None:
    texts = texts_of(parse(document([ONE], "Waterfall")))
    assert texts[2:6] == ["queued", "failed", "waiting for the response", "downloading"]


def test_it_describes_itself_in_words() -> None:
    root = parse(document([ONE, RETRIED], "Two lanes"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title"
    assert root.get("aria-describedby") == "words"
    assert root.findtext(f"{SVG}title[@id='title']") == "Two lanes"
    words = "gather: 78 ms, 1 request. gather: 79 ms, 2 requests, 1 retried."
    assert root.findtext(f"{SVG}desc[@id='words']") == words


@pytest.mark.parametrize(
    ("lane", "expected"),
    [
        (
            staircase(50),
            ["0", "10", "20", "30", "40", "50", "ms since the strategy began"],
        ),
        (staircase(1351), ["0", "0.5", "1", "seconds since the strategy began"]),
    ],
)
def test_the_axis_is_in_seconds_or_milliseconds(lane: Lane, expected: list[str]) -> None:
    assert texts_of(parse(document([lane], "Waterfall")))[-len(expected) :] == expected


def test_a_sliver_is_magnified() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    assert len(rows_of(root)) == 2 + 2 + 10
    assert "magnified 66 times" in texts_of(root)
    magnified = rows_of(root)[2]
    assert [bar.get("width") for bar in magnified.iter(f"{SVG}rect")] == ["832", "167"]


@pytest.mark.parametrize(
    "lane",
    [
        staircase(10, 200.0),
        staircase(2, 2500.0 / 6),  # just too long for a sliver
        Lane(
            "index", [attempt(None, 0.0, 0.0, 50.0, 60.0)], 60.0
        ),  # magnified, a single bar would show no more
    ],
)
def test_no_other_lane_is_magnified(lane: Lane) -> None:
    root = parse(document([lane, SLOW], "Waterfall"))
    assert root.find(f".//{SVG}rect[@class='inset']") is None


def test_inline_it_uses_the_style_of_the_page_and_has_a_replay_link() -> None:
    drawn = inline([ONE], "Waterfall", "race")
    root = parse(drawn)
    assert "<style" not in drawn
    assert root.get("width") == "100%"
    again = root.find("a[@id='again']")
    assert again is not None
    assert again.findtext("text") == "Replay"
    assert again.get("href") == "#race"
    picture = root.find("g[@role='img']")
    assert picture is not None
    assert picture.find(".//a") is None  # the keyboard cannot reach the inside of an image


def test_a_document_has_its_own_style_and_size() -> None:
    root = parse(document([ONE], "Waterfall"))
    assert root.find(f"{SVG}style") is not None
    assert root.get("width") == "1000"


def test_the_whole_picture(snapshot: SnapshotAssertion) -> None:
    """The picture has everything that it can have. Look at the stored picture when it changes."""
    crowded = Lane("gather: all at once", staircase(80).attempts, 70.0, "80 requests")
    mixed = Lane(
        "index: one <b>request</b>", [*ONE.attempts, *RETRIED.attempts], 79.0, "3 requests"
    )
    nothing = Lane("sync: one by one", [], 0.0, "cut off after 0 names")
    drawn = document([GATHER, crowded, mixed, nothing, SLOW], "66 times faster", "2 < 10 names")
    assert drawn == snapshot(extension_class=Picture)


def test_text_is_escaped() -> None:
    hostile = "</title><script>alert('1')</script>&"
    lane = Lane(hostile, [attempt(1, 0.0, 0.0, 1.0, 2.0)], 2.0, hostile)
    root = parse(document([lane], hostile))
    assert root.findtext(f"{SVG}title") == hostile
    assert not list(root.iter(f"{SVG}script"))


@given(lanes)
def test_every_picture_is_well_formed_and_has_its_bars_inside(lanes: Sequence[Lane]) -> None:
    for bar in bars_of(parse(document(lanes, ""))):
        start = int(bar.get("x", -1))
        end = start + int(bar.get("width", 0))
        assert 0 <= start < end <= 1000
