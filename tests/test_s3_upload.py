"""Objects whose lines are requests, in moto's S3."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pokemon_names.model import InvalidRequest
from pokemon_names.sources.base import IncompleteError
from tests.conftest import Handle, ReadReports, sample
from tests.tools.pokeapi import PokeAPI, answers

KEY = "requests/starters.jsonl"

Upload = Callable[[str | bytes], dict[str, Any]]


@pytest.fixture
def upload(bucket: Any) -> Upload:
    """Return a function that puts an object and returns EventBridge's event for it."""

    def upload(content: str | bytes) -> dict[str, Any]:
        event = sample("eventbridge-s3")
        etag = bucket.put_object(Key=KEY, Body=content).e_tag.strip('"')
        event["detail"] |= {"bucket": {"name": bucket.name}, "object": {"key": KEY, "etag": etag}}
        return event

    return upload


def test_each_line_is_a_request(
    handle_with_bucket: Handle, read_reports: ReadReports, upload: Upload
) -> None:
    event = upload('{"range": "1-3"}\n\n{"range": "151"}\n')
    for _ in range(2):
        reply = handle_with_bucket(event)
        assert [report["count"] for report in reply["reports"]] == [3, 1]
    stem = f"results/s3/starters-{event['detail']['object']['etag']}"
    counts = {key: report["count"] for key, report in read_reports().items()}
    assert counts == {f"{stem}-1.json": 3, f"{stem}-3.json": 1}


def test_a_bad_line_raises_once_the_reports_of_the_others_are_stored(
    handle_with_bucket: Handle, read_reports: ReadReports, upload: Upload
) -> None:
    with pytest.raises(InvalidRequest, match=r"^line 2: got 'x', allowed: a JSON object"):
        handle_with_bucket(upload('{"range": "1"}\nx\n{"range": "2"}'))
    assert [report["count"] for report in read_reports().values()] == [1, 1]


def test_a_line_with_retryable_failures_raises(
    pokeapi: PokeAPI, handle_with_bucket: Handle, read_reports: ReadReports, upload: Upload
) -> None:
    pokeapi.answers[1] = answers.status(400)
    with pytest.raises(IncompleteError):
        handle_with_bucket(upload('{"range": "1-3"}'))
    assert [report["count"] for report in read_reports().values()] == [2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n" * 1_000_001, "at most 100 lines of 1000000 bytes together"),
        ("x\n" * 101, "at most 100 lines of"),
        ('{"range": "1-1500"}\n' * 11, "at most 15000 numbers in all lines"),
        (b"\xff", "a JSON object"),
    ],
)
def test_an_object_that_is_too_large_or_no_list_of_requests_is_invalid(
    handle_with_bucket: Handle,
    read_reports: ReadReports,
    upload: Upload,
    content: str | bytes,
    message: str,
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        handle_with_bucket(upload(content))
    assert read_reports() == {}


def test_an_empty_object_has_no_requests(handle_with_bucket: Handle, upload: Upload) -> None:
    assert handle_with_bucket(upload("")) == {"reports": []}


def test_an_object_that_was_replaced_is_not_read(
    handle_with_bucket: Handle, upload: Upload
) -> None:
    event = upload('{"range": "1"}')
    upload('{"range": "2"}')
    with pytest.raises(ClientError, match="PreconditionFailed"):
        handle_with_bucket(event)


def test_an_object_that_was_deleted_is_invalid(
    handle_with_bucket: Handle, bucket: Any, upload: Upload
) -> None:
    event = upload('{"range": "1"}')
    bucket.Object(KEY).delete()
    message = rf"^key: got '{KEY}', allowed: an object that is still"
    with pytest.raises(InvalidRequest, match=message):
        handle_with_bucket(event)


def test_no_other_bucket_is_read(handle_with_bucket: Handle) -> None:
    message = r"^bucket: got 'pokemon-names-bucket', allowed: only the function's own$"
    with pytest.raises(InvalidRequest, match=message):
        handle_with_bucket(sample("eventbridge-s3"))
