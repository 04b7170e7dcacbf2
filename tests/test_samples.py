"""Each sample event in events/, and what events/README.md says about it."""

import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from pokemon_names import sources
from pokemon_names.model import InvalidRequest, Request
from tests.conftest import (
    EVENTS,
    NAMES,
    SETTINGS,
    Handle,
    ReadReports,
    header_of,
    http_event,
    sample,
)
from tests.sources.conftest import environment_with_bucket
from tests.tools.invoke import Context
from tests.views.test_openapi import TIME

README = (EVENTS / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(.+)\.json` \| .+ \| (.+) \| .*\|$", re.MULTILINE)
EXAMPLE = re.compile(r"^```json\n(.+?)^```$", re.MULTILINE | re.DOTALL)
FIRST_THREE = ["bulbasaur", "ivysaur", "venusaur"]
FIELDS = ["range", "strategy", "complete", "count", "names", "failures", "timing"]
JSON = "application/json"
PROBLEM = "application/problem+json"

# sample: status, content type, and the returned names
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
# sample: the number of names, the last one, and the numbers that fail
DIRECT = {
    "direct": (150, "mewtwo", []),
    "direct-index": (150, "mewtwo", []),
    "direct-one": (1, "mew", []),
    "direct-unknown-number": (2, "pecharunt", [1026, 1027]),
}
INVALID = {"direct-bad-range"}
# sample: the stored names in the order of their keys, and the messages that failed
QUEUES = {
    "sqs": ([FIRST_THREE], ["2e1424d4-f796-459a-8184-9c92662be6da"]),
    "sqs-sns-wrapped": ([["mew"]], []),
}
# sample: the stored names in the order of their keys
ASYNCHRONOUS = {
    "sns": [["mew"]],
    "eventbridge": [[*FIRST_THREE, "mew"]],
    "eventbridge-s3": [FIRST_THREE, ["mew"]],
    "failure-record": [[*FIRST_THREE, "mew"]],
    "scheduler": [FIRST_THREE],
}
TASKS = {"states-plan", "states-fetch", "states-merge"}


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[ModuleType, Any]]:
    """Yield one environment for all samples, with the first 150 names cached, and its bucket."""
    with environment_with_bucket() as (app, bucket):
        app.handler({"range": "1-150", "strategy": "index"}, Context())
        yield app, bucket


@pytest.fixture
def bucket(shared: tuple[ModuleType, Any]) -> Any:
    _, bucket = shared
    bucket.objects.delete()
    return bucket


@pytest.fixture
def warm(shared: tuple[ModuleType, Any], bucket: Any) -> Handle:  # noqa: ARG001  empties it
    app, _ = shared
    return lambda event: app.handler(event, Context())


def test_every_sample_is_tested() -> None:
    tested = {*HTTP, *DIRECT, *INVALID, *QUEUES, *ASYNCHRONOUS, *TASKS}
    assert {path.stem for path in EVENTS.glob("*.json")} == tested


def test_every_sample_has_a_row_in_the_readme_and_every_row_a_sample() -> None:
    rows = [name for name, _ in ROW.findall(README)]
    assert sorted(rows) == sorted(path.stem for path in EVENTS.glob("*.json"))


def test_the_readme_has_the_status_of_every_http_reply() -> None:
    replies = dict(ROW.findall(README))
    statuses = {name: replies[name].partition(",")[0] for name in HTTP}
    assert statuses == {name: str(status) for name, (status, _, _) in HTTP.items()}


def test_the_readmes_examples_are_real_except_for_the_times(handle: Handle) -> None:
    report, attempt, problem, _ = map(json.loads, EXAMPLE.findall(README))
    assert without_times(handle({"range": "1024-1026"})) == without_times(report)
    (traced,) = handle({"range": "1024", "fresh": True, "trace": True})["trace"]
    assert without_times(traced) == without_times(attempt)
    assert json.loads(handle(http_event("/pokemon", range="1-x"))["body"]) == problem


def without_times(value: Any) -> str:
    return TIME.sub("", json.dumps(value))


@pytest.mark.parametrize("name", HTTP)
def test_an_http_request_gets_the_right_response(warm: Handle, name: str) -> None:
    status, content_type, names = HTTP[name]
    reply = warm(sample(name))
    assert reply["statusCode"] == status
    assert header_of(reply, "Content-Type") == content_type
    assert header_of(reply, "Vary") == "Accept"
    assert reply["isBase64Encoded"] is False
    if names is not None:
        body = json.loads(reply["body"])
        assert body["names"] == names
        assert list(body)[-len(FIELDS) :] == FIELDS


@pytest.mark.parametrize("name", DIRECT)
def test_a_direct_call_gets_the_right_report(warm: Handle, name: str) -> None:
    count, last, failed = DIRECT[name]
    report = warm(sample(name))
    assert list(report) == FIELDS
    assert report["count"] == len(report["names"]) == count
    assert report["names"][-1] == last
    assert [failure["number"] for failure in report["failures"]] == failed
    assert report["complete"] is not failed


@pytest.mark.parametrize("name", INVALID)
def test_a_direct_caller_can_catch_invalid_request_by_its_name(warm: Handle, name: str) -> None:
    message = r"^range: got '1-x', allowed: up to 1,500 numbers"
    with pytest.raises(InvalidRequest, match=message) as caught:
        warm(sample(name))
    assert type(caught.value).__name__ == "InvalidRequest"


@pytest.mark.parametrize("name", QUEUES)
def test_the_reports_of_a_batch_are_stored_and_bad_messages_fail(
    warm: Handle, read_reports: ReadReports, name: str
) -> None:
    names, failed = QUEUES[name]
    reply = warm(sample(name))
    assert reply == {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
    stored = read_reports()
    refused = [key for key, report in stored.items() if "error" in report]
    assert refused == [f"results/sqs/{id_}.json" for id_ in failed]
    assert [report["names"] for report in stored.values() if "names" in report] == names


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_the_reports_of_an_asynchronous_event_are_stored(
    warm: Handle, read_reports: ReadReports, bucket: Any, name: str
) -> None:
    names = ASYNCHRONOUS[name]
    event = sample(name)
    if name == "eventbridge-s3":
        key = event["detail"]["object"]["key"]
        put = bucket.put_object(Key=key, Body='{"range": "1-3"}\n{"range": "151"}\n')
        event["detail"]["bucket"]["name"] = bucket.name
        event["detail"]["object"]["etag"] = put.e_tag.strip('"')
    if name == "scheduler":
        event["detail"]["range"] = "1-3"  # the next test checks its whole range
    reply = warm(event)
    assert [report["complete"] for report in reply["reports"]] == [True] * len(names)
    assert [report["names"] for report in read_reports().values()] == names


def test_the_schedule_fetches_every_name_afresh() -> None:
    (job,) = sources.detect(sample("scheduler"), SETTINGS, None).jobs
    assert isinstance(job.request, Request)
    assert job.request.numbers == tuple(NAMES)
    assert job.request.fresh is True


def test_the_tasks_of_the_state_machine_plan_fetch_and_merge(
    warm: Handle, read_reports: ReadReports
) -> None:
    plan = warm(sample("states-plan"))
    assert plan["request"] == {"range": "1-1025,10001-10326", "strategy": "gather", "fresh": False}
    assert plan["folder"] == "runs/every-name-2026-11-22/20261122T220000.000000Z"
    assert plan["chunks"] == {"key": f"{plan['folder']}/chunks.json", "count": 20}
    chunk = warm(sample("states-fetch"))
    assert chunk["complete"] is True
    assert chunk["count"] == 67
    merged = warm(sample("states-merge"))
    assert merged["count"] == 67
    assert merged["failures"] == {"chunk": 1284}
    assert merged["enough"] is False
    (report,) = read_reports().values()
    assert list(report) == FIELDS
