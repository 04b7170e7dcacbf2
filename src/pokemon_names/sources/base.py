"""What every source of events has: jobs, and a reply that is made of their results."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import msgspec

from pokemon_names.model import Failure, InvalidRequest, Request
from pokemon_names.report import Report

MAX_REPLY_BYTES = 6_000_000  # Lambda takes 6 MB

Event = dict[str, Any]
Reply = dict[str, Any]
Shape = TypeVar("Shape")


class Bucket(Protocol):
    """What a source needs of the bucket; stores/s3.py has it."""

    name: str

    def put(self, key: str, value: Any) -> None:
        """Put a value as JSON."""

    def get(self, key: str, max_bytes: int | None = None, etag: str | None = None) -> bytes | None:
        """Return an object's content, at most `max_bytes` of it; None if there is none."""

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """Return several objects' contents."""


class Deployment(msgspec.Struct, frozen=True):
    """What differs between deployments: limits, and where reports are stored, if anywhere."""

    max_numbers: int = 1500
    max_sequential_numbers: int = 150
    chunk_numbers: int = 500
    bucket: Bucket | None = None


class Job(msgspec.Struct, frozen=True):
    """A request of an event, or the error that left none.

    If nobody waits for the report, it is stored under the `key`, as what `contents` returns. A
    refusal is stored there, too. Jobs run side by side; those with `shares` run one at a time, each
    for its share of the time that is left.
    """

    request: Request | Exception
    key: str | None = None
    contents: Callable[[Report], Any] = Report.as_dict
    shares: int = 0


class JobResult(msgspec.Struct, frozen=True):
    """The report of a job, and why it is not enough: no job affects the others of its event."""

    job: Job
    report: Report | None = None
    error: Exception | None = None


class IncompleteError(Exception):
    """Names are missing that another attempt may bring. What came is stored."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        first = failures[0]
        count = len(failures)
        super().__init__(
            f"not all names came: {count} failed, first {first.number}: {first.reason}"
        )


class Source(ABC, Generic[Shape]):
    """An event, its jobs and its reply."""

    shape: ClassVar[Any]
    """The Struct that the events of the source convert to."""
    caller_timeout: ClassVar[float] = math.inf
    """Seconds that the caller waits, where it does not wait until Lambda's timeout."""
    logs_reply: ClassVar[bool] = True
    """Whether the reply is logged where there are no jobs, whose results would be."""

    def __init__(self, event: Shape, deployment: Deployment) -> None:
        self.event = event
        self.deployment = deployment

    @classmethod
    def from_event(cls, event: Event, deployment: Deployment) -> Self | None:
        """Return the event as this source, None where it is another's."""
        try:
            shaped = msgspec.convert(event, cls.shape)
        except ValueError:  # msgspec's own, or a key that is no Unicode
            return None
        return cls(shaped, deployment)

    @property
    def correlation_id(self) -> str | None:
        """The caller's own id, None where Lambda's is all there is."""
        return None

    @abstractmethod
    def jobs(self) -> list[Job]:
        """Return the jobs; raise InvalidRequest where there cannot be any."""

    @abstractmethod
    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return the reply to the event, or raise what its caller handles."""


def unwrapped(event: Any) -> Any:
    """Return the event in Lambda's record of an invocation that failed, any other as it is.

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


def reports_of(results: Sequence[JobResult]) -> list[Report]:
    """Return the reports; raise the first error."""
    for result in results:
        if result.error:
            raise result.error
    return [result.report for result in results if result.report]
