"""Messages from a queue: the reports stored for them, and which messages fail."""

import json
import re
from typing import Any

import pytest

from pokemon_names.sources.messages import MAX_CHARACTERS
from tests.conftest import Capture, Handle, LoadApp, ReadReports, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers


def batch(*bodies: Any) -> dict[str, Any]:
    """Return the event for a batch of messages with the ids m0, m1 and so on."""
    record = sample("sqs")["Records"][0]
    records = []
    for index, body in enumerate(bodies):
        records.append({**record, "messageId": f"m{index}", "body": body})
    return {"Records": records}


def failed_messages(reply: dict[str, Any]) -> list[str]:
    assert reply.keys() == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]


def test_a_report_is_stored_for_each_message_under_its_id(
    warm_with_bucket: Handle, read_reports: ReadReports
) -> None:
    for _ in range(2):  # a second delivery replaces the objects of the first
        reply = warm_with_bucket(batch('{"range": "1-3"}', '{"range": "151", "strategy": "index"}'))
        reports = read_reports()
        report = reports["results/sqs/m0.json"]
        assert failed_messages(reply) == []
        assert reports.keys() == {"results/sqs/m0.json", "results/sqs/m1.json"}
        assert list(report) == [
            "range", "strategy", "complete", "count", "names", "failures", "timing",
        ]  # fmt: skip
        assert report["range"] == "1-3"
        assert report["names"] == ["bulbasaur", "ivysaur", "venusaur"]
        assert reports["results/sqs/m1.json"]["names"] == ["mew"]


def test_only_bad_messages_fail(warm_with_bucket: Handle, read_reports: ReadReports) -> None:
    bad = [
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
    ]
    reply = warm_with_bucket(batch(*bad, '{"range": "1"}'))
    assert failed_messages(reply) == [f"m{index}" for index in range(len(bad))]
    reports = read_reports()
    assert reports.pop(f"results/sqs/m{len(bad)}.json")["names"] == ["bulbasaur"]
    assert [report["error"] for report in reports.values()] == ["InvalidRequest"] * len(bad)


def test_the_largest_message_is_served(warm: Handle) -> None:
    assert failed_messages(warm(batch('{"range": "1"}'.ljust(MAX_CHARACTERS)))) == []


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


@pytest.mark.usefixtures("bucket")
def test_a_message_whose_report_cannot_be_stored_fails(load_app: LoadApp, capsys: Capture) -> None:
    app = load_app(RESULTS_BUCKET="nowhere")
    reply = app.handler(batch('{"range": "1"}'), Context())
    assert failed_messages(reply) == ["m0"]
    assert "NoSuchBucket" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["eventbridge", "sns", "failure-record"])
def test_a_message_may_be_an_event_that_another_source_could_not_deliver(
    warm_with_bucket: Handle, read_reports: ReadReports, name: str
) -> None:
    """Its report gets the message's id, so that no report stored by the other source is lost."""
    warm_with_bucket(sample(name))
    ((key, expected),) = read_reports().items()
    body = json.dumps(sample(name))
    assert failed_messages(warm_with_bucket(batch(body, '{"range": "151"}'))) == []
    stored = read_reports()
    assert stored.keys() == {key, "results/sqs/m0.json", "results/sqs/m1.json"}
    assert stored[key] == expected
    assert stored["results/sqs/m0.json"]["names"] == expected["names"]


def test_a_message_may_be_a_record_of_a_direct_call(
    warm_with_bucket: Handle, read_reports: ReadReports
) -> None:
    record = {**sample("failure-record"), "requestPayload": {"range": "151"}}
    assert failed_messages(warm_with_bucket(batch(json.dumps(record)))) == []
    assert read_reports()["results/sqs/m0.json"]["names"] == ["mew"]


