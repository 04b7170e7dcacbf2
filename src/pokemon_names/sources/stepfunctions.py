"""The tasks of the state machine that fetches a range too large for one invocation.

    plan   the range -> chunks.json, a list of chunks
    fetch  a chunk -> its results, stored even where they are incomplete; then another attempt
           replaces them
    merge  chunks.json and the chunks' results -> one report, and whether it has enough names

The chunks are stored under runs/NAME/STARTED/, because the name of an execution may be used again
after 90 days. Each task depends on its input alone: a second attempt, or a redrive, replaces the
objects of the first. Only TooManyFailed, redriven, fails again: start a new execution.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self

import msgspec

from pokemon_names.model import Fetched, InvalidRequest, Request
from pokemon_names.ranges import parse_range
from pokemon_names.report import Report
from pokemon_names.sources import chunks
from pokemon_names.sources.base import (
    Bucket,
    Deployment,
    Event,
    Job,
    JobResult,
    Reply,
    Shape,
    Source,
    reports_of,
)
from pokemon_names.sources.chunks import Chunk, StoredChunk
from pokemon_names.sources.messages import results_key

MAX_NUMBERS = 1_000_000  # one report can still hold them in some 100 MB, all of them failed
MIN_CHUNKS = 20  # so that a chunk is some 5 % of the names, half of what may be missing
# Of the names: if more are missing, PokeAPI has failed rather than single numbers. The state
# machine's Map tolerates as many of its chunks.
TOLERATED_PERCENT = 10

# A name that StartExecution allows. It is also a folder's name, which . and .. are not.
_NAME = (
    r"(?!\.{1,2}(?:/|\Z))"
    r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U0010ffff]{1,80}"""
)
_Execution = Annotated[str, msgspec.Meta(pattern=rf"\A{_NAME}\Z")]
_Started = Annotated[datetime, msgspec.Meta(tz=True)]
_ChunkKey = Annotated[
    str,
    msgspec.Meta(pattern=rf"\Aruns/{_NAME}/[0-9]{{8}}T[0-9]{{6}}\.[0-9]{{6}}Z/[0-9]+\.json\Z"),
]


class Task(Source[Shape]):
    """A task, told by its name."""

    name: ClassVar[str]

    @classmethod
    def from_event(cls, event: Event, deployment: Deployment) -> Self | None:
        """Return the event as this task, None where it is another.

        Raises:
            InvalidRequest: The task lacks a field, or a field's value is not allowed.
        """
        if event["task"] != cls.name:
            return None
        try:
            shaped = msgspec.convert(event, cls.shape)
        except ValueError as error:  # msgspec's own, or a key that is no Unicode
            allowed = f"{cls.name} with its fields ({error})"
            raise InvalidRequest("task", ", ".join(event), allowed) from None
        return cls(shaped, deployment)


class _FetchEvent(msgspec.Struct, frozen=True):
    request: dict[str, Any]
    key: _ChunkKey


