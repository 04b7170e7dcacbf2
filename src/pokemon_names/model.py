"""A caller's request, and the result for each number: its name, or why it failed.

A failure is a value, not an exception, so one number never affects another. These classes are
Structs, because each dataclass would add a millisecond to a cold start.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import msgspec

from pokemon_names import ranges

STRATEGIES = ("gather", "sequential", "sync", "index")
FIELDS = ("range", "strategy", "fresh", "trace")
DEFAULT_RANGE = "1-150"
DEFAULT_RACE_RANGE = "1-50"  # even the slow strategies finish it: 5 s each at 100 ms a request
DEFAULT_STRATEGY = "gather"

_FLAGS = {"true": True, "false": False}
_MAX_SHOWN = 80

Reason = Literal[
    "not_found", "bad_status", "bad_body", "timeout", "unreachable", "deadline", "chunk"
]


# Names are printed one per line, so they have no control characters. A reply may have a thousand of
# them, so their length is limited.
Name = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=100, pattern=r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"),
]


class InvalidRequest(ValueError):  # noqa: N818  callers catch it by this name
    """The caller's mistake. The message names the field, what was given and what is allowed."""

    def __init__(self, field: str, given: object, allowed: str, problem: str = "") -> None:
        """Make the message. `problem` says what is wrong if `allowed` does not make it obvious."""
        self.field = _printable(field[:_MAX_SHOWN])
        self.given = _shown(given)
        self.allowed = allowed
        self._problem = problem
        message = f"{self.field}: got {self.given!r}, allowed: {allowed}"
        if problem:
            message += f" ({problem})"
        super().__init__(message)

    def as_dict(self) -> dict[str, str]:
        """Return the message and its parts."""
        return {
            "detail": str(self),
            "field": self.field,
            "given": self.given,
            "allowed": self.allowed,
        }

    def within(self, field: str) -> "InvalidRequest":
        """Return the same mistake, for a request that is inside the field of an event."""
        path = f"{field}.{self.field}"
        return InvalidRequest(path, self.given, self.allowed, self._problem)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request.

    `numbers` are the numbers in `range`, each once. `fresh` bypasses the cache, and `trace` adds
    every HTTP request to the report.
    """

    range: str
    strategy: str
    fresh: bool
    trace: bool
    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, fields: Mapping[str, Any], max_numbers: int) -> Self:
        """Return the request in the fields that a caller sent. Absent fields take their defaults.

        Because a query string contains only text, a flag may also be the text "true" or "false".
        `range` may also be a number.

        Raises:
            InvalidRequest: A field is unknown, or its value is not allowed.
        """
        for name in fields:
            if name not in FIELDS:
                # The value may be a secret, so it is neither logged nor repeated.
                raise InvalidRequest(name, "…", f"only the fields {', '.join(FIELDS)}")
        strategy = fields.get("strategy", DEFAULT_STRATEGY)
        if strategy not in STRATEGIES:
            raise InvalidRequest("strategy", strategy, ", ".join(STRATEGIES))
        fresh = _parse_flag("fresh", fields)
        trace = _parse_flag("trace", fields)
        expression = fields.get("range", DEFAULT_RANGE)
        if type(expression) is int or (isinstance(expression, float) and expression.is_integer()):
            expression = str(int(expression))
        numbers = _parse_numbers(expression, max_numbers)
        return cls(
            range=expression,
            strategy=strategy,
            fresh=fresh,
            trace=trace,
            numbers=numbers,
        )


class Found(msgspec.Struct, frozen=True, tag=True):
    """A number and its name."""

    number: int
    name: str


class Failure(msgspec.Struct, frozen=True, tag=True):
    """A number that failed.

    `status` is the status that PokeAPI sent, or None. `attempts` is 0 if no request was sent.
    """

    number: int
    reason: Reason
    status: int | None
    attempts: int
    detail: str

    @property
    def retryable(self) -> bool:
        """Whether a later fetch may find the name."""
        return self.reason != "not_found"


# In the JSON of a stored chunk, a tag tells them apart.
Result = Found | Failure


class CachedName(msgspec.Struct, frozen=True):
    """A number's name, and when it expires, in epoch seconds."""

    name: str
    fresh_until: float


class Attempt(msgspec.Struct, rename={"ordinal": "attempt"}):
    """One HTTP request for a number's name, or for the list of all Pokémon, which has no number.

    `ordinal` is 1 for the first request. Times are in milliseconds since the fetch began.
    `ready_ms` is when a first request began to wait for the window, or when the attempt before a
    retry ended. `first_byte_ms` is when the program saw the response begin, or None if it saw no
    response. `bytes` is the size of the body: decompressed, but as received for an error.
    """

    number: int | None
    ordinal: int
    ok: bool
    ready_ms: float
    start_ms: float
    first_byte_ms: float | None
    end_ms: float
    bytes: int


class Fetched(msgspec.Struct, frozen=True):
    """The result for every number, in the order requested, and every HTTP request.

    `cached` counts the results from the cache. `stale` counts the expired names, which are used
    when PokeAPI returns no newer ones. `listed` counts the names from the list of all Pokémon.
    """

    results: Sequence[Result]
    attempts: Sequence[Attempt]
    total_ms: float
    cached: int = 0
    stale: int = 0
    listed: int = 0


COUNTS = Fetched.__struct_fields__[3:]  # a report has them in `timing`, and chunks add them up


def escape_surrogates(text: str) -> str:
    """Return the text with its lone surrogates escaped, because UTF-8 cannot encode them."""
    return text.encode(errors="backslashreplace").decode()


def _parse_flag(name: str, fields: Mapping[str, Any]) -> bool:
    given = fields.get(name, False)
    flag = given
    if isinstance(given, str):
        flag = _FLAGS.get(given.lower())
    if not isinstance(flag, bool):
        raise InvalidRequest(name, given, "true or false")
    return flag


def _parse_numbers(expression: object, max_numbers: int) -> tuple[int, ...]:
    if not isinstance(expression, str):
        raise InvalidRequest("range", expression, 'text such as "1-150", or a whole number')
    try:
        return ranges.parse_range(expression, max_numbers)
    except ValueError as error:
        allowed = f"up to {max_numbers:,} numbers, as in {ranges.EXAMPLE}"
        raise InvalidRequest("range", expression, allowed, str(error)) from None


def _shown(given: object) -> str:
    text = _to_json(given)
    if isinstance(given, str):
        text = escape_surrogates(given)
    if len(text) <= _MAX_SHOWN:
        return text
    return text[:_MAX_SHOWN] + "…"


def _to_json(given: object) -> str:
    try:
        return json.dumps(given)
    except RecursionError:  # json.loads accepts slightly deeper nesting than json.dumps
        return "JSON nested too deeply"


def _printable(text: str) -> str:
    """Return the text, escaped if it contains control characters or lone surrogates."""
    if text.isprintable():
        return text
    return repr(text)[1:-1]
