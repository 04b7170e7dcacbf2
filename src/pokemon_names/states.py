"""The tasks of the state machine that fetches a range too large for one invocation: plan, fetch, gather.

    plan     the range -> chunks.json, a list of chunks
    fetch    a chunk -> its report, which is kept though it may be incomplete; then another attempt replaces it
    gather   chunks.json and the chunks' reports -> one report

All of them are functions of their input: a second attempt puts the same objects in place of the first's.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from pokemon_names import chunks
from pokemon_names.bucket import Bucket
from pokemon_names.chunks import Chunk, Kept
from pokemon_names.item import Item, Result, Source, reports
from pokemon_names.messages import results_key
from pokemon_names.report import Report
from pokemon_names.request import InvalidRequest, Request, parse_range

MOST_NUMBERS = 1_000_000  # which one report of some 100 MB can still hold, all of them failed

_Execution = Annotated[str, msgspec.Meta(pattern=r"^[\w.()!@'+=-]{1,80}\Z")]


class Task(msgspec.Struct, frozen=True, tag_field="task"):
    """What all tasks have: the fields of what is asked for, which is the execution's input or a part of it."""

    request: dict[str, Any]


class _Whole(Task, frozen=True):
    """A task for all of an execution's range."""

    execution: _Execution

    @property
    def correlation_id(self) -> str:
        """The execution's name."""
        return self.execution


class Plan(_Whole, frozen=True, tag="plan"):
    """Take the range apart."""

    def run(self, bucket: Bucket, chunk_numbers: int) -> dict[str, Any]:
        """Put the list of chunks; gives the request with all its fields, and where the list is."""
        request = Request.from_fields(self.request, MOST_NUMBERS)
        if request.trace:
            raise InvalidRequest("trace", request.trace, "false, for each chunk has a clock of its own")
        parts = enumerate(chunks.split(request.numbers, chunk_numbers))
        listed = [Chunk(part, f"runs/{self.execution}/{number}.json") for number, part in parts]
        bucket.put(key := _list_key(self.execution), listed)
        fields = {"range": request.range, "strategy": request.strategy, "fresh": request.fresh}
        return {"request": fields, "chunks": {"key": key, "count": len(listed)}}


class Fetch(Task, Source, frozen=True, tag="fetch"):
    """Fetch a chunk, which is an item like any other."""

    key: Annotated[str, msgspec.Meta(pattern=r"^runs/[^/]+/[0-9]+\.json\Z")]

    @property
    def correlation_id(self) -> str:
        """The execution's name."""
        return self.key.split("/")[1]

    def items(self, max_numbers: int) -> list[Item]:
        """Read the chunk's own request."""
        return [Item(Request.from_fields(self.request, max_numbers), self.key, chunks.detailed)]

    def reply(self, results: Sequence[Result]) -> dict[str, Any]:
        """Give no names, of which the states of a large range would be too large; or raise, for another attempt."""
        (report,) = reports(results)
        return report.summary()


class Gather(_Whole, frozen=True, tag="gather"):
    """Put the chunks' reports together."""

    started: datetime

    def run(self, bucket: Bucket) -> dict[str, Any]:
        """Put the report, in which the numbers of a chunk without one have failed; gives a summary and where it is."""
        request = Request.from_fields(self.request, MOST_NUMBERS)
        listed = msgspec.json.decode(bucket.get(_list_key(self.execution)) or b"[]", type=list[Chunk])
        contents = bucket.get_all(chunk.key for chunk in listed)
        kept = [msgspec.json.decode(content, type=Kept) if content else None for content in contents]
        numbers = [parse_range(chunk.range, MOST_NUMBERS) for chunk in listed]
        total_ms = (datetime.now(UTC) - self.started).total_seconds() * 1000
        report = Report(request, chunks.merge(list(zip(numbers, kept, strict=True)), total_ms))
        bucket.put(key := results_key("states", self.execution), report.as_dict())
        return {"bucket": bucket.name, "key": key, **report.summary()}


def read(event: dict[str, Any]) -> Plan | Fetch | Gather:
    """Tell a task by its name."""
    try:
        return msgspec.convert(event, Plan | Fetch | Gather)
    except ValueError as error:  # msgspec's own, or a key that is no Unicode
        raise InvalidRequest("task", event, f"plan, fetch or gather with its fields ({error})") from None


def run(task: Plan | Gather, bucket: Bucket | None, chunk_numbers: int) -> dict[str, Any]:
    """Run a task that fetches nothing."""
    if bucket is None:
        raise InvalidRequest("task", msgspec.to_builtins(task), "fetch alone, for there is no RESULTS_BUCKET")
    return task.run(bucket) if isinstance(task, Gather) else task.run(bucket, chunk_numbers)


def _list_key(execution: str) -> str:
    return f"runs/{execution}/chunks.json"