class FetchChunk(Task[_FetchEvent]):
    """Fetch a chunk, which is a job like any other."""

    name = "fetch"
    shape = _FetchEvent

    @property
    def correlation_id(self) -> str:
        """The execution's name."""
        return self.event.key.split("/")[1]

    def jobs(self) -> list[Job]:
        """Return the one job of the chunk."""
        request = Request.parse(self.event.request, self.deployment.max_numbers)
        return [Job(request, self.event.key, contents=attrgetter("fetched"))]

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return a summary, because a state cannot hold the names; raise the first error."""
        (report,) = reports_of(results)
        return report.summary


class _ExecutionEvent(msgspec.Struct, frozen=True):
    request: dict[str, Any]
    execution: _Execution
    started: _Started

    def __post_init__(self) -> None:
        try:
            self.started.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(f"`started` has no time in UTC: {error}") from None


class ExecutionTask(Task[_ExecutionEvent]):
    """A task for the whole range of an execution: it fetches nothing, so that it has no jobs."""

    shape = _ExecutionEvent

    @property
    def correlation_id(self) -> str:
        """The execution's name."""
        return self.event.execution

    def jobs(self) -> list[Job]:
        """Return none; raise InvalidRequest without a bucket, or for a bad request."""
        if self.deployment.bucket is None:
            raise InvalidRequest(
                "task", self.name, "only fetch, because there is no RESULTS_BUCKET"
            )
        self._bucket = self.deployment.bucket
        self._request = self.parse()
        return []

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Run the task; raise the refusal, if there is one."""
        reports_of(results)
        return self.run(self._request, self._bucket)

    def parse(self) -> Request:
        """Return the request of the execution."""
        return Request.parse(self.event.request, MAX_NUMBERS)

    @abstractmethod
    def run(self, request: Request, bucket: Bucket) -> Reply:
        """Do what the task is for, and return its reply."""

    @property
    def folder(self) -> str:
        """The folder of the execution's objects."""
        started = self.event.started.astimezone(UTC)
        # `%Y` would leave out a year's leading zeros.
        return f"runs/{self.event.execution}/{started.year:04}{started:%m%dT%H%M%S.%fZ}"

    @property
    def chunks_key(self) -> str:
        """The key of the list of chunks."""
        return f"{self.folder}/chunks.json"


class Plan(ExecutionTask):
    """Split the range into chunks."""

    name = "plan"

    def parse(self) -> Request:
        """Return the request; it has no trace."""
        request = super().parse()
        if request.trace:
            allowed = "false, because each chunk has a clock of its own"
            raise InvalidRequest("trace", request.trace, allowed)
        return request

    def run(self, request: Request, bucket: Bucket) -> Reply:
        """Put the list of chunks; return where it is, and the request with all its fields."""
        count = len(request.numbers)
        full_chunks = math.ceil(count / self.deployment.chunk_numbers)
        parts = chunks.split(request.numbers, max(full_chunks, min(MIN_CHUNKS, count)))
        folder = self.folder
        listed = []
        for index, part in enumerate(parts):
            listed.append(Chunk(part, f"{folder}/{index}.json"))
        bucket.put(self.chunks_key, listed)
        return {
            "request": {
                "range": request.range,
                "strategy": request.strategy,
                "fresh": request.fresh,
            },
            "folder": folder,
            "chunks": {"key": self.chunks_key, "count": len(listed)},
        }


class Merge(ExecutionTask):
    """Merge the results of all chunks."""

    name = "merge"

    def run(self, request: Request, bucket: Bucket) -> Reply:
        """Put the report, where numbers of a chunk without results failed; return its summary.

        `enough` is whether the state machine tolerates what is missing. A number that does not
        exist is not missing.
        """
        stored = list(self._stored_chunks(request, bucket))
        elapsed = datetime.now(UTC) - self.event.started
        total_ms = elapsed.total_seconds() * 1000
        report = Report(request, chunks.merge(stored, total_ms))
        key = results_key(f"states/{self.event.execution}")
        bucket.put(key, report.as_dict())
        missing = 100 * len(report.retryable)
        tolerated = TOLERATED_PERCENT * len(request.numbers)
        return {
            "bucket": bucket.name,
            "key": key,
            "enough": missing <= tolerated,
            **report.summary,
        }

    def _stored_chunks(self, request: Request, bucket: Bucket) -> Iterator[StoredChunk]:
        """Yield the numbers of each chunk, and what was stored of it.

        Without the list of chunks, the range is one chunk of which nothing was stored.
        """
        content = bucket.get(self.chunks_key)
        if content is None:
            yield request.numbers, None
            return
        listed = msgspec.json.decode(content, type=list[Chunk])
        contents = bucket.get_all(chunk.key for chunk in listed)
        for chunk, stored in zip(listed, contents, strict=True):
            numbers = parse_range(chunk.range, MAX_NUMBERS)
            fetched = None
            if stored:
                fetched = msgspec.json.decode(stored, type=Fetched)
            yield numbers, fetched
