"""Debugging the handler: `make run DEBUG=1`, and the entries of .vscode/launch.json."""

import importlib.util
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

from tests.conftest import ROOT, run_module

# What a breakpoint() in the handler does, without changing the handler.
STOPPING = """
import sys
from pokemon_names import sources
from tests.tools import run

detect = sources.detect

def stopping(event, *others):
    breakpoint()
    return detect(event, *others)

sources.detect = stopping
sys.argv[0] = "run"
run.main()
"""


def in_a_terminal(typed: str, *arguments: str) -> tuple[int, str]:
    """Run the program with a breakpoint, and return its status and what the terminal shows."""
    terminal, other_end = pty.openpty()
    environment = {"PYTHONPATH": "src", "TERM": "dumb", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", STOPPING, "--debug", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=other_end, stdout=other_end, stderr=other_end
    ) as process:
        os.close(other_end)
        os.write(terminal, typed.encode())
        shown = b""
        with suppress(OSError):  # the program has ended
            while chunk := os.read(terminal, 65536):
                shown += chunk
    os.close(terminal)
    return process.returncode, shown.decode()


def test_a_breakpoint_stops_the_handler_in_the_terminal() -> None:
    typed = "p event['range'] + ' was asked for'\ncontinue\n"
    status, shown = in_a_terminal(typed, "events/direct-one.json")
    assert "(Pdb) " in shown
    assert "'151 was asked for'" in shown
    assert "\r\nmew\r\n" in shown
    assert "1 name in " in shown
    assert "_aws" not in shown  # the metrics
    assert '"level"' not in shown  # the log
    assert status == 0


def test_the_debugger_can_be_left() -> None:
    """From Python 3.14 on, pdb asks whether to quit."""
    status, shown = in_a_terminal("quit\ny\n", "events/direct-one.json")
    assert "(Pdb) quit\r\n" in shown
    assert "Traceback" not in shown
    assert status == 1


def test_while_debugging_the_handler_has_an_hour() -> None:
    typed = "up\np context.get_remaining_time_in_millis()\ncontinue\n"
    _, shown = in_a_terminal(typed, "events/direct-one.json")
    assert "3600000" in shown


def test_while_debugging_the_handler_is_invoked_once() -> None:
    """Otherwise `make run` would invoke it again, for its estimate, and stop again."""
    done = run_module("tests.tools.run", "--debug", "--logs", "events/direct.json")
    assert done.returncode == 0
    assert done.stderr.count('"message":"fetched"') == 1
    assert "one by one" not in done.stderr
    assert '"Namespace":"PokemonNames"' in done.stdout


def test_while_debugging_a_wrong_setting_is_shown() -> None:
    done = run_module("tests.tools.run", "--debug", "events/direct.json", MAX_CONCURRENCY="x")
    assert done.stderr.startswith("InvalidSetting: MAX_CONCURRENCY: got 'x', allowed: ")
    assert done.returncode == 1


def entries() -> dict[str, dict[str, Any]]:
    """Return the entries of launch.json by name."""
    text = (ROOT / ".vscode" / "launch.json").read_text(encoding="utf-8")
    launch = json.loads(re.sub(r"^ *//.*$", "", text, flags=re.MULTILINE))
    here = json.dumps(launch["configurations"]).replace("${workspaceFolder}", str(ROOT))
    return {entry["name"]: entry for entry in json.loads(here)}


def test_the_handler_with_an_event_can_be_launched() -> None:
    entry = entries()["The handler, with an event"]
    # A debugger calls a module as a function does, so that tests.tools adds nothing to the path.
    launch = f"import runpy; runpy.run_module({entry['module']!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", launch, *entry["args"]],
        cwd=entry["cwd"],
        env=entry["env"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "mew\n"


def test_the_paths_of_the_other_entries_exist() -> None:
    entry = entries()["Attach to sam local invoke -d 5858"]
    (mapping,) = entry["pathMappings"]
    assert mapping["localRoot"] == str(ROOT / "src")
    assert entry["connect"]["port"] == 5858
    assert importlib.util.find_spec(entries()["The tests of this file"]["module"])


@pytest.mark.parametrize("name", ["The handler, with an event", "The tests of this file"])
def test_the_debugger_uses_the_virtual_environment_of_make(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (venv,) = re.findall(r"^VENV \?= (.*)$", makefile, re.MULTILINE)
    assert entries()[name]["python"] == str(ROOT / venv / "bin" / "python")
