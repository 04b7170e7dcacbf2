"""Events from SNS and EventBridge rules, and the reports stored for them."""

import json
import re
from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from pokemon_names.sources.base import IncompleteError
from pokemon_names.stores.s3 import NotStoredError
from tests.conftest import Capture, Handle, LoadApp, ReadReports, sample
from tests.test_telemetry import Output
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers


@pytest.mark.parametrize(
    ("name", "count", "key"),
    [
        ("sns", 1, "results/sns/95df01b4-ee98-5cb9-9903-4c221d41eb5e.json"),
        ("eventbridge", 4, "results/eventbridge/6a7e8feb-b491-4cf7-a9f1-bf3703467718.json"),
    ],
)
def test_the_report_of_an_asynchronous_event_is_stored_under_its_id(
    warm_with_bucket: Handle, read_reports: ReadReports, name: str, count: int, key: str
) -> None:
    reply = warm_with_bucket(sample(name))
    assert [report["count"] for report in reply["reports"]] == [count]
    reports = read_reports()
    assert reports.keys() == {key}
    assert reports[key]["count"] == count


@pytest.mark.parametrize("name", ["sns", "eventbridge"])
def test_an_asynchronous_event_with_retryable_failures_raises_once_its_report_is_stored(
    pokeapi: PokeAPI,
    handle_with_bucket: Handle,
    read_reports: ReadReports,
    capsys: Capture,
    name: str,
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 151: answers.status(400)}
    message = r"^incomplete: 1 number failed, the first being 151 \(bad_status\)$"
    with pytest.raises(IncompleteError, match=message):
        handle_with_bucket(sample(name))
    assert [report["complete"] for report in read_reports().values()] == [False]
    fetched, line = Output(capsys.readouterr().out).logs
    (key,) = read_reports()
    assert fetched["key"] == line["key"] == key
    assert line["level"] == "WARNING"
    assert line["message"] == "failed"
    assert re.match(message, line["error"])


@pytest.mark.parametrize(
    ("given", "field"), [("1-3", "Message"), ('{"range": "x"}', "Message.range"), (7, "Message")]
)
def test_a_bad_notification_is_refused(warm: Handle, given: Any, field: str) -> None:
    event = sample("sns")
    event["Records"][0]["Sns"]["Message"] = given
    assert [refusal["field"] for refusal in warm(event)["refused"]] == [field]


@pytest.mark.parametrize("message", ['\ufeff{"range": "1-3"}', ' {"range": "1-3"}\r\n'])
def test_a_notification_may_start_with_a_byte_order_mark_or_white_space(
    warm: Handle, message: str
) -> None:
    event = sample("sns")
    event["Records"][0]["Sns"]["Message"] = message
    assert [report["count"] for report in warm(event)["reports"]] == [3]


@pytest.mark.parametrize(
    ("detail", "field"), [(None, "detail"), ([], "detail"), ({"ranges": "1"}, "detail.ranges")]
)
def test_a_bad_detail_is_refused(warm: Handle, detail: Any, field: str) -> None:
    reply = warm({**sample("eventbridge"), "detail": detail})
    assert [refusal["field"] for refusal in reply["refused"]] == [field]


def test_a_refusal_is_logged_counted_and_stored_in_place_of_the_report(
    capsys: Capture, handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    event = {**sample("eventbridge"), "detail": {"range": "5-1"}}
    reply = handle_with_bucket(event)
    allowed = "up to 1,500 numbers, as in 1-151,10001-10010"
    refusal = {
        "detail": f"detail.range: got '5-1', allowed: {allowed} (5-1 is descending: write 1-5)",
        "field": "detail.range",
        "given": "5-1",
        "allowed": allowed,
    }
    assert reply == {"reports": [], "refused": [refusal]}
    key = f"results/eventbridge/{event['id']}.json"
    assert read_reports() == {key: {"error": "InvalidRequest", **refusal}}
    metric, line = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert metric["Refused"] == [1]
    assert metric["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]
    assert metric["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [
        {"Name": "Refused", "Unit": "Count"}
    ]
    assert (line["message"], line["error"], line["key"]) == (
        "invalid request",
        refusal["detail"],
        key,
    )


@pytest.mark.usefixtures("bucket")
def test_a_refusal_that_cannot_be_stored_raises_so_that_lambda_retries(load_app: LoadApp) -> None:
    app = load_app(RESULTS_BUCKET="nowhere")
    with pytest.raises(NotStoredError, match="NoSuchBucket"):
        app.handler({**sample("eventbridge"), "detail": {"range": "5-1"}}, Context())


@pytest.mark.parametrize("id_", ["../x", "", "a\n", None, "x" * 101])
def test_an_event_with_a_bad_id_is_not_a_message(warm: Handle, id_: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^event: got 'version, id, .*, allowed: the fields"):
        warm({**sample("eventbridge"), "id": id_})
