"""What all sources share: jobs that run concurrently, and records of failed events."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from aiohttp import web

from pokemon_names import sources
from pokemon_names.model import InvalidRequest, Request
from pokemon_names.sources.base import check_size
from pokemon_names.stores.s3 import Bucket
from tests.conftest import SETTINGS, Handle, LoadApp, sample
from tests.sources.conftest import REPEATED, Parsed, together
from tests.sources.test_sqs import batch, failed_messages
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers


def test_jobs_run_concurrently_and_share_the_window(pokeapi: PokeAPI, load_app: LoadApp) -> None:
    pokeapi.answers = dict.fromkeys(range(1, 9), together(4))
    pokeapi.delay = 0.02  # long enough for a fifth request to arrive
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


def test_jobs_share_the_deadline(pokeapi: PokeAPI, load_app: LoadApp) -> None:
    pokeapi.answers = dict.fromkeys([2, 3], answers.hang)
    app = load_app()
    app.handler({"range": "1"}, Context())  # so that its name is cached
    seconds = app.MARGIN_SECONDS + 0.1
    reply = app.handler(
        batch('{"range": "1"}', '{"range": "2"}', '{"range": "3"}'), Context(seconds=seconds)
    )
    assert failed_messages(reply) == ["m1", "m2"]


def test_a_straggler_times_out_if_somebody_waits_for_the_reply(
    pokeapi: PokeAPI, load_app: LoadApp
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(403), 2: answers.hang}
    app = load_app()
    vars(app)["policy"] = msgspec.structs.replace(app.policy, straggler_timeout=0.0)
    (failure,) = app.handler({"range": "1-3"}, Context())["failures"]
    assert failure["number"] == 2
    assert failure["reason"] == "timeout"  # long before the deadline


def test_a_fetch_waits_for_a_straggler_if_nobody_waits_for_the_reply(
    pokeapi: PokeAPI, load_app: LoadApp
) -> None:
    async def late(_: web.Request) -> web.Response:
        await asyncio.sleep(0.3)  # long enough to check twice whether to go on
        return web.json_response({"name": "ivysaur"})

    pokeapi.answers = {PokeAPI.LIST: answers.status(403), 2: late}
    app = load_app()
    vars(app)["policy"] = msgspec.structs.replace(app.policy, straggler_timeout=0.0)
    assert failed_messages(app.handler(batch('{"range": "1-3"}'), Context())) == []


def with_range(name: str, expression: str) -> dict[str, Any]:
    """Return a sample event whose request has this range."""
    event = sample(name)
    fields = {"range": expression}
    match event:
        case {"Records": [{"Sns": notification}]}:
            notification["Message"] = json.dumps(fields)
        case {"Records": [message, *_]}:
            event["Records"] = [{**message, "body": json.dumps(fields)}]
        case {"requestContext": _}:
            event["queryStringParameters"] = fields
            event.pop("multiValueQueryStringParameters", None)
        case {"task": _}:
            event["request"] = fields
        case {"detail": _}:
            event["detail"] = fields
        case _:
            event = fields
    return event


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("direct", 2),
        ("http-api", 2),
        ("rest-api", 2),
        ("alb", 2),
        ("http-api-race", 2),
        ("sqs", 2),
        ("sns", 2),
        ("eventbridge", 2),
        ("states-fetch", 2),
        ("states-plan", 667),  # it accepts a million numbers
        ("states-merge", 667),
    ],
)
def test_a_range_that_repeats_its_numbers_is_refused_before_it_is_expanded(
    parsed: Parsed, name: str, parts: int
) -> None:
    invocation = sources.detect(with_range(name, REPEATED), SETTINGS, Bucket("pokemon-names"))
    (job,) = invocation.jobs
    assert isinstance(job.request, InvalidRequest)
    assert job.request.field.endswith("range")
    assert (parsed.parts, parsed.numbers) == (parts, 0)


def test_a_race_expands_its_range_once(parsed: Parsed) -> None:
    event = with_range("http-api-race", "1-20,30")
    jobs = sources.detect(event, SETTINGS, None).jobs
    assert [len(job.request.numbers) for job in jobs if isinstance(job.request, Request)] == [
        21
    ] * 4
    assert (parsed.parts, parsed.numbers) == (2, 21)


REPORT = {"names": ["poke\u0301mon"], "text": '"'}


@pytest.mark.parametrize("reply", [REPORT, {"body": json.dumps(REPORT)}])
def test_a_reply_is_measured_as_the_runtime_sends_it(reply: dict[str, Any]) -> None:
    size = len(json.dumps(reply, ensure_ascii=False).encode())
    check_size(reply, size)
    message = (
        f"^reply: got '{size} bytes', allowed: at most {size - 1} bytes; ask for fewer numbers"
    )
    with pytest.raises(InvalidRequest, match=message):
        check_size(reply, size - 1)


def test_a_record_of_a_failed_event_is_handled_like_the_event(warm: Handle) -> None:
    assert [report["count"] for report in warm(sample("failure-record"))["reports"]] == [4]


def test_a_record_may_contain_a_record(warm: Handle) -> None:
    record = {**sample("failure-record"), "requestPayload": sample("failure-record")}
    assert [report["count"] for report in warm(record)["reports"]] == [4]


@pytest.mark.parametrize("payload", ["1-3", None, [], {"range": 0}])
def test_a_record_of_a_bad_direct_call_fails(warm: Handle, payload: Any) -> None:
    record = {**sample("failure-record"), "requestPayload": payload}
    assert failed_messages(warm(batch(json.dumps(record)))) == ["m0"]
    with pytest.raises(InvalidRequest):
        warm(record)
