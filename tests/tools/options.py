"""The options of make's programs. A mistake is one line, which names the variable of make."""

import argparse
import errno
import math
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from tests.tools.pokeapi.server import bound

_OPTION = re.compile(r"^argument (?:--)?(\w+)")
_NEEDS_ANOTHER_PORT = {errno.EADDRINUSE, errno.EACCES}


class Mistake(argparse.ArgumentTypeError):
    """A value that is not allowed: what came, and what is allowed."""

    def __init__(self, given: object, allowed: str) -> None:
        super().__init__(f"got {str(given)!r}, allowed: {allowed}")


class Parser(argparse.ArgumentParser):
    """A parser that names an option as make does: DELAY for --delay."""

    def error(self, message: str) -> NoReturn:
        """Print the one line, and end the program."""
        line = _OPTION.sub(lambda option: option[1].upper(), message)
        self.exit(2, f"{line}\n")


def number(
    kind: Callable[[str], float], allowed: str, minimum: float = 0, end: float = math.inf
) -> Callable[[str], float]:
    """Return the type of an option: a number from the minimum on and below the end."""

    def read(text: str) -> float:
        with suppress(ValueError):
            value = kind(text)
            if minimum <= value < end:
                return value
        raise Mistake(text, allowed)

    return read


def event_file(text: str) -> dict[str, Any]:
    """Return the event in a file."""
    try:
        return msgspec.json.decode(Path(text).read_bytes(), type=dict[str, Any])
    except (OSError, RecursionError, msgspec.DecodeError) as error:
        allowed = f"a file that holds a JSON object, such as those of `ls events` ({error})"
        raise Mistake(text, allowed) from None


def page_file(text: str, endings: Sequence[str] = (".html", ".svg")) -> Path:
    """Return the file of a page or its picture, once it is known that it can be written."""
    path = Path(text)
    allowed = f"a file that can be written, with a name that ends in {' or '.join(endings)}"
    if path.suffix not in endings:
        raise Mistake(text, allowed)
    is_new = not path.exists()
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise Mistake(text, f"{allowed} ({error})") from None
    if is_new:
        path.unlink()
    return path


def add_address(parser: Parser, port: int) -> None:
    port_type = number(int, f"0 to 65535, such as {port}", end=65536)
    parser.add_argument("--host", default="127.0.0.1", help="what to listen on")
    parser.add_argument("--port", type=port_type, default=port, help="0 for any free one")


def bind(parser: Parser, host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address; end the program where none can be."""
    try:
        return bound(host, port)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno in _NEEDS_ANOTHER_PORT:
            mistake = Mistake(port, f"a port that is free, or 0 for any free one ({error})")
            parser.error(f"PORT: {mistake}")
        mistake = Mistake(host, f"an address of this machine, such as 127.0.0.1 ({error})")
        parser.error(f"HOST: {mistake}")
