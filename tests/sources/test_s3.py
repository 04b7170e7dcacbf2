"""Objects whose lines are requests, in moto's S3."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from pokemon_names import sources
from pokemon_names.model import InvalidRequest, Request
from pokemon_names.sources.base import IncompleteError
from pokemon_names.stores.s3 import Bucket
from tests.conftest import SETTINGS, Capture, Handle, LoadApp, ReadReports, sample
from tests.sources.conftest import REPEATED, Parsed
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

KEY = "requests/starters.jsonl"

Upload = Callable[..., dict[str, Any]]


@pytest.fixture
def upload(bucket: Any) -> Upload:
    """Return a function that puts an object and returns EventBridge's event for it."""

    def upload(content: str | bytes, key: str = KEY) -> dict[str, Any]:
        event = sample("eventbridge-s3")
        etag = bucket.put_object(Key=key, Body=content).e_tag.strip('"')
        event["detail"] |= {"bucket": {"name": bucket.name}, "object": {"key": key, "etag": etag}}
        return event

    return upload


def test_each_line_is_a_request(
    warm_with_bucket: Handle, read_reports: ReadReports, upload: Upload
) -> None:
    event = upload('{"range": "1-3"}\n\n{"range": "151"}\n')
    for _ in range(2):
        reply = warm_with_bucket(event)
        assert [report["count"] for report in reply["reports"]] == [3, 1]
    stem = f"results/s3/starters-{event['detail']['object']['etag']}"
    counts = {key: report["count"] for key, report in read_reports().items()}
    assert counts == {f"{stem}-1.json": 3, f"{stem}-3.json": 1}


def test_a_bad_line_is_refused_under_its_own_key(
    warm_with_bucket: Handle, read_reports: ReadReports, upload: Upload
) -> None:
    event = upload('{"range": "1"}\nx\n{"range": "2"}')
    reply = warm_with_bucket(event)
    assert [report["count"] for report in reply["reports"]] == [1, 1]
    (refusal,) = reply["refused"]
    assert refusal["detail"].startswith("line 2: got 'x', allowed: a JSON object")
    stem = f"results/s3/starters-{event['detail']['object']['etag']}"
    reports = read_reports()
    assert reports.keys() == {f"{stem}-{line}.json" for line in (1, 2, 3)}
    assert reports[f"{stem}-2.json"] == {"error": "InvalidRequest", **refusal}


def test_a_line_with_retryable_failures_raises(
    pokeapi: PokeAPI, handle_with_bucket: Handle, read_reports: ReadReports, upload: Upload
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 1: answers.status(400)}
    with pytest.raises(IncompleteError):
        handle_with_bucket(upload('{"range": "1-3"}'))
    assert [report["count"] for report in read_reports().values()] == [2]


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        (b" " * 1_000_001, "at most 100 lines and 1000000 bytes in all"),
        ("x\n" * 101, "at most 100 lines and 1000000 bytes in all"),
        ('{"range": "1-1500"}\n' * 11, "at most 15000 numbers in all lines"),
    ],
)
def test_an_object_that_is_too_large_is_refused_as_a_whole(
    warm_with_bucket: Handle,
    read_reports: ReadReports,
    upload: Upload,
    content: str | bytes,
    allowed: str,
) -> None:
    event = upload(content)
    assert warm_with_bucket(event)["reports"] == []
    ((key, refusal),) = read_reports().items()
    assert key == f"results/s3/starters-{event['detail']['object']['etag']}.json"
    assert refusal["field"] == "key"
    assert refusal["given"] == KEY
    assert refusal["allowed"] == allowed


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
def test_an_object_may_have_any_unicode_encoding(
    warm_with_bucket: Handle, upload: Upload, encoding: str
) -> None:
    reply = warm_with_bucket(upload('{"range": "1-3"}\r\n\r\n{"range": "151"}'.encode(encoding)))
    assert [report["count"] for report in reply["reports"]] == [3, 1]
    assert reply["refused"] == []


def test_a_byte_order_mark_is_not_a_line(warm_with_bucket: Handle, upload: Upload) -> None:
    """An object may be a concatenation of files that each start with one."""
    content = '\ufeff\n{"range": "1"}\n\ufeff{"range": "2"}\n'
    reply = warm_with_bucket(upload(content))
    assert [report["range"] for report in reply["reports"]] == ["1", "2"]
    assert reply["refused"] == []


