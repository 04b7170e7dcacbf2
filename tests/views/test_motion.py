"""The animation of the picture: it plays once, to the end."""

from itertools import pairwise
from xml.etree import ElementTree as ET

from pokemon_names.views.svg import document
from tests.views.test_svg import GATHER, SLOW, SVG, parse


def durations_of(root: ET.Element, tag: str) -> set[str | None]:
    return {animation.get("dur") for animation in root.iter(f"{SVG}{tag}")}


def test_it_plays_once_and_lasts_as_long_as_the_requests() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    assert durations_of(root, "animate") == {"5000ms", "60ms"}  # of all lanes, and of the short one
    assert durations_of(root, "set") == {"5000ms", "60ms"}
    for tag in ("animate", "set"):
        for animation in root.iter(f"{SVG}{tag}"):
            assert animation.get("begin") == "picture.animationstart;again.click"
            assert animation.get("repeatCount") is None


def test_all_lanes_have_a_curtain_that_is_open_at_the_end() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    groups = [group.get("clip-path") for group in root.iter(f"{SVG}g") if group.get("clip-path")]
    assert groups == ["url(#curtain)"] * 2
    rect = root.find(f".//{SVG}clipPath[@id='curtain']/{SVG}rect")
    assert rect is not None
    (animation,) = rect
    assert animation.get("to") == rect.get("width")
    assert animation.get("fill") == "freeze"


def test_each_lane_shows_a_preview_of_its_bars_from_the_first_moment() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    previews = [preview.get("href") for preview in root.iter(f"{SVG}use")]
    assert len(previews) == 2
    for preview in previews:
        assert preview is not None
        assert root.find(f".//{SVG}svg[@id='{preview.removeprefix('#')}']") is not None


def test_the_line_of_time_ends_with_its_lane() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    lines = [line for line in root.iter(f"{SVG}line") if line.get("class") == "now"]
    ends = [{one.get("to") for one in line.iter(f"{SVG}animate")} for line in lines]
    assert ends == [{"8.116%"}, {"100%"}]


def test_while_a_lane_runs_its_number_of_names_goes_up() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    counts = [text for text in root.iter(f"{SVG}text") if text.get("class") == "count dim"]
    assert {text.get("visibility") for text in counts} == {"hidden"}  # without the animation
    words = ["".join(text.itertext()) for text in counts]
    assert words[:3] == ["0 names", "0 names", "0 names"]
    assert words[-2:] == ["9 names", "9 names"]
    times = []
    for text in counts[1:]:
        (animation,) = text
        assert animation.get("values") == "hidden;visible;hidden"
        times.append((animation.get("keyTimes") or "").split(";"))
    assert times[0] == ["0", "0", "0.05"]
    assert times[-1] == ["0", "0.95", "1"]
    assert all(before[2] == after[1] for before, after in pairwise(times))
