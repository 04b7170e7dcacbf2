"""Events of SQS, SNS and EventBridge rules, and the reports that are stored for them."""

import json
import re
from typing import Any

import msgspec
import pytest

from pokemon_names.model import InvalidRequest
from pokemon_names.sources.base import IncompleteError
from pokemon_names.sources.messages import MAX_CHARACTERS
from pokemon_names.stores.s3 import NotStoredError
from tests.conftest import Capture, Handle, LoadApp, ReadReports, sample
from tests.test_app import Output
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers


def batch(*bodies: Any) -> dict[str, Any]:
    """Return the event of a batch of messages, whose ids are m0, m1 and so on."""
    record = sample("sqs")["Records"][0]
    records = []
    for index, body in enumerate(bodies):
        records.append({**record, "messageId": f"m{index}", "body": body})
    return {"Records": records}


def failed_messages(reply: dict[str, Any]) -> list[str]:
    assert reply.keys() == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]


def test_a_report_is_stored_for_each_message_under_its_id(
    handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    reply = handle_with_bucket(batch('{"range": "1-3"}', '{"range": "151", "strategy": "index"}'))
    reports = read_reports()
    report = reports["results/sqs/m0.json"]
    assert failed_messages(reply) == []
    assert reports.keys() == {"results/sqs/m0.json", "results/sqs/m1.json"}
    assert list(report) == ["range", "strategy", "complete", "count", "names", "failures", "timing"]
    assert report["range"] == "1-3"
    assert report["names"] == ["bulbasaur", "ivysaur", "venusaur"]
    assert reports["results/sqs/m1.json"]["names"] == ["mew"]


def test_a_second_delivery_replaces_the_object_of_the_first(
    handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    for _ in range(2):
        handle_with_bucket(batch('{"range": "1-3"}'))
    assert [report["count"] for report in read_reports().values()] == [3]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "1-3",
        "[]",
        "null",
        '{"range": "1-3"',
        '{"range": 1.5}',
        '{"Type": "Notification"}',
        '{"Type": "Notification", "Message": "no"}',
        "[" * 100_000,
        '{"range": "1-3"}'.ljust(MAX_CHARACTERS + 1),
        "\ud800",
        7,
        None,
    ],
)
def test_a_bad_message_fails_alone(
    handle_with_bucket: Handle, read_reports: ReadReports, body: Any
) -> None:
    reply = handle_with_bucket(batch('{"range": "1"}', body, '{"range": "2"}'))
    assert failed_messages(reply) == ["m1"]
    reports = read_reports()
    assert reports["results/sqs/m0.json"]["names"] == ["bulbasaur"]
    assert reports["results/sqs/m1.json"]["error"] == "InvalidRequest"
    assert reports["results/sqs/m2.json"]["names"] == ["ivysaur"]


def test_the_largest_message_is_served(handle: Handle) -> None:
    assert failed_messages(handle(batch('{"range": "1"}'.ljust(MAX_CHARACTERS)))) == []


def test_an_error_names_the_field_of_the_event(handle: Handle, capsys: Capture) -> None:
    notification = {"Type": "Notification", "Message": '{"range": 0}'}
    handle(batch("x", '{"range": 0}', json.dumps(notification)))
    errors = re.findall(r'"error":"(.*?)"', capsys.readouterr().out)
    fields = [error.partition(":")[0] for error in errors]
    assert fields == ["body", "body.range", "Message.range"]


def test_a_message_with_retryable_failures_has_its_report_stored_and_fails(
    pokeapi: PokeAPI, handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 2: answers.status(400)}
    event = batch('{"range": "1-3"}', '{"range": "1025-1026"}')
    assert failed_messages(handle_with_bucket(event)) == ["m0"]
    reports = read_reports()
    assert reports["results/sqs/m0.json"]["names"] == ["bulbasaur", "venusaur"]
    assert reports["results/sqs/m1.json"]["complete"] is False
    pokeapi.answers = {}
    requests = pokeapi.requests
    again = {"Records": event["Records"][:1]}
    assert failed_messages(handle_with_bucket(again)) == []
    assert read_reports()["results/sqs/m0.json"]["complete"] is True
    assert pokeapi.requests - requests == 1


