"""The waterfall as a picture."""

from collections.abc import Sequence
from itertools import pairwise
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
ARBITRARY = Lane("gather", [attempt(one, 0.0, 0.0, 1.0, 2.0) for one in (7, 25, 151)], 2.0)


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


def texts_of(root: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (48, 48), (49, 25), (1351, 47)])
def test_each_number_or_group_of_numbers_has_a_row(count: int, rows: int) -> None:
    root = parse(document([staircase(count)], "Waterfall"))
    assert len(rows_of(root)) == rows


def test_lanes_and_the_gaps_between_them_share_the_rows() -> None:
    root = parse(document([staircase(64)] * 4, "Waterfall"))
    assert len(rows_of(root)) == 4 * 6  # groups of 11, because 6 rows are a seventh of 48


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (80, 80), (81, 41), (1351, 80)])
def test_a_page_has_space_for_more_rows_than_a_document(count: int, rows: int) -> None:
    assert inline([staircase(count)], "Waterfall", "race").count("<g><title>") == rows


def test_a_document_of_all_strategies_fits_a_readme() -> None:
    index = Lane("index", [attempt(None, 0.0, 0.0, 50.0, 60.0)], 60.0)
    slow = staircase(150, 50.0)
    root = parse(document([GATHER, slow, slow, index], "66 times faster"))
    assert int(root.get("height", 0)) <= 520


def test_each_row_says_in_words_what_it_shows() -> None:
    (row,) = rows_of(parse(document([ONE], "")))
    assert row.findtext(f"{SVG}title") == "25: 1 request from 19.5 to 78.0 ms"
    group, *_ = rows_of(parse(document([staircase(1351)], "")))
    assert group.findtext(f"{SVG}title") == "29 numbers from 1: 29 requests from 0.0 to 29.0 ms"


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


@pytest.mark.parametrize(
    ("lane", "phases"),
    [
        (ONE, ["queued", "waiting", "downloading"]),
        (RETRIED, ["queued", "waiting", "downloading", "failed"]),
    ],
)
def test_the_legend_has_every_phase_and_failures_only_if_there_are_some(
    lane: Lane, phases: list[str]
) -> None:
    _, _, *texts = texts_of(parse(document([lane], "Waterfall")))
    assert texts[: len(phases) + 1] == [*phases, f"gather{lane.code}"]


def test_each_lane_has_its_line_of_python() -> None:
    lanes = [Lane("gather: all at once", [], 1.0, "", 'get("<n>")'), SLOW]
    assert 'gather: all at onceget("<n>")' in texts_of(parse(document(lanes, "Waterfall")))


def labels_of(root: ET.Element) -> list[str | None]:
    return [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "dim number"]


@pytest.mark.parametrize(
    ("lane", "labels"),
    [
        (staircase(3), ["1", "2", "3"]),
        (staircase(60), ["5", "10", "15", "20", "25", "30", "35", "40", "45", "50", "55", "60"]),
        (staircase(1351), ["100", *(str(hundred) for hundred in range(200, 1400, 100))]),
        (
            Lane("gather", [attempt(n, n, n, None, n + 1.0) for n in (7, 25, 151)], 152.0),
            ["7", "25", "151"],
        ),
    ],
)
def test_rows_are_labelled_with_round_numbers_unless_there_is_space_for_all(
    lane: Lane, labels: list[str]
) -> None:
    assert labels_of(parse(document([lane], "Waterfall"))) == labels


def test_labels_do_not_overlap_in_any_order_of_the_numbers() -> None:
    shuffled = [*range(10, 101, 10), *(number for number in range(1, 100) if number % 10)]
    attempts = [attempt(number, at, at, at, at) for at, number in enumerate(shuffled)]
    root = parse(document([Lane("gather", attempts, 100.0)], "Waterfall"))
    labels = [text for text in root.iter(f"{SVG}text") if text.get("class") == "dim number"]
    tops = [float(text.get("y", 0)) for text in labels]
    assert len(tops) > 1
    assert all(below - above >= 12 for above, below in pairwise(tops))


def test_it_describes_itself_in_words() -> None:
    root = parse(document([ONE, RETRIED], "Two lanes"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title"
    assert root.get("aria-describedby") == "words"
    assert root.findtext(f"{SVG}title[@id='title']") == "Two lanes"
    words = "gather, get(25): 78 ms, 1 name. gather, get(7): 79 ms, 1 name, 1 retried."
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
    *texts, moral = texts_of(parse(document([lane], "Waterfall")))
    assert texts[-len(expected) :] == expected
    assert moral == "Only requests that are in flight together share the wait."


def test_a_sliver_is_magnified_below_it_and_half_as_high() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    assert len(rows_of(root)) == 2 + 2 + 10
    assert "magnified 50 times" in texts_of(root)
    magnified = rows_of(root)[2]
    assert [bar.get("width") for bar in magnified.iter(f"{SVG}rect")] == ["832", "167"]
    lane, lens, inset = list(root.iter(f"{SVG}svg"))[5:8]
    assert float(inset.get("height", 0)) == float(lane.get("height", 0)) / 2
    bottom = float(lane.get("y", 0)) + float(lane.get("height", 0))
    assert float(lens.get("y", 0)) == bottom < float(inset.get("y", 0))


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
    assert root.find(f".//{SVG}path[@class='lens']") is None


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
    assert root.get("width") == "840"


def test_the_whole_picture(snapshot: SnapshotAssertion) -> None:
    """The picture has everything that it can have. Look at the stored picture when it changes."""
    crowded = Lane("gather: all at once", staircase(80).attempts, 70.0, "80 names", "gather(…)")
    mixed = Lane("index: one <b>request</b>", [*ONE.attempts, *RETRIED.attempts], 79.0, "2 names")
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
