"""What a caller asks for: which Pokémon, and how to fetch them.

A range expression is a comma-separated list of numbers and ascending ranges: `1-150`, `151`, `1-151,10001-10010`.
Numbers keep the order they were asked for in, and repeats are dropped.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Self

import msgspec

STRATEGIES = ("gather", "sequential", "sync", "index")
FIELDS = ("range", "strategy", "fresh", "trace")

_NUMBER = r"\s*0*([1-9][0-9]{0,8})\s*"
_PART = re.compile(f"{_NUMBER}(?:-{_NUMBER})?")
_FLAGS = ("fresh", "trace")
_BOOLEANS = {"true": True, "false": False}
_MAX_CHARACTERS = 20_000
_MAX_SHOWN = 80


class InvalidRequest(ValueError):  # noqa: N818  callers catch it by this name
    """The caller's mistake; the message names the field, what was given and what is allowed."""

    def __init__(self, field: str, given: object, allowed: str) -> None:
        text = given if isinstance(given, str) else _as_json(given)
        self.field = _printable(field[:_MAX_SHOWN])
        self.given = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
        self.allowed = allowed
        super().__init__(f"{self.field}: got {self.given!r}, allowed: {allowed}")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request; making one of anything else raises InvalidRequest. The numbers follow from the range."""

    range: str = "1-150"
    strategy: str = "gather"
    fresh: bool = False
    trace: bool = False
    max_numbers: int = 1500
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise InvalidRequest("strategy", self.strategy, ", ".join(STRATEGIES))
        for name in _FLAGS:
            if not isinstance(flag := getattr(self, name), bool):
                raise InvalidRequest(name, flag, "true or false")
        msgspec.structs.force_setattr(self, "numbers", parse_range(self.range, self.max_numbers))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], max_numbers: int) -> Self:
        """Make a request of what a caller sent; absent fields take their defaults.

        Query strings have only text and JSON has more, so a flag may be the text "true" and `range` the number 151.
        """
        for name, given in fields.items():
            if name not in FIELDS:
                raise InvalidRequest(name, given, f"only the fields {', '.join(FIELDS)}")
        values = dict(fields)
        for name in _FLAGS:
            if isinstance(flag := values.get(name), str):
                values[name] = _BOOLEANS.get(flag.lower(), flag)
        if type(expression := values.get("range")) is int:
            values["range"] = str(expression)
        return cls(**values, max_numbers=max_numbers)


def parse_range(expression: str, max_numbers: int) -> tuple[int, ...]:
    """Give the numbers of a range expression in the order they are written, each once."""
    if not isinstance(expression, str):
        raise InvalidRequest("range", expression, 'text such as "1-150"')
    if len(expression) > _MAX_CHARACTERS:
        raise InvalidRequest("range", expression, f"at most {_MAX_CHARACTERS} characters")
    numbers: dict[int, None] = {}
    for part in expression.split(","):
        numbers |= dict.fromkeys(_parse_part(part, expression, max_numbers))
    if len(numbers) > max_numbers:
        raise _too_many(expression, max_numbers)
    return tuple(numbers)


def _parse_part(part: str, expression: str, max_numbers: int) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise InvalidRequest("range", expression, "numbers from 1 to 999999999 and ranges, as in 1-151,10001-10010")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise InvalidRequest("range", expression, "ranges that ascend, as in 1-150")
    if last - first >= max_numbers:
        raise _too_many(expression, max_numbers)
    return range(first, last + 1)


def _printable(text: str) -> str:
    """Escape what is not to be printed: a lone surrogate has no UTF-8, and a newline would end the log's line."""
    return text if text.isprintable() else repr(text)[1:-1]


def _as_json(given: object) -> str:
    try:
        return json.dumps(given, default=str)
    except RecursionError:  # JSON from a message may just have been readable
        return "JSON nested too deeply"


def _too_many(expression: str, max_numbers: int) -> InvalidRequest:
    return InvalidRequest("range", expression, f"at most {max_numbers} numbers")
