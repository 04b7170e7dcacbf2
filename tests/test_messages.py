"""Events of SQS, SNS and EventBridge, one with several requests among them, and what is kept of them."""

import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pokemon_names import retry
from pokemon_names.item import IncompleteError
from pokemon_names.messages import MOST_CHARACTERS
from pokemon_names.request import InvalidRequest
from tests.conftest import Handle, Kept, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

Load = Callable[..., ModuleType]


def queue(*bodies: Any) -> dict[str, Any]:
    record = sample("sqs")["Records"][0]
    return {"Records": [{**record, "messageId": f"m{n}", "body": body} for n, body in enumerate(bodies)]}


def failed(reply: dict[str, Any]) -> list[str]:
    assert reply.keys() == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]


def test_a_report_is_kept_for_each_message_under_its_id(keeping: Handle, kept: Kept) -> None:
    assert failed(keeping(queue('{"range": "1-3"}', '{"range": "151", "strategy": "index"}'))) == []
    assert kept().keys() == {"results/sqs/m0.json", "results/sqs/m1.json"}
    report = kept()["results/sqs/m0.json"]
    assert list(report) == ["range", "strategy", "complete", "count", "names", "failures", "timing"]
    assert (report["range"], report["names"]) == ("1-3", ["bulbasaur", "ivysaur", "venusaur"])
    assert kept()["results/sqs/m1.json"]["names"] == ["mew"]


def test_a_second_delivery_puts_the_same_object_in_place_of_the_first(keeping: Handle, kept: Kept) -> None:
    for _ in range(2):
        keeping(queue('{"range": "1-3"}'))
    assert [report["count"] for report in kept().values()] == [3]


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
        f'{{"range": "1-3"}}{" " * MOST_CHARACTERS}',
        "\ud800",
        7,
        None,
    ],
)
def test_a_bad_message_fails_alone(keeping: Handle, kept: Kept, body: Any) -> None:
    assert failed(keeping(queue('{"range": "1"}', body, '{"range": "2"}'))) == ["m1"]
    assert kept().keys() == {"results/sqs/m0.json", "results/sqs/m2.json"}


def test_an_error_says_where_it_lies(handle: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    notification = {"Type": "Notification", "Message": '{"range": 0}'}
    handle(queue("x", '{"range": 0}', json.dumps(notification)))
    errors = [json.loads(line)["error"] for line in capsys.readouterr().out.splitlines()]
    assert [error.partition(":")[0] for error in errors] == ["body", "body.range", "Message.range"]


def test_a_message_whose_names_may_still_come_is_kept_and_fails(pokeapi: PokeAPI, keeping: Handle, kept: Kept) -> None:
    pokeapi.answers[2] = answers.status(400)
    event = queue('{"range": "1-3"}', '{"range": "1025-1026"}')
    assert failed(keeping(event)) == ["m0"]
    assert kept()["results/sqs/m0.json"]["names"] == ["bulbasaur", "venusaur"]
    assert kept()["results/sqs/m1.json"]["complete"] is False
    pokeapi.answers, before = {}, pokeapi.requests
    assert failed(keeping({"Records": event["Records"][:1]})) == []
    assert (kept()["results/sqs/m0.json"]["complete"], pokeapi.requests - before) == (True, 1)


def test_messages_run_at_once_and_share_the_window(pokeapi: PokeAPI, load_app: Load) -> None:
    pokeapi.delay = 0.02
    app = load_app(MAX_CONCURRENCY="4")
    reply = app.handler(queue(*(f'{{"range": "{n}", "strategy": "sequential"}}' for n in range(1, 9))), Context())
    assert (failed(reply), pokeapi.most_in_flight) == ([], 4)


def test_blocking_clients_wait_their_turn_like_all_others(pokeapi: PokeAPI, load_app: Load) -> None:
    pokeapi.delay = 0.02
    app = load_app(MAX_CONCURRENCY="1")
    app.handler(queue(*(f'{{"range": "{n}", "strategy": "sync"}}' for n in range(1, 5))), Context())
    assert pokeapi.most_in_flight == 1


def test_messages_share_the_deadline(pokeapi: PokeAPI, load_app: Load) -> None:
    pokeapi.answers[2] = answers.hang
    app = load_app()
    seconds = app.MARGIN_SECONDS + app.KEEP_SECONDS + 0.5
    assert failed(app.handler(queue('{"range": "1"}', '{"range": "2"}'), Context(seconds=seconds))) == ["m1"]


@pytest.mark.parametrize(("event", "patient"), [(queue('{"range": "1-3"}'), True), ({"range": "1-3"}, False)])
def test_a_hopeless_number_is_waited_for_where_nobody_waits_for_the_reply(
    pokeapi: PokeAPI, load_app: Load, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], *, patient: bool
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 5)
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(retry, "MAX_WAIT", 0.2)
    pokeapi.answers[2] = answers.status(503)
    app = load_app()
    monkeypatch.setattr(app, "STRAGGLER_TIMEOUT", 0.0)
    app.handler(event, Context())
    all_retries = 1 + 2 + 5 + 2  # its own, the shared ones, and those that two names earned
    assert (pokeapi.requests == 2 + all_retries) == patient


