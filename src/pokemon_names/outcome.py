"""What becomes of a number: found, or failed and why; and of all of them together.

A number that could not be fetched is a value, `Failed` with its reason, so that it never costs the others their names.
The values are Structs because a dataclass takes a millisecond of every cold start to make.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

Reason = Literal["not_found", "bad_status", "bad_body", "timeout", "unreachable", "deadline", "chunk"]


class Found(msgspec.Struct, frozen=True):
    """A number with its name."""

    number: int
    name: str


class Failed(msgspec.Struct, frozen=True):
    """A number without its name. The status is PokeAPI's, None where it answered none for this number."""

    number: int
    reason: Reason
    status: int | None
    attempts: int  # 0 where no request was sent
    detail: str

    @property
    def lost(self) -> bool:
        """Whether there may be a name, which another attempt may bring."""
        return self.reason != "not_found"


Outcome = Found | Failed


class Exchange(msgspec.Struct):
    """One HTTP request for a number's name, None for the list of all. Times are milliseconds since the fetch began.

    `ready_ms` is when it could have been sent, had the window let it in, and for a retry when the attempt before it
    ended.
    `first_byte_ms` is when the program saw the response begin, None where no whole response came; `bytes` counts the
    body unzipped, but an error's as it came.
    """

    number: int | None
    attempt: int
    ok: bool
    ready_ms: float
    start_ms: float
    first_byte_ms: float | None
    end_ms: float
    bytes: int

    @property
    def ms(self) -> float:
        """From sending it to the body's end."""
        return self.end_ms - self.start_ms


class Fetched(msgspec.Struct, frozen=True):
    """An outcome for every number, in the order asked for, and every HTTP request that it took.

    Of the outcomes, `cached` were known already, and `stale` are older than the cache wants them but all there was.
    """

    outcomes: Sequence[Outcome]
    exchanges: Sequence[Exchange]
    total_ms: float
    cached: int = 0
    stale: int = 0
