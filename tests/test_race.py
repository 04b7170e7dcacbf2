"""What `make race` writes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import ROOT, run_module


def race(target: Path, *arguments: str) -> CompletedProcess[str]:
    return run_module("tests.tools.race", str(target), *arguments)


def test_the_race_as_text_and_as_a_page(tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    done = race(page, "--range", "25,151", "--strategies", "gather,sync")
    result, strategies, waterfall, last = done.stdout.split("\n\n")
    assert done.stderr == "Racing gather,sync for 25,151, 27 s at most ...\n"
    assert done.returncode == 0
    assert " 2 names in " in result
    assert [line.split()[0] for line in strategies.splitlines()] == ["gather", "sync"]
    assert max(map(len, waterfall.splitlines())) <= 80
    assert last == f"Written to {page}\n"
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert result in html
    assert '<li value="25">pikachu</li><li value="151">mew</li>' in html
    assert 'action="http://127.0.0.1:3000/race"' in html


def test_the_picture_alone(tmp_path: Path) -> None:
    picture = tmp_path / "race.svg"
    assert race(picture, "--range", "1-3", "--strategies", "gather,index").returncode == 0
    root = ET.parse(picture)  # noqa: S314  it is our own
    assert len(list(root.iter("{http://www.w3.org/2000/svg}clipPath"))) >= 1


def test_a_race_of_all_strategies_takes_longer_ranges_than_by_url(tmp_path: Path) -> None:
    done = race(tmp_path / "race.html", "--range", "1-150", "--delay", "0")
    assert done.returncode == 0


def test_a_bad_range_is_a_reason_and_leaves_the_last_page_alone(tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    page.write_text("the last", encoding="utf-8")
    done = race(page, "--range", "x")
    assert done.stdout.startswith("range: got 'x', allowed: ")
    assert done.returncode == 1
    assert page.read_text(encoding="utf-8") == "the last"


def test_the_page_is_written_though_nobody_reads_the_text(tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tools.race", str(page), "--range", "1-3"],
        cwd=ROOT,
        env={"PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert page.exists()


def test_where_pokeapi_cannot_be_reached_there_is_the_reason_and_a_hint(
    url: str, tmp_path: Path
) -> None:
    options = ["--range", "1", "--strategies", "gather", "--live"]
    page = str(tmp_path / "race.html")
    https = url.replace("http", "https")
    done = run_module("tests.tools.race", page, *options, POKEAPI_URL=https)
    _, reason, advice = done.stdout.splitlines()
    assert reason.startswith("PokeAPI cannot be reached from here: ")
    assert "the server does not speak TLS" in reason
    assert advice == "Without LIVE=1, the local PokeAPI answers."


def test_numbers_of_no_pokemon_leave_no_page(tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    done = race(page, "--range", "1026")
    assert done.stdout == "no Pokémon has any of these numbers\n"
    assert done.returncode == 1
    assert not page.exists()


@pytest.mark.parametrize("module", ["run", "race"])
def test_ctrl_c_ends_a_program_without_a_traceback(
    url: str, asked: threading.Event, tmp_path: Path, module: str
) -> None:
    argument = "events/direct.json"
    if module == "race":
        argument = str(tmp_path / "race.html")
    with subprocess.Popen(
        [sys.executable, "-m", f"tests.tools.{module}", argument, "--live", "--logs"],
        cwd=ROOT,
        env={"PYTHONPATH": "src", "POKEAPI_URL": url},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert asked.wait(60)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # until the function has ended, too
    assert "Traceback" not in errors
    assert process.returncode == -signal.SIGINT
