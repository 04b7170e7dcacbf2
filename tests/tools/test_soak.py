"""What `make soak` checks, draws and prints."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import ROOT, run_module
from tests.tools.calls import random_event, violations
from tests.tools.chart import Panel, chart

SVG = "{http://www.w3.org/2000/svg}"
VALID = {"range": "1-2,1026", "strategy": "gather"}
NOT_FOUND = {"number": 1026, "reason": "not_found"}
REPORT = {"names": ["bulbasaur", "ivysaur"], "failures": [NOT_FOUND]}


def texts_of(picture: Path) -> list[str | None]:
    root = ET.parse(picture).getroot()  # noqa: S314  the project's own file
    assert root.tag == f"{SVG}svg"
    return [text.text for text in root.iter(f"{SVG}text")]


def test_a_soak_of_one_call_prints_a_summary_and_draws_it(tmp_path: Path) -> None:
    file = tmp_path / "soak.svg"
    done = run_module("tests.tools.soak", "--minutes=0", "--seed=127", str(file))
    assert done.stderr == "Soaking with MINUTES=0 SEED=127 (Ctrl-C ends it) ...\n"
    assert done.returncode == 0
    lines, written = done.stdout.split("\n\n")
    assert written == f"Written to {file}\n"
    assert [line.split()[0] for line in lines.splitlines()] == [
        "calls",
        "names",
        "failures",
        "memory",
        "descriptors",
        "threads",
        "violations",
    ]
    assert lines.startswith("calls        1 in 0.")
    assert lines.endswith("\nviolations   0")
    texts = texts_of(file)
    assert texts[0] == "1 call in random weather"
    assert {"outage", "freeze", "Memory, MB", "descriptors", "threads"} <= set(texts)


def test_ctrl_c_ends_a_soak_with_the_results_so_far(tmp_path: Path) -> None:
    file = tmp_path / "soak.svg"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tools.soak", "--seed=127", str(file)],
        cwd=ROOT,
        env={"PYTHONPATH": "src", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert process.stderr.readline().startswith("Soaking with MINUTES=60 SEED=127 ")
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    assert "\nviolations   0\n" in printed
    assert errors == ""
    assert process.returncode == 0
    assert "Memory, MB" in texts_of(file)


@pytest.mark.parametrize(
    ("event", "reply", "took", "found"),
    [
        (VALID, REPORT, 7.9, []),
        (VALID, REPORT, 8.1, ["replied after 8.1 s"]),
        (VALID, {**REPORT, "names": ["bulbasaur"]}, 1, ["wrong names"]),
        (VALID, {**REPORT, "names": ["ivysaur", "bulbasaur"]}, 1, ["wrong names"]),
        (VALID, {**REPORT, "failures": []}, 1, ["wrong names"]),
        (VALID, {"errorType": "KeyError"}, 1, ["no report: {'errorType': 'KeyError'}"]),
        ({"range": "2-1"}, REPORT, 1, [f"should have been refused: {REPORT}"]),
    ],
)
def test_each_violation_in_a_reply_is_found(
    event: dict[str, Any], reply: dict[str, Any], took: float, found: list[str]
) -> None:
    assert list(violations(event, reply, took, is_clear=False)) == found


@pytest.mark.parametrize(
    ("reason", "is_clear", "found"),
    [
        ("not_found", False, ["1 exists but was not found"]),
        ("bad_status", False, []),
        ("bad_status", True, ["failed in clear weather: bad_status"]),
        ("deadline", True, []),
    ],
)
def test_a_number_may_fail_only_for_a_good_reason(
    reason: str, *, is_clear: bool, found: list[str]
) -> None:
    reply = {"names": [], "failures": [{"number": 1, "reason": reason}]}
    assert list(violations({"range": "1"}, reply, 1, is_clear=is_clear)) == found


def test_the_same_seed_makes_the_same_calls() -> None:
    one, other = Random(7), Random(7)  # noqa: S311  no secret
    events = [random_event(one) for _ in range(200)]
    assert events == [random_event(other) for _ in range(200)]
    json.dumps(events)
    assert {event.get("strategy") for event in events} >= {"gather", "sequential", "sync", "index"}


def test_a_chart_of_many_points_is_small(tmp_path: Path) -> None:
    line = [(at / 10, at % 7) for at in range(100_000)]
    file = tmp_path / "chart.svg"
    file.write_text(chart("A <title>", {"lane": [(0, 1)]}, [Panel("Panel", {"line": line})]))
    assert texts_of(file)[0] == "A <title>"
    assert file.stat().st_size < 30_000
