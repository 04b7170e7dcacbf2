"""Objects with requests, in moto's S3."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pokemon_names.item import IncompleteError
from pokemon_names.request import InvalidRequest
from tests.conftest import Handle, Kept, sample
from tests.tools.pokeapi import PokeAPI, answers

Upload = Callable[..., dict[str, Any]]


@pytest.fixture
def upload(bucket: Any) -> Upload:
    def upload(content: str | bytes, key: str = "requests/starters.jsonl") -> dict[str, Any]:
        """Put an object; gives the event that EventBridge makes of it."""
        event = sample("eventbridge-s3")
        etag = bucket.put_object(Key=key, Body=content).e_tag.strip('"')
        event["detail"] |= {"bucket": {"name": bucket.name}, "object": {"key": key, "etag": etag}}
        return event

    return upload


def test_each_line_is_a_request(keeping: Handle, kept: Kept, upload: Upload) -> None:
    content = '{"range": "1-3"}\n\n{"range": "151"}\n'
    stem = f"results/s3/starters-{hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()}"
    event = upload(content)
    for _ in range(2):
        assert [report["count"] for report in keeping(event)["reports"]] == [3, 1]
    assert {key: report["count"] for key, report in kept().items()} == {f"{stem}-1.json": 3, f"{stem}-3.json": 1}


def test_a_bad_line_raises_once_the_others_are_kept(keeping: Handle, kept: Kept, upload: Upload) -> None:
    with pytest.raises(InvalidRequest, match=r"^line 2: got 'x', allowed: a JSON object"):
        keeping(upload('{"range": "1"}\nx\n{"range": "2"}'))
    assert [report["count"] for report in kept().values()] == [1, 1]


def test_a_line_that_is_incomplete_raises(pokeapi: PokeAPI, keeping: Handle, kept: Kept, upload: Upload) -> None:
    pokeapi.answers[1] = answers.status(400)
    with pytest.raises(IncompleteError):
        keeping(upload('{"range": "1-3"}'))
    assert [report["count"] for report in kept().values()] == [2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n" * 1_000_001, "at most 100 lines of 1000000 bytes together"),
        ("x\n" * 101, "at most 100 lines of"),
        ('{"range": "1-1500"}\n' * 11, "at most 15000 numbers in all lines"),
        (b"\xff", "a JSON object"),
    ],
)
def test_what_is_no_list_of_requests_or_too_long_a_one(
    keeping: Handle, kept: Kept, upload: Upload, content: str | bytes, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        keeping(upload(content))
    assert kept() == {}


def test_an_empty_object_asks_for_nothing(keeping: Handle, upload: Upload) -> None:
    assert keeping(upload("")) == {"reports": []}


def test_an_object_that_is_gone_or_another_by_now(keeping: Handle, bucket: Any, upload: Upload) -> None:
    event = upload('{"range": "1"}')
    upload('{"range": "2"}')
    with pytest.raises(ClientError, match="PreconditionFailed"):
        keeping(event)
    bucket.Object("requests/starters.jsonl").delete()
    with pytest.raises(InvalidRequest, match=r"^key: got 'requests/starters.jsonl', allowed: an object that is still"):
        keeping(event)


def test_no_other_bucket_is_read(keeping: Handle) -> None:
    with pytest.raises(InvalidRequest, match=r"^bucket: got 'pokemon-names-bucket', allowed: only the function's own$"):
        keeping(sample("eventbridge-s3"))
