"""Programs, run in the tests' own process."""

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.conftest import Capture, load
from tests.tools import function
from tests.tools import invoke as environment

Call = Callable[..., CompletedProcess[str]]


@pytest.fixture
def call(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs a program's `main` with command-line arguments.

    The handler runs in this process as well, and its waits are short.
    """

    def invoke(event: Mapping[str, Any]) -> Any:
        with redirect_stdout(io.StringIO()):  # the log
            return environment.invoke(event)

    @contextmanager
    def started(variables: Mapping[str, str], _log: int) -> Iterator[function.Invoke]:
        with redirect_stdout(io.StringIO()):
            load(monkeypatch, **variables)
        yield invoke

    def call(main: Callable[[], int], *arguments: str) -> CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        status = main()
        return CompletedProcess(arguments, status, *capsys.readouterr())

    monkeypatch.setattr(function, "started", started)
    return call
