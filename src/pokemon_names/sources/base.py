"""What every source makes of an event: jobs, and a function that replies with their outcomes."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from pokemon_names.model import Failure, InvalidRequest, Request
from pokemon_names.report import Outcome, Report

MAX_REPLY_BYTES = 6_000_000  # Lambda's limit

Event = dict[str, Any]
Reply = dict[str, Any]
Shape = TypeVar("Shape")


class Job(msgspec.Struct, frozen=True):
    """One request of an event, or the error that took its place.

    If nobody waits for the reply, the job has a `key`: what `contents` makes of the report is
    stored under it, and so is a refusal. Jobs run side by side. Those with `shares` run one after
    another, each for its share of the time left.
    """

    request: Request | Exception
    key: str | None = None
    contents: Callable[[Report], Any] = Report.as_dict
    shares: int = 0


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """An event as its jobs and the function that replies with their outcomes.

    `reply` takes one outcome for each job, in the order of the jobs, and raises what the caller
    handles. `correlation_id` is the caller's own id, None if it has none. `caller_timeout` is how
    many seconds the caller waits, infinite if it waits as long as the function runs. `logs_reply`
    says whether to log the reply of an event without jobs.
    """

    jobs: Sequence[Job]
    reply: Callable[[Sequence[Outcome]], Reply]
    correlation_id: str | None = None
    caller_timeout: float = math.inf
    logs_reply: bool = True


class IncompleteError(Exception):
    """Names are missing that a retry may bring. All others are stored."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        count = len(failures)
        first = failures[0]
        super().__init__(
            f"incomplete: {count} {'number' if count == 1 else 'numbers'} failed, "
            f"the first being {first.number} ({first.reason})"
        )


def convert(event: Any, shape: type[Shape]) -> Shape | None:
    """Return the event in its shape, None if it does not have it."""
    try:
        return msgspec.convert(event, shape)
    except ValueError:  # msgspec's own, or a key that is not valid Unicode
        return None


def unwrapped(event: Any) -> Any:
    """Return the event inside Lambda's record of a failed invocation, any other as it is.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    while True:
        match event:
            case {"requestContext": {"condition": "Success"}}:
                return event
            case {"requestContext": _, "requestPayload": payload}:
                event = payload
            case _:
                return event


def check_size(reply: Reply, max_bytes: int = MAX_REPLY_BYTES) -> None:
    """Raise InvalidRequest if a reply is larger than its caller can receive."""
    size = len(json.dumps(reply, ensure_ascii=False).encode())  # as Lambda's runtime sends it
    if size > max_bytes:
        allowed = f"at most {max_bytes:,} bytes: ask for fewer numbers, or without trace"
        raise InvalidRequest("reply", f"{size:,} bytes", allowed)


def reports_of(outcomes: Sequence[Outcome]) -> list[Report]:
    """Return the reports; raise the first error."""
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
    return [outcome.report for outcome in outcomes if outcome.report]
