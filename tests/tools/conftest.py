"""Programs, run in the tests' own process."""

import io
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
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

    def invoke(event: Mapping[str, Any], variables: Mapping[str, str], _log: int) -> Any:
        with redirect_stdout(io.StringIO()):  # the log
            load(monkeypatch, **variables)
            return environment.invoke(event)

    def call(main: Callable[[], int], *arguments: str) -> CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        handler = signal.getsignal(signal.SIGPIPE)
        try:
            status = main()
        finally:
            signal.signal(signal.SIGPIPE, handler)
        return CompletedProcess(arguments, status, *capsys.readouterr())

    monkeypatch.setattr(function, "invoke", invoke)
    return call