def test_a_message_fails_once_however_many_of_its_requests_fail(
    pokeapi: PokeAPI, handle_with_bucket: Handle, bucket: Any
) -> None:
    pokeapi.answers = dict.fromkeys([PokeAPI.LIST, 1, 2], answers.status(400))
    event = object_created(bucket, '{"range": "1"}\n{"range": "2"}\n{"range": "3"}')
    assert failed_messages(handle_with_bucket(batch(json.dumps(event)))) == ["m0"]


def object_created(bucket: Any, content: str, **more: str) -> dict[str, Any]:
    """Put an object and return EventBridge's event for it."""
    uploaded = bucket.put_object(Key="requests/three.jsonl", Body=content, **more)
    event = sample("eventbridge-s3")
    event["detail"]["bucket"]["name"] = bucket.name
    event["detail"]["object"] |= {"key": uploaded.key, "etag": uploaded.e_tag.strip('"')}
    return event


def test_the_lines_of_an_object_are_reported_under_the_id_of_the_message(
    warm_with_bucket: Handle, read_reports: ReadReports, bucket: Any
) -> None:
    several = json.dumps(object_created(bucket, '{"range": "1"}\n\nx\n'))
    assert failed_messages(warm_with_bucket(batch(several))) == []
    assert read_reports().keys() == {"results/sqs/m0-1.json", "results/sqs/m0-3.json"}
    one = json.dumps(object_created(bucket, '{"range": "1"}'))
    none = json.dumps(sample("eventbridge-s3"))  # for another bucket
    bucket.objects.filter(Prefix="results/").delete()
    assert failed_messages(warm_with_bucket(batch(one, none))) == []
    assert read_reports().keys() == {"results/sqs/m0-1.json", "results/sqs/m1.json"}


@pytest.mark.parametrize("key", ["requests/\ud800", "requests/x\0", "requests/" + "x" * 1100])
def test_an_object_with_an_impossible_key_affects_no_other_message(
    warm_with_bucket: Handle, read_reports: ReadReports, bucket: Any, key: str
) -> None:
    event = object_created(bucket, "")
    event["detail"]["object"]["key"] = key
    reply = warm_with_bucket(batch(json.dumps(event), *['{"range": "1"}'] * 9))
    assert set(failed_messages(reply)) <= {"m0"}
    assert read_reports().keys() == {f"results/sqs/m{index}.json" for index in range(1, 10)}


def test_an_archived_object_affects_no_other_message(
    warm_with_bucket: Handle, read_reports: ReadReports, bucket: Any
) -> None:
    event = json.dumps(object_created(bucket, '{"range": "1"}', StorageClass="GLACIER"))
    assert failed_messages(warm_with_bucket(batch('{"range": "1"}', event, event))) == ["m1", "m2"]
    assert read_reports().keys() == {"results/sqs/m0.json"}


@pytest.mark.parametrize("marks", ["\ufeff", "\ufeff\n"])
def test_a_message_may_start_with_a_byte_order_mark(
    warm_with_bucket: Handle, read_reports: ReadReports, marks: str
) -> None:
    notification = {"Type": "Notification", "Message": marks + '{"range": "1"}'}
    event = json.dumps(sample("eventbridge"))
    bodies = [f'{marks}{{"range": "151"}}', marks + json.dumps(notification), marks + event]
    assert failed_messages(warm_with_bucket(batch(*bodies))) == []
    assert [report["count"] for report in read_reports().values()] == [1, 1, 4]


def test_a_message_does_not_fail_if_the_event_it_holds_is_refused(
    warm_with_bucket: Handle, read_reports: ReadReports
) -> None:
    """Delivered directly, the event would have succeeded as well."""
    event = {**sample("eventbridge"), "detail": {"range": "5-1"}}
    record = {**sample("failure-record"), "requestPayload": event}
    assert failed_messages(warm_with_bucket(batch(json.dumps(record)))) == []
    ((key, refusal),) = read_reports().items()
    assert key == "results/sqs/m0.json"
    assert refusal["error"] == "InvalidRequest"
