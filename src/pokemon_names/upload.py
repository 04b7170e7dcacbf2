"""S3, by way of EventBridge: a new object under `requests/` that holds a request a line, each a message of its own."""

from typing import Annotated, Literal

import msgspec

from pokemon_names.bucket import Bucket
from pokemon_names.item import Item
from pokemon_names.messages import Asynchronous, Id, request_in, results_key
from pokemon_names.request import InvalidRequest, Request

FOLDER = "requests/"
MOST_BYTES = 1_000_000
MOST_LINES = 100
MOST_TIMES = 10  # as many numbers as one request may have, in all lines: as in a full batch of messages


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Object(msgspec.Struct, frozen=True):
    key: Annotated[str, msgspec.Meta(pattern=f"^{FOLDER}.")]
    etag: Id


class _Detail(msgspec.Struct, frozen=True):
    bucket: _Named
    object: _Object


class Created(msgspec.Struct, frozen=True):
    """The event of a new object."""

    id: Id
    source: Literal["aws.s3"]
    kind: Literal["Object Created"] = msgspec.field(name="detail-type")
    detail: _Detail


class Upload(Asynchronous, frozen=True):
    """The requests of a new object."""

    event: Created
    bucket: Bucket | None

    @property
    def correlation_id(self) -> str:
        """The event's id."""
        return self.event.id

    def items(self, max_numbers: int) -> list[Item]:
        """Read each line by itself; refuse more than an invocation should take."""
        created = self.event.detail.object
        stem = created.key.removeprefix(FOLDER).removesuffix(".jsonl").removesuffix(".json")
        items = [
            Item(request_in(f"line {number}", line, max_numbers), results_key("s3", f"{stem}-{created.etag}-{number}"))
            for number, line in self._lines(created)
        ]
        numbers = sum(len(item.request.numbers) for item in items if isinstance(item.request, Request))
        if numbers > MOST_TIMES * max_numbers:
            raise InvalidRequest("key", created.key, f"at most {MOST_TIMES * max_numbers} numbers in all lines")
        return items

    def _lines(self, created: _Object) -> list[tuple[int, str]]:
        if self.bucket is None or self.bucket.name != self.event.detail.bucket.name:
            raise InvalidRequest("bucket", self.event.detail.bucket.name, "only the function's own")
        content = self.bucket.get(created.key, MOST_BYTES + 1, IfMatch=created.etag)
        if content is None:
            raise InvalidRequest("key", created.key, "an object that is still there")
        lines = [(n, line) for n, line in enumerate(content.decode(errors="replace").split("\n"), 1) if line.strip()]
        if len(content) > MOST_BYTES or len(lines) > MOST_LINES:
            raise InvalidRequest("key", created.key, f"at most {MOST_LINES} lines of {MOST_BYTES} bytes together")
        return lines
