"""S3, through EventBridge: a new object under `requests/` holds one request per line."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from pokemon_names.model import InvalidRequest, Request, escape_surrogates
from pokemon_names.report import Outcome
from pokemon_names.settings import Settings
from pokemon_names.sources import messages
from pokemon_names.sources.base import Invocation, Job, Reply, convert
from pokemon_names.stores.s3 import Bucket

FOLDER = "requests/"
MAX_BYTES = 1_000_000
MAX_LINES = 100
MAX_STEM = 200  # characters of the object's name in a report's key, so that it fits in 1,024 bytes
MAX_REQUESTS = 10  # of the largest size, as many as a full batch of messages has


class _Upload(msgspec.Struct, frozen=True):
    id: messages.Id
    bucket: str
    key: str
    etag: messages.Id


def read(
    event: Any, settings: Settings, bucket: Bucket | None, name: str | None = None
) -> Invocation | None:
    """Return the invocation for a new object, or None for any other event.

    It has one job per line. Each report is stored under `name` and its line number; by default,
    `name` consists of the object's name and its entity tag.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    upload = _to_upload(event)
    if upload is None:
        return None
    name = name or _name(upload)
    reply = messages.reply
    jobs: list[Job] = []
    try:
        content = _load(upload, bucket)
        if content is None:
            reply = partial(_reply_superseded, upload.key)
        else:
            jobs = _jobs(content, upload.key, name, settings.max_numbers)
    except Exception as error:  # noqa: BLE001  whatever S3 says about this object
        # For an object outside the folder, no refusal is stored: it would be another such object,
        # and be refused in turn.
        result_key = messages.results_key(name) if upload.key.startswith(FOLDER) else None
        jobs = [Job(error, result_key)]
    return Invocation(jobs=jobs, reply=reply, correlation_id=upload.id)


def _to_upload(event: Any) -> _Upload | None:
    match event:
        case {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "id": event_id,
            "detail": {"bucket": {"name": bucket}, "object": {"key": key, "etag": etag}},
        }:
            fields = {"id": event_id, "bucket": bucket, "key": key, "etag": etag}
            return convert(fields, _Upload)
    return None


def _name(upload: _Upload) -> str:
    stem = upload.key.removeprefix(FOLDER).removesuffix(".jsonl").removesuffix(".json")
    return escape_surrogates(f"s3/{stem[:MAX_STEM]}-{upload.etag}")


def _load(upload: _Upload, bucket: Bucket | None) -> bytes | None:
    """Return the object's content, cut off one byte after the limit.

    It is None if the object has been deleted or overwritten since the event. A new version has its
    own event.
    """
    if not upload.key.startswith(FOLDER):
        raise InvalidRequest("key", upload.key, f"a key under {FOLDER}")
    if bucket is None or bucket.name != upload.bucket:
        raise InvalidRequest("bucket", upload.bucket, "only the function's own")
    return bucket.get(upload.key, MAX_BYTES + 1, upload.etag)


def _jobs(content: bytes, key: str, name: str, max_numbers: int) -> list[Job]:
    """Return a job for each line that is not blank."""
    jobs = []
    numbers = 0
    for line_number, line in _lines(content, key):
        request = messages.parse_request(f"line {line_number}", line, max_numbers)
        if isinstance(request, Request):
            numbers += len(request.numbers)
        jobs.append(Job(request, messages.results_key(f"{name}-{line_number}")))
    if numbers > MAX_REQUESTS * max_numbers:
        allowed = f"at most {MAX_REQUESTS * max_numbers} numbers in all lines"
        raise InvalidRequest("key", key, allowed)
    return jobs


def _lines(content: bytes, key: str) -> list[tuple[int, str]]:
    """Return the lines that are not blank, with their line numbers."""
    encoding = json.detect_encoding(content)  # UTF-8, -16 or -32, as json.loads detects it
    text = content.decode(encoding, errors="replace")
    numbered = enumerate(text.split("\n"), start=1)
    lines = [(number, line) for number, line in numbered if line.strip()]
    if len(content) > MAX_BYTES or len(lines) > MAX_LINES:
        allowed = f"at most {MAX_LINES} lines and {MAX_BYTES} bytes in all"
        raise InvalidRequest("key", key, allowed)
    return lines


def _reply_superseded(key: str, _: Sequence[Outcome]) -> Reply:
    return {"superseded": key}
