"""The tasks of the state machine that fetches a range too large for one invocation.

    plan   the range -> chunks.json, a list of chunks
    fetch  a chunk -> its results, stored even if incomplete; a retry replaces them
    merge  chunks.json and the chunks' results -> one report, and whether it has enough names

The chunks are stored under runs/NAME/STARTED/, because the name of an execution may be used again
after 90 days. Each task depends only on its input, so a retry or a redrive replaces the objects of
the first attempt. Only TooManyFailed fails again when redriven: start a new execution.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import msgspec

from pokemon_names.model import Fetched, InvalidRequest, Request
from pokemon_names.ranges import parse_range
from pokemon_names.report import Outcome, Report
from pokemon_names.settings import Settings
from pokemon_names.sources import chunks
from pokemon_names.sources.base import Event, Invocation, Job, Reply, reports_of
from pokemon_names.sources.chunks import Chunk, StoredChunk
from pokemon_names.sources.messages import results_key
from pokemon_names.stores.s3 import Bucket

MAX_NUMBERS = 1_000_000  # if all of them fail, one report takes some 100 MB of memory
MIN_CHUNKS = 20  # so that a chunk has at most some 5 % of the names, half of what may be missing
# Of the names. If more are missing, PokeAPI has failed rather than single numbers. The state
# machine's Map tolerates the same share of its chunks.
TOLERATED_PERCENT = 10

# A name that StartExecution allows. It is also the name of a folder, so . and .. are not.
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


class _ChunkTask(msgspec.Struct, frozen=True):
    request: dict[str, Any]
    key: _ChunkKey

    @property
    def execution(self) -> str:
        return self.key.split("/")[1]


class _RangeTask(msgspec.Struct, frozen=True):
    """A task for the whole range of an execution."""

    request: dict[str, Any]
    execution: _Execution
    started: _Started

    def __post_init__(self) -> None:
        try:
            self.started.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(f"`started` has no time in UTC: {error}") from None

    @property
    def folder(self) -> str:
        """The folder of the execution's objects."""
        started = self.started.astimezone(UTC)
        # `%Y` would leave out a year's leading zeros.
        return f"runs/{self.execution}/{started.year:04}{started:%m%dT%H%M%S.%fZ}"

    @property
    def chunks_key(self) -> str:
        """The key of the list of chunks."""
        return f"{self.folder}/chunks.json"


_Task = TypeVar("_Task", _ChunkTask, _RangeTask)
_Work = tuple[list[Job], Callable[[Sequence[Outcome]], Any]]


def read(event: Event, settings: Settings, bucket: Bucket | None) -> Invocation | None:
    """Return the invocation of a task; None for any other event.

    A fetch is a job like any other. The tasks for the whole range fetch nothing, so they have no
    jobs, and run when they reply.
    """
    match event["task"]:
        case "fetch":
            return _invocation(event, _ChunkTask, lambda task: _fetch(task, settings))
        case "plan":
            return _invocation(event, _RangeTask, lambda task: _plan(task, settings, bucket))
        case "merge":
            return _invocation(event, _RangeTask, lambda task: _merge(task, bucket))
    return None


def _invocation(
    event: Event, shape: type[_Task], read_task: Callable[[_Task], _Work]
) -> Invocation:
    """Return a task's invocation, or one that raises what is wrong with the event."""
    execution = None
    try:
        task = _convert(event, shape)
        execution = task.execution
        jobs, reply = read_task(task)
    except InvalidRequest as error:
        jobs, reply = [Job(error)], reports_of
    return Invocation(jobs=jobs, reply=reply, correlation_id=execution)


def _convert(event: Event, shape: type[_Task]) -> _Task:
    try:
        return msgspec.convert(event, shape)
    except ValueError as error:  # msgspec's own, or a key that is not valid Unicode
        allowed = f"{event['task']} with its fields ({error})"
        raise InvalidRequest("task", ", ".join(event), allowed) from None


def _fetch(task: _ChunkTask, settings: Settings) -> _Work:
    request = Request.parse(task.request, settings.max_numbers)
    return [Job(request, task.key, contents=attrgetter("fetched"))], _reply_to_fetch


def _reply_to_fetch(outcomes: Sequence[Outcome]) -> Reply:
    """Return a summary, because a state cannot hold the names; raise the first error."""
    (report,) = reports_of(outcomes)
    return report.summary


def _plan(task: _RangeTask, settings: Settings, bucket: Bucket | None) -> _Work:
    bucket = _required(bucket, "plan")
    request = Request.parse(task.request, MAX_NUMBERS)
    if request.trace:
        raise InvalidRequest("trace", request.trace, "false, because each chunk has its own clock")
    return [], lambda _: _put_chunks(task, request, settings.chunk_numbers, bucket)


def _put_chunks(task: _RangeTask, request: Request, chunk_numbers: int, bucket: Bucket) -> Reply:
    """Put the list of chunks; return where it is, and the request with all its fields."""
    count = len(request.numbers)
    full_chunks = math.ceil(count / chunk_numbers)
    parts = chunks.split(request.numbers, max(full_chunks, min(MIN_CHUNKS, count)))
    listed = [Chunk(part, f"{task.folder}/{index}.json") for index, part in enumerate(parts)]
    bucket.put(task.chunks_key, listed)
    return {
        "request": {
            "range": request.range,
            "strategy": request.strategy,
            "fresh": request.fresh,
        },
        "folder": task.folder,
        "chunks": {"key": task.chunks_key, "count": len(listed)},
    }


def _merge(task: _RangeTask, bucket: Bucket | None) -> _Work:
    bucket = _required(bucket, "merge")
    request = Request.parse(task.request, MAX_NUMBERS)
    return [], lambda _: _put_report(task, request, bucket)


def _put_report(task: _RangeTask, request: Request, bucket: Bucket) -> Reply:
    """Put the report; the numbers of a chunk without results have failed. Return its summary.

    `enough` says whether the state machine tolerates what is missing. A number that does not exist
    is not missing.
    """
    stored = list(_stored_chunks(task, request, bucket))
    elapsed = datetime.now(UTC) - task.started
    total_ms = elapsed.total_seconds() * 1000
    report = Report(request, chunks.merge(stored, total_ms))
    key = results_key(f"states/{task.execution}")
    bucket.put(key, report.as_dict())
    missing = 100 * len(report.retryable)
    tolerated = TOLERATED_PERCENT * len(request.numbers)
    return {
        "bucket": bucket.name,
        "key": key,
        "enough": missing <= tolerated,
        **report.summary,
    }


def _stored_chunks(task: _RangeTask, request: Request, bucket: Bucket) -> Iterator[StoredChunk]:
    """Yield the numbers of each chunk, and what was stored of it.

    Without the list of chunks, the range is one chunk that was never stored.
    """
    content = bucket.get(task.chunks_key)
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


def _required(bucket: Bucket | None, task: str) -> Bucket:
    if bucket is None:
        raise InvalidRequest("task", task, "only fetch, because there is no RESULTS_BUCKET")
    return bucket
