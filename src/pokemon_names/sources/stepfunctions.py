"""The tasks of the state machine that fetches a range too large for one invocation.

    plan   the range -> chunks.json, a list of chunks
    fetch  a chunk -> its results, stored even where they are incomplete; then another attempt
           replaces them
    merge  chunks.json and the chunks' results -> one report

Each task depends on its input alone: a second attempt replaces the objects of the first.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self, TypeVar

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

_Execution = Annotated[str, msgspec.Meta(pattern=r"^[\w.()!@'+=-]{1,80}\Z")]
_ChunkKey = Annotated[str, msgspec.Meta(pattern=r"^runs/[^/]+/[0-9]+\.json\Z")]


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
            raise InvalidRequest("task", event, f"{cls.name} with its fields ({error})") from None
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
        return report.summary()


class _ExecutionEvent(msgspec.Struct, frozen=True):
    request: dict[str, Any]
    execution: _Execution


class _MergeEvent(_ExecutionEvent, frozen=True):
    started: datetime


_Event = TypeVar("_Event", bound=_ExecutionEvent)


class ExecutionTask(Task[_Event]):
    """A task for the whole range of an execution: it fetches nothing, so that it has no jobs."""

    logs_reply = True

    @property
    def correlation_id(self) -> str:
        """The execution's name."""
        return self.event.execution

    def jobs(self) -> list[Job]:
        """Return none."""
        return []

    def reply(self, results: Sequence[JobResult]) -> Reply:  # noqa: ARG002  there are none
        """Run the task; raise InvalidRequest without a bucket, or for a bad request."""
        bucket = self.deployment.bucket
        if bucket is None:
            raise InvalidRequest(
                "task", self.name, "only fetch, because there is no RESULTS_BUCKET"
            )
        request = Request.parse(self.event.request, MAX_NUMBERS)
        return self.run(request, bucket)

    @abstractmethod
    def run(self, request: Request, bucket: Bucket) -> Reply:
        """Do what the task is for, and return its reply."""

    @property
    def chunks_key(self) -> str:
        """The key of the list of chunks."""
        return f"runs/{self.event.execution}/chunks.json"


class Plan(ExecutionTask[_ExecutionEvent]):
    """Split the range into chunks."""

    name = "plan"
    shape = _ExecutionEvent

    def run(self, request: Request, bucket: Bucket) -> Reply:
        """Put the list of chunks; return the request with all its fields, and where the list is."""
        if request.trace:
            allowed = "false, because each chunk has a clock of its own"
            raise InvalidRequest("trace", request.trace, allowed)
        parts = chunks.split(request.numbers, self.deployment.chunk_numbers)
        listed = []
        for index, part in enumerate(parts):
            key = f"runs/{self.event.execution}/{index}.json"
            listed.append(Chunk(part, key))
        bucket.put(self.chunks_key, listed)
        return {
            "request": {
                "range": request.range,
                "strategy": request.strategy,
                "fresh": request.fresh,
            },
            "chunks": {"key": self.chunks_key, "count": len(listed)},
        }


class Merge(ExecutionTask[_MergeEvent]):
    """Merge the results of all chunks."""

    name = "merge"
    shape = _MergeEvent

    def run(self, request: Request, bucket: Bucket) -> Reply:
        """Put the report, where numbers of a chunk without results failed; return its summary."""
        stored = list(self._stored_chunks(bucket))
        elapsed = datetime.now(UTC) - self.event.started
        total_ms = elapsed.total_seconds() * 1000
        report = Report(request, chunks.merge(stored, total_ms))
        key = results_key("states", self.event.execution)
        bucket.put(key, report.as_dict())
        return {"bucket": bucket.name, "key": key, **report.summary()}

    def _stored_chunks(self, bucket: Bucket) -> Iterator[StoredChunk]:
        """Yield the numbers of each chunk, and what was stored of it."""
        content = bucket.get(self.chunks_key) or b"[]"
        listed = msgspec.json.decode(content, type=list[Chunk])
        contents = bucket.get_all(chunk.key for chunk in listed)
        for chunk, stored in zip(listed, contents, strict=True):
            numbers = parse_range(chunk.range, MAX_NUMBERS)
            fetched = None
            if stored:
                fetched = msgspec.json.decode(stored, type=Fetched)
            yield numbers, fetched
