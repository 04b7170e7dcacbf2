"""What `make race` writes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import ROOT
from tests.tools import race
from tests.tools.conftest import Call
from tests.tools.pokeapi import PokeAPI


def test_the_race_as_text_and_as_a_page(call: Call, tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    done = call(race.main, str(page), "--range", "25,151", "--strategies", "gather,sync")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["gather", "sync"]
    head, waterfall, last = done.stderr.replace("\n\n\n", "\n\n").split("\n\n")
    *racing, result = head.splitlines()
    assert racing == [
        "Racing gather for 25,151 (at most 27 s) ...",
        "Racing sync for 25,151 (at most 27 s) ...",
    ]
    assert done.returncode == 0
    assert " 2 names in " in result
    assert max(map(len, waterfall.splitlines())) <= 80
    assert last == f"Written to {page}\n"
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert result in html
    assert '<li value="25">pikachu</li><li value="151">mew</li>' in html
    assert 'action="http://127.0.0.1:3000/race"' in html


def test_the_picture_alone(call: Call, tmp_path: Path) -> None:
    picture = tmp_path / "race.svg"
    done = call(race.main, str(picture), "--range", "1-3", "--strategies", "gather,index")
    assert done.returncode == 0
    root = ET.parse(picture)  # noqa: S314  it is our own
    assert len(list(root.iter("{http://www.w3.org/2000/svg}clipPath"))) >= 1


def test_a_race_of_all_strategies_takes_longer_ranges_than_by_url(
    call: Call, tmp_path: Path
) -> None:
    done = call(race.main, str(tmp_path / "race.html"), "--range", "1-80")
    racing = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("Racing ")]
    assert racing == ["gather", "sequential", "sync", "index"]
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("x", "range: got 'x', allowed: "),
        ("1026", "no Pokémon has any of these numbers\n"),
    ],
)
def test_without_a_race_there_is_a_reason_and_the_last_page_stays(
    call: Call, tmp_path: Path, given: str, reason: str
) -> None:
    page = tmp_path / "race.html"
    page.write_text("the last", encoding="utf-8")
    done = call(race.main, str(page), "--range", given)
    assert done.stdout == ""
    *racing, line = done.stderr.splitlines()
    assert all(line.startswith("Racing ") for line in racing)
    assert f"{line}\n".startswith(reason)
    assert done.returncode == 1
    assert page.read_text(encoding="utf-8") == "the last"


def test_each_strategy_has_a_warm_connection_and_no_name_from_another_one(
    call: Call, url: str, pokeapi: PokeAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POKEAPI_URL", url)
    call(race.main, str(tmp_path / "race.html"), "--range", "1-3", "--live")
    assert pokeapi.requests == 3 * 3 + 1 + 4  # and one for each strategy's connection


def test_strategies_race_in_the_tutorials_order(call: Call, tmp_path: Path) -> None:
    done = call(race.main, str(tmp_path / "race.html"), "--range=1", "--strategies=index, gather")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["gather", "index"]


def test_the_page_is_written_though_nobody_reads_the_text(tmp_path: Path) -> None:
    page = tmp_path / "race.html"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tools.race", str(page), "--range", "1-3"],
        cwd=ROOT,
        env={},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert process.returncode == 0
    assert page.exists()


def test_where_pokeapi_cannot_be_reached_there_is_the_reason_and_a_hint(
    call: Call, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POKEAPI_URL", url.replace("http", "https"))
    page = tmp_path / "race.html"
    done = call(race.main, str(page), "--range=1", "--strategies=gather", "--live")
    racing, _, reason, advice = done.stderr.splitlines()
    assert racing.startswith("Racing gather ")
    assert reason.startswith("PokeAPI cannot be reached from here: ")
    assert "the server does not speak TLS" in reason
    assert advice == "Leave out LIVE=1 to use the local PokeAPI."
    assert not page.exists()


@pytest.mark.parametrize("opens", [True, False])
def test_the_page_opens_in_a_browser_on_demand(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, opens: bool
) -> None:
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        return opens

    monkeypatch.setattr("webbrowser.open", open_page)
    page = tmp_path / "race.html"
    done = call(race.main, str(page), "--range=1", "--strategies=index", "--open")
    assert opened == [page.as_uri()]
    assert ("OPEN: no browser could be started here" in done.stderr) is not opens


def test_ctrl_c_ends_a_program_without_a_traceback(
    url: str, asked: threading.Event, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tools.race", str(tmp_path / "race.html"), "--live", "--logs"],
        cwd=ROOT,
        env={"POKEAPI_URL": url},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert asked.wait(60)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # until the function has ended, too
    assert "Traceback" not in errors
    assert process.returncode == -signal.SIGINT
