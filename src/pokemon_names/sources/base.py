"""What all sources share: an event's jobs, and the function that makes the reply to it."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from pokemon_names.model import Failure, InvalidRequest, Request
from pokemon_names.report import Outcome, Report

MAX_REPLY_BYTES = 6_000_000  # Lambda's limit for a reply

Event = dict[str, Any]
Reply = dict[str, Any]
Shape = TypeVar("Shape")


class Job(msgspec.Struct, frozen=True):
    """One request in an event, or the error that reading it raised.

    If the job has a `key`, its result is stored under that key: what `contents` returns for the
    report, or the refusal of a bad request. Jobs run concurrently, unless they have `shares`. Then
    they run one after another, and the shares divide the time left between them.
    """

    request: Request | Exception
    key: str | None = None
    contents: Callable[[Report], Any] = Report.as_dict
    shares: int = 0


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """An event's jobs, and the function that turns their outcomes into the reply.

    `reply` takes one outcome for each job, in the order of the jobs, and raises the errors that the
    caller has to handle. `correlation_id` is the source's own id for the event, None if it has
    none. `caller_timeout` is how many seconds the caller waits, infinite if it waits until the
    function ends. `logs_reply` says whether to log the reply to an event without jobs.
    """

    jobs: Sequence[Job]
    reply: Callable[[Sequence[Outcome]], Reply]
    correlation_id: str | None = None
    caller_timeout: float = math.inf
    logs_reply: bool = True


class IncompleteError(Exception):
    """Some names are missing, and a retry may find them. The others are stored."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        count = len(failures)
        first = failures[0]
        super().__init__(
            f"incomplete: {count} {'number' if count == 1 else 'numbers'} failed, "
            f"the first being {first.number} ({first.reason})"
        )


def convert(event: Any, shape: type[Shape]) -> Shape | None:
    """Return the event as a value of the type `shape`, or None if it does not fit."""
    try:
        return msgspec.convert(event, shape)
    except ValueError:  # msgspec.ValidationError, or a key that is not valid Unicode
        return None


def unwrapped(event: Any) -> Any:
    """Return the event inside Lambda's record of a failed invocation, or any other event as it is.

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
    """Raise InvalidRequest if a reply is larger than the caller can receive."""
    size = len(json.dumps(reply, ensure_ascii=False).encode())  # as Lambda's runtime sends it
    if size > max_bytes:
        allowed = f"at most {max_bytes:,} bytes; ask for fewer numbers, or leave out trace"
        raise InvalidRequest("reply", f"{size:,} bytes", allowed)


def reports_of(outcomes: Sequence[Outcome]) -> list[Report]:
    """Return the reports of all outcomes, or raise the first error."""
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
    return [outcome.report for outcome in outcomes if outcome.report]
