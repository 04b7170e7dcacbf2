"""What programs print: results to stdout, and what only people read to where people see it.

On a pipe, stdout has only the names, or the lines of a race. The picture and the summary go to
stderr.
"""

import io
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn, TextIO

MIN_COLUMNS = 32  # the longest word of the legend needs them
MAX_COLUMNS = 80


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a program and exit, without an error if nobody reads its output any more.

    Characters that a terminal lacks are printed as question marks.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    status: int | None = 0
    try:
        try:
            status = main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes both streams again when it exits.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
    sys.exit(status)


def shown_on() -> TextIO:
    """Return the stream for what only people read: stdout if it is a terminal, or stderr."""
    return sys.stdout if sys.stdout.isatty() else sys.stderr


def show(lines: Iterable[str]) -> None:
    """Print lines that only people read, after everything else that was printed."""
    sys.stdout.flush()
    for line in lines:
        print(line, file=shown_on())


def columns() -> int:
    """Return how many characters fit on a line of the terminal, at most 80."""
    fallback = os.terminal_size((MAX_COLUMNS, 24))
    with suppress(OSError):  # stderr is no terminal either
        fallback = os.get_terminal_size(sys.stderr.fileno())
    fitting = shutil.get_terminal_size(fallback).columns
    return min(max(fitting, MIN_COLUMNS), MAX_COLUMNS)


def wrap(line: str, width: int) -> list[str]:
    """Return the line in lines that fit the width."""
    return textwrap.wrap(line, width, subsequent_indent="  ", break_on_hyphens=False)