def test_messages_run_at_once_and_share_the_window(pokeapi: PokeAPI, load_app: LoadApp) -> None:
    pokeapi.delay = 0.02
    app = load_app(MAX_CONCURRENCY="4")
    bodies = [f'{{"range": "{number}", "strategy": "sequential"}}' for number in range(1, 9)]
    reply = app.handler(batch(*bodies), Context())
    assert failed_messages(reply) == []
    assert pokeapi.most_in_flight == 4


def test_blocking_clients_wait_for_the_window_like_all_others(
    pokeapi: PokeAPI, load_app: LoadApp
) -> None:
    pokeapi.delay = 0.02
    app = load_app(MAX_CONCURRENCY="1")
    bodies = [f'{{"range": "{number}", "strategy": "sync"}}' for number in range(1, 5)]
    app.handler(batch(*bodies), Context())
    assert pokeapi.most_in_flight == 1


def test_messages_share_the_deadline(pokeapi: PokeAPI, load_app: LoadApp) -> None:
    pokeapi.answers[2] = answers.hang
    app = load_app()
    seconds = app.MARGIN_SECONDS + app.STORE_TIMEOUT + 0.5
    reply = app.handler(batch('{"range": "1"}', '{"range": "2"}'), Context(seconds=seconds))
    assert failed_messages(reply) == ["m1"]


@pytest.mark.parametrize(
    ("event", "waits"), [(batch('{"range": "1-3"}'), True), ({"range": "1-3"}, False)]
)
def test_a_straggler_is_waited_for_where_nobody_waits_for_the_reply(
    pokeapi: PokeAPI,
    load_app: LoadApp,
    event: dict[str, Any],
    *,
    waits: bool,
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(403), 2: answers.status(503)}
    app = load_app()
    vars(app)["policy"] = msgspec.structs.replace(
        app.policy, first_delay=0.05, max_delay=0.05, shared_retries=5, straggler_timeout=0.0
    )
    app.handler(event, Context())
    # The first attempt, the number's own retries, the shared ones, and those that two names earned.
    attempts = 1 + 2 + 5 + 2
    assert (pokeapi.requests == 2 + attempts + app.policy.max_list_attempts) == waits


@pytest.mark.usefixtures("aws")
def test_a_message_whose_report_cannot_be_stored_fails(load_app: LoadApp, capsys: Capture) -> None:
    app = load_app(RESULTS_BUCKET="nowhere")
    reply = app.handler(batch('{"range": "1"}'), Context())
    assert failed_messages(reply) == ["m0"]
    assert "NoSuchBucket" in capsys.readouterr().out


