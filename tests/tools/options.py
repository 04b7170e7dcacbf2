"""The options of the programs that make runs. A mistake is one line, with the variable of make."""

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
    """A value that is not allowed: what was given, and what is allowed."""

    def __init__(self, given: object, allowed: str) -> None:
        super().__init__(f"got {str(given)!r}, allowed: {allowed}")


class Parser(argparse.ArgumentParser):
    """A parser that names an option as make does: DELAY for --delay."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake on one line, and end the program."""
        line = _OPTION.sub(lambda option: option[1].upper(), message)
        self.exit(2, f"{line}\n")


def number(
    kind: Callable[[str], float], allowed: str, minimum: float = 0, end: float = math.inf
) -> Callable[[str], float]:
    """Return the type of a numeric option: at least the minimum, and below the end."""

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
        allowed = f"a file that contains a JSON object, such as those of `ls events` ({error})"
        raise Mistake(text, allowed) from None


def page_file(text: str, endings: Sequence[str] = (".html", ".svg")) -> Path:
    """Return the path of a page or picture, after checking that it can be written."""
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
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=port_type, default=port, help="0 for any free port")


def bind(parser: Parser, host: str, port: int) -> socket.socket:
    """Return a socket bound to the address, or end the program if that fails."""
    try:
        return bound(host, port)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno in _NEEDS_ANOTHER_PORT:
            mistake = Mistake(port, f"a free port, or 0 for any free one ({error})")
            parser.error(f"PORT: {mistake}")
        mistake = Mistake(host, f"an address of this machine, such as 127.0.0.1 ({error})")
        parser.error(f"HOST: {mistake}")
