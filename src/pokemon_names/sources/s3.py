"""S3, by way of EventBridge: a new object under `requests/` holds a request in each line."""

import json
from collections.abc import Sequence
from typing import Literal

import msgspec

from pokemon_names.model import InvalidRequest, Request, escape_surrogates
from pokemon_names.sources.base import Job, JobResult, Reply
from pokemon_names.sources.messages import AsynchronousSource, Id, parse_request, results_key

FOLDER = "requests/"
MAX_BYTES = 1_000_000
MAX_LINES = 100
MAX_STEM = 200  # characters of the object's name in a result's key, which has at most 1,024 bytes
MAX_REQUESTS = 10  # of the largest size, as in a full batch of messages


class _Bucket(msgspec.Struct, frozen=True):
    name: str


class _Object(msgspec.Struct, frozen=True):
    key: str
    etag: Id


class _Detail(msgspec.Struct, frozen=True):
    bucket: _Bucket
    object: _Object


class _ObjectCreated(msgspec.Struct, frozen=True, rename="kebab"):
    id: Id
    source: Literal["aws.s3"]
    detail_type: Literal["Object Created"]
    detail: _Detail


class S3Upload(AsynchronousSource[_ObjectCreated]):
    """A new object, whose lines are the requests.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """

    shape = _ObjectCreated
    _superseded = False

    @property
    def correlation_id(self) -> str:
        """The event's id."""
        return self.event.id

    @property
    def name(self) -> str:
        """The object's name and its entity tag."""
        created = self.event.detail.object
        stem = created.key.removeprefix(FOLDER).removesuffix(".jsonl").removesuffix(".json")
        return escape_surrogates(f"s3/{stem[:MAX_STEM]}-{created.etag}")

    def jobs_under(self, name: str) -> list[Job]:
        """Return a job for each line that is not blank, or one that says why there are none."""
        created = self.event.detail.object
        if not created.key.startswith(FOLDER):
            # It is not stored: under results/, the refusal would be a new object, too.
            return [Job(InvalidRequest("key", created.key, f"one under {FOLDER}"))]
        try:
            return self._line_jobs(name)
        except Exception as error:  # noqa: BLE001  whatever S3 says of this object
            return [Job(error, results_key(name))]

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return summaries and refusals; raise what another attempt may mend."""
        if self._superseded:
            return {"superseded": self.event.detail.object.key}
        return super().reply(results)

    def _line_jobs(self, name: str) -> list[Job]:
        max_numbers = self.deployment.max_numbers
        jobs = []
        numbers = 0
        for line_number, line in self._lines():
            request = parse_request(f"line {line_number}", line, max_numbers)
            if isinstance(request, Request):
                numbers += len(request.numbers)
            jobs.append(Job(request, results_key(f"{name}-{line_number}")))
        if numbers > MAX_REQUESTS * max_numbers:
            allowed = f"at most {MAX_REQUESTS * max_numbers} numbers in all lines"
            raise InvalidRequest("key", self.event.detail.object.key, allowed)
        return jobs

    def _lines(self) -> list[tuple[int, str]]:
        """Return the lines that are not blank, with their line numbers.

        An object that was deleted or overwritten since the event has none: an overwritten one has
        an event of its own.
        """
        bucket = self.deployment.bucket
        bucket_name = self.event.detail.bucket.name
        created = self.event.detail.object
        if bucket is None or bucket.name != bucket_name:
            raise InvalidRequest("bucket", bucket_name, "only the function's own")
        content = bucket.get(created.key, MAX_BYTES + 1, created.etag)
        if content is None:
            self._superseded = True
            return []
        lines = []
        encoding = json.detect_encoding(content)  # UTF-8, -16 or -32, as json.loads reads bytes
        text = content.decode(encoding, errors="replace")
        for line_number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                lines.append((line_number, line))
        if len(content) > MAX_BYTES or len(lines) > MAX_LINES:
            allowed = f"at most {MAX_LINES} lines of {MAX_BYTES} bytes together"
            raise InvalidRequest("key", created.key, allowed)
        return lines