def test_what_cannot_be_kept_fails(load_app: Load, aws: None, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ARG001
    app = load_app(RESULTS_BUCKET="nowhere")
    assert failed(app.handler(queue('{"range": "1"}'), Context())) == ["m0"]
    assert "NoSuchBucket" in capsys.readouterr().out


def test_a_wrapped_notification_is_unwrapped(keeping: Handle, kept: Kept) -> None:
    assert failed(keeping(sample("sqs-sns-wrapped"))) == []
    assert [report["names"] for report in kept().values()] == [["mew"]]


def test_sam_local_has_no_bucket(load_app: Load) -> None:
    app = load_app(RESULTS_BUCKET="Bucket", AWS_SAM_LOCAL="true")
    assert [report["count"] for report in app.handler(sample("sns"), Context())["reports"]] == [1]


@pytest.mark.parametrize(("name", "count"), [("sns", 1), ("eventbridge", 4)])
def test_asynchronous_events_are_kept(keeping: Handle, kept: Kept, name: str, count: int) -> None:
    event = sample(name)
    reply = keeping(event)
    assert [report["count"] for report in reply["reports"]] == [count]
    id_ = event["id"] if "id" in event else event["Records"][0]["Sns"]["MessageId"]
    assert {key: report["count"] for key, report in kept().items()} == {f"results/{name}/{id_}.json": count}


@pytest.mark.parametrize("name", ["sns", "eventbridge"])
def test_what_an_asynchronous_event_lacks_is_raised_once_the_rest_is_kept(
    pokeapi: PokeAPI, keeping: Handle, kept: Kept, name: str
) -> None:
    pokeapi.answers[151] = answers.status(400)
    with pytest.raises(IncompleteError, match=r"^1 names did not come, first that of 151: bad_status$"):
        keeping(sample(name))
    assert [report["complete"] for report in kept().values()] == [False]


@pytest.mark.parametrize(("given", "field"), [("1-3", "Message"), ('{"range": "x"}', "Message.range"), (7, "Message")])
def test_a_bad_notification_is_invalid(handle: Handle, given: Any, field: str) -> None:
    event = sample("sns")
    event["Records"][0]["Sns"]["Message"] = given
    with pytest.raises(InvalidRequest, match=f"^{field}: got "):
        handle(event)


@pytest.mark.parametrize(("detail", "field"), [(None, "detail"), ([], "detail"), ({"ranges": "1"}, "detail.ranges")])
def test_a_bad_detail_is_invalid(handle: Handle, detail: Any, field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{re.escape(field)}: got "):
        handle({**sample("eventbridge"), "detail": detail})


@pytest.mark.parametrize("id_", ["../x", "", "a\n", None, "x" * 101])
def test_an_id_that_is_none_makes_no_message(handle: Handle, id_: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^version: got .*, allowed: only the fields"):
        handle({**sample("eventbridge"), "id": id_})
