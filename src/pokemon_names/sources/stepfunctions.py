"""The tasks of the state machine that fetches a range too large for one invocation.

    plan   the range -> chunks.json, a list of chunks
    fetch  a chunk -> its results, stored even if incomplete; a retry replaces them
    merge  chunks.json and the chunks' results -> one report, and whether it has enough names

Everything but the report is stored under runs/NAME/STARTED/. The name of an execution is not
enough, because it may be used again after 90 days. Each task depends only on its input, so a retry
or a redrive replaces the objects of the first attempt. A redrive cannot help after TooManyFailed:
start a new execution instead.
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

MAX_NUMBERS = 1_000_000  # if all of them fail, the report takes about 100 MB of memory
MIN_CHUNKS = 20  # so that a chunk has at most about 5 % of the names, half of what may be missing
# The share of the names that may be missing. If more are, PokeAPI itself has failed, not just some
# numbers. The state machine's Map tolerates the same share of failed chunks.
TOLERATED_PERCENT = 10

# A name that StartExecution allows, except . and .., because it is also the name of a folder.
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
            raise ValueError(f"`started` is out of range in UTC: {error}") from None

    @property
    def folder(self) -> str:
        """The folder of the execution's objects."""
        started = self.started.astimezone(UTC)
        # `%Y` would omit the leading zeros of a year.
        return f"runs/{self.execution}/{started.year:04}{started:%m%dT%H%M%S.%fZ}"

    @property
    def chunks_key(self) -> str:
        """The key of the list of chunks."""
        return f"{self.folder}/chunks.json"


_Task = TypeVar("_Task", _ChunkTask, _RangeTask)
_Work = tuple[list[Job], Callable[[Sequence[Outcome]], Any]]


def read(event: Event, settings: Settings, bucket: Bucket | None) -> Invocation | None:
    """Return the invocation for a task, or None for any other event.

    `fetch` has a job like any other request. `plan` and `merge` fetch nothing, so they have no
    jobs; their reply functions do the work.
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
    """Return the invocation for a task. Its reply raises InvalidRequest if the event is bad."""
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
    except ValueError as error:  # msgspec.ValidationError, or a key that is not valid Unicode
        allowed = f"{event['task']} with its fields ({error})"
        raise InvalidRequest("task", ", ".join(event), allowed) from None


def _fetch(task: _ChunkTask, settings: Settings) -> _Work:
    request = Request.parse(task.request, settings.max_numbers)
    return [Job(request, task.key, contents=attrgetter("fetched"))], _reply_to_fetch


def _reply_to_fetch(outcomes: Sequence[Outcome]) -> Reply:
    """Return a summary, because a state cannot hold all names; raise the error if there is one."""
    (report,) = reports_of(outcomes)
    return report.summary


def _plan(task: _RangeTask, settings: Settings, bucket: Bucket | None) -> _Work:
    bucket = _required(bucket, "plan")
    request = Request.parse(task.request, MAX_NUMBERS)
    if request.trace:
        raise InvalidRequest("trace", request.trace, "false, because each chunk has its own clock")
    return [], lambda _: _put_chunks(task, request, settings.chunk_numbers, bucket)


def _put_chunks(task: _RangeTask, request: Request, chunk_numbers: int, bucket: Bucket) -> Reply:
    """Store the list of chunks; return its key, and the request with its defaults filled in."""
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
    """Store the report, and return its key and summary.

    The numbers of a chunk without results have failed. `enough` says whether few enough names are
    missing for the execution to succeed. A number that does not exist is not missing.
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
    """Yield the numbers and the stored results of each chunk, None if there are none.

    Without a list of chunks, the whole range counts as one chunk without results.
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
        raise InvalidRequest("task", task, "only fetch, because RESULTS_BUCKET is not set")
    return bucket