def test_a_message_may_be_a_notification_of_a_request(
    handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    assert failed_messages(handle_with_bucket(sample("sqs-sns-wrapped"))) == []
    assert [report["names"] for report in read_reports().values()] == [["mew"]]


@pytest.mark.parametrize("name", ["eventbridge", "sns", "failure-record"])
def test_a_message_may_be_an_event_that_another_source_could_not_deliver(
    handle_with_bucket: Handle, read_reports: ReadReports, name: str
) -> None:
    handle_with_bucket(sample(name))
    (key,) = expected = read_reports()
    body = json.dumps(sample(name))
    assert failed_messages(handle_with_bucket(batch(body, '{"range": "151"}'))) == []
    stored = read_reports()
    assert stored.keys() == {key, "results/sqs/m1.json"}
    assert stored[key]["names"] == expected[key]["names"]


def test_a_message_may_be_a_record_of_a_direct_call(
    handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    record = {**sample("failure-record"), "requestPayload": {"range": "151"}}
    assert failed_messages(handle_with_bucket(batch(json.dumps(record)))) == []
    assert read_reports()["results/sqs/m0.json"]["names"] == ["mew"]


def test_a_message_fails_once_however_many_of_its_requests_fail(
    pokeapi: PokeAPI, handle_with_bucket: Handle, bucket: Any
) -> None:
    pokeapi.answers = dict.fromkeys([PokeAPI.LIST, 1, 2], answers.status(400))
    lines = '{"range": "1"}\n{"range": "2"}\n{"range": "3"}'
    uploaded = bucket.put_object(Key="requests/three.jsonl", Body=lines)
    event = sample("eventbridge-s3")
    event["detail"]["bucket"]["name"] = bucket.name
    created = {"key": uploaded.key, "etag": uploaded.e_tag.strip('"')}
    event["detail"]["object"] |= created
    assert failed_messages(handle_with_bucket(batch(json.dumps(event)))) == ["m0"]


def test_a_message_does_not_fail_for_a_refusal_of_the_event_that_it_holds(
    handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    """The event would have ended well, too, had it been delivered at once."""
    event = {**sample("eventbridge"), "detail": {"range": "5-1"}}
    record = {**sample("failure-record"), "requestPayload": event}
    assert failed_messages(handle_with_bucket(batch(json.dumps(record)))) == []
    ((key, refusal),) = read_reports().items()
    assert key == f"results/eventbridge/{event['id']}.json"
    assert refusal["error"] == "InvalidRequest"


def test_a_record_may_hold_a_record(handle: Handle) -> None:
    record = {**sample("failure-record"), "requestPayload": sample("failure-record")}
    assert [report["count"] for report in handle(record)["reports"]] == [4]


def test_a_direct_call_may_not_have_an_unknown_field(handle: Handle) -> None:
    with pytest.raises(InvalidRequest, match=r"^requestPayload: got "):
        handle({"requestPayload": {"range": "1"}})


@pytest.mark.parametrize("payload", ["1-3", None, [], {"range": 0}])
def test_a_record_of_a_bad_direct_call_fails(handle: Handle, payload: Any) -> None:
    record = {**sample("failure-record"), "requestPayload": payload}
    assert failed_messages(handle(batch(json.dumps(record)))) == ["m0"]
    with pytest.raises(InvalidRequest):
        handle(record)


def test_sam_local_has_no_bucket(load_app: LoadApp) -> None:
    app = load_app(RESULTS_BUCKET="Bucket", AWS_SAM_LOCAL="true")
    reply = app.handler(sample("sns"), Context())
    assert [report["count"] for report in reply["reports"]] == [1]


@pytest.mark.parametrize(
    ("name", "count", "key"),
    [
        ("sns", 1, "results/sns/95df01b4-ee98-5cb9-9903-4c221d41eb5e.json"),
        ("eventbridge", 4, "results/eventbridge/6a7e8feb-b491-4cf7-a9f1-bf3703467718.json"),
    ],
)
def test_the_report_of_an_asynchronous_event_is_stored_under_its_id(
    handle_with_bucket: Handle, read_reports: ReadReports, name: str, count: int, key: str
) -> None:
    reply = handle_with_bucket(sample(name))
    assert [report["count"] for report in reply["reports"]] == [count]
    reports = read_reports()
    assert reports.keys() == {key}
    assert reports[key]["count"] == count


@pytest.mark.parametrize("name", ["sns", "eventbridge"])
def test_an_asynchronous_event_raises_its_retryable_failures_once_its_report_is_stored(
    pokeapi: PokeAPI,
    handle_with_bucket: Handle,
    read_reports: ReadReports,
    capsys: Capture,
    name: str,
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 151: answers.status(400)}
    message = r"^not all names came: 1 failed, first 151: bad_status$"
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
def test_a_bad_notification_is_refused(handle: Handle, given: Any, field: str) -> None:
    event = sample("sns")
    event["Records"][0]["Sns"]["Message"] = given
    assert [refusal["field"] for refusal in handle(event)["refused"]] == [field]


@pytest.mark.parametrize(
    ("detail", "field"), [(None, "detail"), ([], "detail"), ({"ranges": "1"}, "detail.ranges")]
)
def test_a_bad_detail_is_refused(handle: Handle, detail: Any, field: str) -> None:
    reply = handle({**sample("eventbridge"), "detail": detail})
    assert [refusal["field"] for refusal in reply["refused"]] == [field]


def test_a_refusal_is_stored_in_place_of_the_report_logged_and_counted(
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


@pytest.mark.usefixtures("aws")
def test_a_refusal_that_cannot_be_stored_raises_for_another_attempt(load_app: LoadApp) -> None:
    app = load_app(RESULTS_BUCKET="nowhere")
    with pytest.raises(NotStoredError, match="NoSuchBucket"):
        app.handler({**sample("eventbridge"), "detail": {"range": "5-1"}}, Context())


@pytest.mark.parametrize("id_", ["../x", "", "a\n", None, "x" * 101])
def test_an_event_with_a_bad_id_is_no_message(handle: Handle, id_: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^event: got 'version, id, .*, allowed: the fields"):
        handle({**sample("eventbridge"), "id": id_})
