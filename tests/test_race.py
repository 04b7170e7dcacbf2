"""What `make race` writes."""

from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree as ET

from tests.conftest import run_module


def race(target: Path, *arguments: str) -> CompletedProcess[str]:
    return run_module("tests.tools.race", str(target), *arguments)


def test_the_page(tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    done = race(page, "--range", "25,151", "--strategies", "gather,sync")
    assert done.stdout == f"{page}\n"
    assert done.returncode == 0
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert '<li value="25">pikachu</li><li value="151">mew</li>' in html
    assert html.count('<text class="lane"') == 2


def test_the_picture_alone(tmp_path: Path) -> None:
    picture = tmp_path / "race.svg"
    assert race(picture, "--range", "1-3").returncode == 0
    root = ET.parse(picture)  # noqa: S314  it is our own
    rows = list(root.iter("{http://www.w3.org/2000/svg}g"))
    assert len(rows) == 3 + 3 + 3 + 1


def test_a_race_of_all_strategies_takes_longer_ranges_than_by_url(tmp_path: Path) -> None:
    done = race(tmp_path / "race.html", "--range", "1-150", "--delay", "0")
    assert done.returncode == 0


def test_the_page_shows_why_a_range_is_bad(tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    assert race(page, "--range", "x").returncode == 1
    assert "range: got &#x27;x&#x27;, allowed: " in page.read_text(encoding="utf-8")


def test_there_is_no_picture_of_a_bad_range(tmp_path: Path) -> None:
    picture = tmp_path / "race.svg"
    done = race(picture, "--range", "x")
    assert done.stdout.startswith("range: got 'x', allowed: ")
    assert done.returncode == 1
    assert not picture.exists()
