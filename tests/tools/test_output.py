"""Programs whose output nobody reads, and the width of what they show."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.tools import output

PROGRAMS = ("run", "race", "serve", "pokeapi", "simulation", "soak", "mutants", "bench")


def ended(*command: str) -> subprocess.Popen[str]:
    """Run a program without environment variables until it ends, and close its output at once."""
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    return process


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_needs_neither_an_environment_nor_a_reader(program: str) -> None:
    assert ended(f"tests.tools.{program}", "--help").returncode == 0


def test_a_program_ends_with_its_reader() -> None:
    assert ended("tests.tools.simulation").returncode == 0


def test_names_that_nobody_reads_are_no_error() -> None:
    assert ended("tests.tools.run", "events/direct-one.json").returncode == 0


def test_the_status_of_a_program_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        output.run(lambda: 1)
    assert exited.value.code == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("given", "columns"), [("10", 32), ("60", 60), ("200", 80), ("", 80)])
def test_the_width(monkeypatch: pytest.MonkeyPatch, given: str, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", given)
    assert output.columns() == columns


def test_a_long_line_is_wrapped_between_words() -> None:
    wrapped = output.wrap("150 requests (61 retried)", 20)
    assert wrapped == ["150 requests (61", "  retried)"]
