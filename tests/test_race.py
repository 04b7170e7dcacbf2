"""What `make race` writes."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.test_run import ROOT


def race(to: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.tools.race", str(to), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": "src"}, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_page(tmp_path: Path) -> None:
    done = race(tmp_path / "race.html", "--range", "25,151", "--strategies", "gather,sync")
    assert (done.stdout, done.returncode) == (f"{tmp_path}/race.html\n", 0)
    html = (tmp_path / "race.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert '<li value="25">pikachu</li><li value="151">mew</li>' in html
    assert html.count('<text class="lane"') == 2


def test_the_picture_alone(tmp_path: Path) -> None:
    assert race(tmp_path / "race.svg", "--range", "1-3").returncode == 0
    assert len(list(ET.parse(tmp_path / "race.svg").iter("{http://www.w3.org/2000/svg}g"))) == 3 + 3 + 3 + 1  # noqa: S314


def test_a_bad_range_is_told_on_the_page_and_in_place_of_the_picture(tmp_path: Path) -> None:
    assert race(tmp_path / "race.html", "--range", "x").returncode == 1
    assert "range: got &#x27;x&#x27;, allowed: " in (tmp_path / "race.html").read_text(encoding="utf-8")
    done = race(tmp_path / "race.svg", "--range", "x")
    assert done.stdout.startswith("range: got 'x', allowed: ")
    assert (done.returncode, (tmp_path / "race.svg").exists()) == (1, False)