def test_lines_that_repeat_their_numbers_are_refused_before_they_are_expanded(
    bucket: Any, upload: Upload, parsed: Parsed
) -> None:
    line = json.dumps({"range": REPEATED})
    event = upload("\n".join([line] * 49))  # almost as large as allowed
    jobs = sources.detect(event, SETTINGS, Bucket(bucket.name)).jobs
    assert [isinstance(job.request, InvalidRequest) for job in jobs] == [True] * 49
    assert (parsed.parts, parsed.numbers) == (2 * 49, 0)


def test_a_key_that_is_not_unicode_raises_an_error_that_the_runtime_can_send(
    warm_with_bucket: Handle, upload: Upload
) -> None:
    event = upload("")
    event["detail"]["object"]["key"] = "requests/\ud800"
    with pytest.raises(UnicodeEncodeError) as caught:
        warm_with_bucket(event)
    assert str(caught.value).encode()
    event["detail"]["bucket"]["name"] = "another"
    assert len(warm_with_bucket(event)["refused"]) == 1


def test_an_object_that_is_not_text_is_refused(warm_with_bucket: Handle, upload: Upload) -> None:
    (refusal,) = warm_with_bucket(upload(b"\xff"))["refused"]
    assert refusal["field"] == "line 1"


@pytest.mark.parametrize("key", [KEY, "requests/", "requests/january/"])
def test_an_empty_object_and_a_folder_made_in_the_console_have_no_requests(
    warm_with_bucket: Handle, read_reports: ReadReports, upload: Upload, key: str
) -> None:
    assert warm_with_bucket(upload("", key)) == {"reports": [], "refused": []}
    assert read_reports() == {}


def test_a_result_has_a_key_that_s3_accepts(
    warm_with_bucket: Handle, read_reports: ReadReports, upload: Upload
) -> None:
    longest = "requests/" + "\N{SNOWMAN}" * 338
    warm_with_bucket(upload('{"range": "1"}', longest))
    (key,) = read_reports()
    assert len(longest.encode()) == 1023
    assert len(key.encode()) < 1024


def replace(bucket: Any) -> None:
    bucket.put_object(Key=KEY, Body='{"range": "2"}')


def delete(bucket: Any) -> None:
    bucket.Object(KEY).delete()


@pytest.mark.parametrize("supersede", [replace, delete])
def test_an_object_that_was_replaced_or_deleted_is_superseded(
    capsys: Capture,
    handle_with_bucket: Handle,
    bucket: Any,
    upload: Upload,
    supersede: Callable[[Any], None],
) -> None:
    event = upload('{"range": "1"}')
    supersede(bucket)
    assert handle_with_bucket(event) == {"superseded": KEY}
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["reply"]) == ("INFO", {"superseded": KEY})


def test_an_object_that_s3_does_not_return_raises_so_that_lambda_retries(
    load_app: LoadApp, upload: Upload
) -> None:
    event = upload('{"range": "1"}')
    event["detail"]["bucket"]["name"] = "nowhere"
    app = load_app(RESULTS_BUCKET="nowhere")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        app.handler(event, Context())


def test_no_other_bucket_is_read(warm_with_bucket: Handle) -> None:
    (refusal,) = warm_with_bucket(sample("eventbridge-s3"))["refused"]
    message = "bucket: got 'pokemon-names-bucket', allowed: only the function's own"
    assert refusal["detail"] == message


@pytest.mark.parametrize("name", ["starters", "starters.json", "starters.jsonl"])
def test_a_result_is_named_after_its_object_without_the_extension(
    warm_with_bucket: Handle, read_reports: ReadReports, upload: Upload, name: str
) -> None:
    event = upload('{"range": "1"}', f"requests/{name}")
    warm_with_bucket(event)
    etag = event["detail"]["object"]["etag"]
    assert read_reports().keys() == {f"results/s3/starters-{etag}-1.json"}


def test_an_object_of_the_largest_size_is_served(bucket: Any, upload: Upload) -> None:
    lines = ['{"range": "1-3"}'] * 10 + ["x"] * 90
    content = "\n".join(lines).ljust(1_000_000)
    settings = msgspec.structs.replace(SETTINGS, max_numbers=3)
    jobs = sources.detect(upload(content), settings, Bucket(bucket.name)).jobs
    assert [isinstance(job.request, Request) for job in jobs] == [True] * 10 + [False] * 90
    assert len({job.key for job in jobs}) == 100


def test_reading_an_object_stops_once_it_is_known_to_be_too_large(
    warm_with_bucket: Handle, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes | None] = []
    get = Bucket.get

    def record(self: Bucket, *arguments: Any) -> bytes | None:
        read.append(get(self, *arguments))
        return read[-1]

    monkeypatch.setattr(Bucket, "get", record)
    warm_with_bucket(upload(b" " * 2_000_000))
    assert read == [b" " * 1_000_001]
