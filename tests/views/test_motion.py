"""The animation of the picture: it plays once, to the end."""

from xml.etree import ElementTree as ET

from pokemon_names.views.svg import document
from tests.views.test_svg import GATHER, SLOW, SVG, parse


def durations_of(root: ET.Element, tag: str) -> set[str | None]:
    return {animation.get("dur") for animation in root.iter(f"{SVG}{tag}")}


def test_it_plays_once_and_lasts_as_long_as_the_requests() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    assert durations_of(root, "animate") == {"5000ms", "60ms"}  # all lanes, and the inset
    assert durations_of(root, "set") == {"5000ms", "60ms"}
    for tag in ("animate", "set"):
        for animation in root.iter(f"{SVG}{tag}"):
            assert animation.get("begin") == "picture.animationstart;again.click"
            assert animation.get("repeatCount") is None


def test_every_plot_has_a_curtain_that_is_open_at_the_end() -> None:
    root = parse(document([GATHER, SLOW], "Waterfall"))
    groups = [group.get("clip-path") for group in root.iter(f"{SVG}g") if group.get("clip-path")]
    curtains = {f"url(#{clip.get('id')})": clip for clip in root.iter(f"{SVG}clipPath")}
    assert len(groups) == 3
    assert set(groups) == curtains.keys()
    for clip in curtains.values():
        rect = clip.find(f"{SVG}rect")
        assert rect is not None
        (animation,) = rect
        assert animation.get("to") == rect.get("width")
        assert animation.get("fill") == "freeze"
