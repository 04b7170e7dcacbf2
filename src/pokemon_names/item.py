"""The requests of an event, each from when it is read to what became of it: of several, none spoils another."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from pokemon_names.outcome import Failed
from pokemon_names.report import Report
from pokemon_names.request import InvalidRequest, Request


class Item(msgspec.Struct, frozen=True):
    """A request, or why there is none.

    Where nobody waits for the report, it is kept under the key, with what `contents` makes of it.
    """

    request: Request | InvalidRequest
    key: str | None = None
    contents: Callable[[Report], Any] = Report.as_dict


Result = Report | Exception  # what became of an item: the exception is of one of the kinds declared here or in request


class Source(msgspec.Struct, frozen=True):
    """An event that holds requests. Beside what is here, `items` reads them, and `reply` tells what became of them."""

    patience: ClassVar[float] = math.inf  # seconds that the caller waits, where it is not until Lambda's timeout

    @property
    def correlation_id(self) -> str | None:
        """The caller's own, None where Lambda's is all there is."""
        return None

    @property
    def in_turn(self) -> bool:
        """Whether the requests must not take each other's time."""
        return False


def reports(results: Sequence[Result]) -> list[Report]:
    """Give them, where all is well; or raise what went wrong first."""
    for result in results:
        if isinstance(result, Exception):
            raise result
    return [result for result in results if isinstance(result, Report)]


class IncompleteError(Exception):
    """Names are missing that another attempt may bring. What came is kept."""

    def __init__(self, failures: Sequence[Failed]) -> None:
        first = failures[0]
        super().__init__(f"{len(failures)} names did not come, first that of {first.number}: {first.reason}")
