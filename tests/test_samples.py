"""Each sample event, invoked as events/ has it, and what its README says of them."""

import json
import re
from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from tests.conftest import EVENTS, NAMES, Handle, ReadReports, header_of, http_event, sample
from tests.test_openapi import TIME

README = (EVENTS / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(.+)\.json` \| .+ \| (.+) \| .*\|$", re.MULTILINE)
EXAMPLE = re.compile(r"^```json\n(.+?)^```$", re.MULTILINE | re.DOTALL)
FIRST_THREE = ["bulbasaur", "ivysaur", "venusaur"]
FIELDS = ["range", "strategy", "complete", "count", "names", "failures", "timing"]
JSON = "application/json"
PROBLEM = "application/problem+json"

# sample: status, content type, and the names that come
HTTP = {
    "alb": (200, JSON, [*FIRST_THREE, "mew"]),
    "alb-multi-value": (200, JSON, [*FIRST_THREE, "mew"]),
    "function-url": (200, JSON, FIRST_THREE),
    "http-api": (200, JSON, FIRST_THREE),
    "http-api-bad-range": (400, PROBLEM, None),
    "http-api-one": (200, JSON, ["mew"]),
    "http-api-race": (200, JSON, None),
    "http-api-text": (200, "text/plain; charset=utf-8", None),
    "http-api-unknown-number": (404, PROBLEM, []),
    "http-api-unknown-path": (404, PROBLEM, None),
    "http-api-wrong-method": (405, PROBLEM, None),
    "rest-api": (200, JSON, [*FIRST_THREE, "mew"]),
}
# sample: how many names, the last of them, and the numbers that fail
DIRECT = {
    "direct": (150, "mewtwo", []),
    "direct-index": (150, "mewtwo", []),
    "direct-one": (1, "mew", []),
    "direct-unknown-number": (2, "pecharunt", [1026, 1027]),
}
INVALID = {"direct-bad-range"}
# sample: the names that are stored, in the order of their keys, and which messages failed
QUEUES = {
    "sqs": ([FIRST_THREE], ["2e1424d4-f796-459a-8184-9c92662be6da"]),
    "sqs-sns-wrapped": ([["mew"]], []),
}
# sample: the names that are stored, in the order of their keys
ASYNCHRONOUS = {
    "sns": [["mew"]],
    "eventbridge": [[*FIRST_THREE, "mew"]],
    "eventbridge-s3": [FIRST_THREE, ["mew"]],
    "failure-record": [[*FIRST_THREE, "mew"]],
    "scheduler": [list(NAMES.values())],
}
TASKS = {"states-plan", "states-fetch", "states-merge"}


def test_every_sample_is_a_test_case() -> None:
    tested = {*HTTP, *DIRECT, *INVALID, *QUEUES, *ASYNCHRONOUS, *TASKS}
    assert {path.stem for path in EVENTS.glob("*.json")} == tested


def test_every_sample_has_a_row_in_the_readme_and_every_row_a_sample() -> None:
    rows = [name for name, _ in ROW.findall(README)]
    assert sorted(rows) == sorted(path.stem for path in EVENTS.glob("*.json"))


def test_the_readme_has_the_status_of_every_http_reply() -> None:
    replies = dict(ROW.findall(README))
    statuses = {name: replies[name].partition(",")[0] for name in HTTP}
    assert statuses == {name: str(status) for name, (status, _, _) in HTTP.items()}


def test_the_readmes_examples_are_real_but_for_the_times(handle: Handle) -> None:
    report, attempt, problem, _ = map(json.loads, EXAMPLE.findall(README))
    assert without_times(handle({"range": "1024-1026"})) == without_times(report)
    (traced,) = handle({"range": "1024", "fresh": True, "trace": True})["trace"]
    assert without_times(traced) == without_times(attempt)
    assert json.loads(handle(http_event("/pokemon", range="1-x"))["body"]) == problem


def without_times(value: Any) -> str:
    return TIME.sub("", json.dumps(value))


@pytest.mark.parametrize("name", HTTP)
def test_http(handle: Handle, name: str) -> None:
    status, content_type, names = HTTP[name]
    reply = handle(sample(name))
    assert reply["statusCode"] == status
    assert header_of(reply, "Content-Type") == content_type
    assert header_of(reply, "Vary") == "Accept"
    assert reply["isBase64Encoded"] is False
    if names is not None:
        body = json.loads(reply["body"])
        assert body["names"] == names
        assert list(body)[-len(FIELDS) :] == FIELDS


@pytest.mark.parametrize("name", DIRECT)
def test_direct(handle: Handle, name: str) -> None:
    count, last, failed = DIRECT[name]
    report = handle(sample(name))
    assert list(report) == FIELDS
    assert report["count"] == len(report["names"]) == count
    assert report["names"][-1] == last
    assert [failure["number"] for failure in report["failures"]] == failed
    assert report["complete"] is not failed


@pytest.mark.parametrize("name", INVALID)
def test_a_direct_caller_can_catch_invalid_request_by_its_name(handle: Handle, name: str) -> None:
    message = r"^range: got '1-x', allowed: up to 1,500 numbers"
    with pytest.raises(InvalidRequest, match=message) as caught:
        handle(sample(name))
    assert type(caught.value).__name__ == "InvalidRequest"


@pytest.mark.parametrize("name", QUEUES)
def test_queue(handle_with_bucket: Handle, read_reports: ReadReports, name: str) -> None:
    names, failed = QUEUES[name]
    reply = handle_with_bucket(sample(name))
    assert reply == {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
    stored = read_reports()
    refused = [key for key, report in stored.items() if "error" in report]
    assert refused == [f"results/sqs/{id_}.json" for id_ in failed]
    assert [report["names"] for report in stored.values() if "names" in report] == names


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_asynchronous(
    handle_with_bucket: Handle, read_reports: ReadReports, bucket: Any, name: str
) -> None:
    names = ASYNCHRONOUS[name]
    event = sample(name)
    if name == "eventbridge-s3":
        key = event["detail"]["object"]["key"]
        put = bucket.put_object(Key=key, Body='{"range": "1-3"}\n{"range": "151"}\n')
        event["detail"]["bucket"]["name"] = bucket.name
        event["detail"]["object"]["etag"] = put.e_tag.strip('"')
    reply = handle_with_bucket(event)
    assert [report["complete"] for report in reply["reports"]] == [True] * len(names)
    assert [report["names"] for report in read_reports().values()] == names


def test_tasks(handle_with_bucket: Handle, read_reports: ReadReports) -> None:
    plan = handle_with_bucket(sample("states-plan"))
    assert plan["request"] == {"range": "1-1025,10001-10326", "strategy": "gather", "fresh": False}
    assert plan["folder"] == "runs/every-name-2026-11-22/20261122T220000.000000Z"
    assert plan["chunks"] == {"key": f"{plan['folder']}/chunks.json", "count": 20}
    chunk = handle_with_bucket(sample("states-fetch"))
    assert chunk["complete"] is True
    assert chunk["count"] == 67
    merged = handle_with_bucket(sample("states-merge"))
    assert merged["count"] == 67
    assert merged["failures"] == {"chunk": 1284}
    assert merged["enough"] is False
    (report,) = read_reports().values()
    assert list(report) == FIELDS


@pytest.mark.parametrize(
    ("event", "shown"),
    [(None, "null"), ([], "[]"), ("1-150", "1-150"), (151, "151"), (True, "true")],
)
def test_an_event_that_is_no_object_is_invalid(handle: Handle, event: Any, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        handle(event)
    assert str(caught.value) == f"event: got '{shown}', allowed: a JSON object"


@pytest.mark.parametrize("context", [None, "x", {}, {"accountId": "1"}])
def test_a_request_context_alone_is_no_http_request(handle: Handle, context: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^requestContext: got .*, allowed: only the fields"):
        handle({"requestContext": context})


def test_only_an_alb_with_multi_value_headers_gets_such_headers(handle: Handle) -> None:
    assert "headers" not in handle(sample("alb-multi-value"))
    for name in ("alb", "rest-api", "http-api", "function-url"):
        assert "multiValueHeaders" not in handle(sample(name))
