"""The state machine's tasks, one by one; test_stack.py runs all of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from pokemon_names.sources.base import IncompleteError
from pokemon_names.stores.s3 import NotStoredError
from tests.conftest import Handle, LoadApp, ReadReports, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

RunTask = Callable[..., dict[str, Any]]


@pytest.fixture
def run_task(load_app: LoadApp, bucket: Any) -> RunTask:
    """Return a function that runs a sample's task, with other fields, in chunks of two numbers."""
    app = load_app(RESULTS_BUCKET=bucket.name, CHUNK_NUMBERS="2")

    def run_task(name: str, **fields: Any) -> dict[str, Any]:
        event = {**sample(f"states-{name}"), **fields}
        reply: dict[str, Any] = app.handler(event, Context())
        return reply

    return run_task


def test_plan_lists_the_chunks_with_their_keys(run_task: RunTask, bucket: Any) -> None:
    request = {"range": "1-3,9,7", "strategy": "index", "fresh": True}
    plan = run_task("plan", execution="x", request=request)
    assert plan["request"] == request
    chunks = bucket.Object(plan["chunks"]["key"]).get()["Body"]
    assert json.load(chunks) == [
        {"range": "1-2", "key": "runs/x/0.json"},
        {"range": "3,9", "key": "runs/x/1.json"},
        {"range": "7", "key": "runs/x/2.json"},
    ]


def test_a_chunk_is_at_most_as_large_as_a_request(load_app: LoadApp, bucket: Any) -> None:
    app = load_app(RESULTS_BUCKET=bucket.name, CHUNK_NUMBERS="500", MAX_NUMBERS="10")
    assert app.handler(sample("states-plan"), Context())["chunks"]["count"] == 136


def test_a_second_run_replaces_the_objects_of_the_first(
    run_task: RunTask, bucket: Any, read_reports: ReadReports
) -> None:
    keys = []
    for _ in range(2):
        run_task("plan", execution="x", request={"range": "1-3"})
        run_task("fetch", key="runs/x/0.json", request={"range": "1-2"})
        run_task("fetch", key="runs/x/1.json", request={"range": "3"})
        run_task("merge", execution="x", request={"range": "1-3"})
        report = read_reports()["results/states/x.json"]
        assert report["names"] == ["bulbasaur", "ivysaur", "venusaur"]
        keys.append(sorted(listed.key for listed in bucket.objects.all()))
    assert keys[0] == keys[1]


def test_an_incomplete_chunk_is_stored_and_raises_for_another_attempt(
    pokeapi: PokeAPI, run_task: RunTask, read_reports: ReadReports
) -> None:
    request = {"range": "1-2,1026"}
    pokeapi.answers[2] = answers.status(400)
    run_task("plan", execution="x", request=request)
    with pytest.raises(IncompleteError):
        run_task("fetch", key="runs/x/0.json", request={"range": "1-2"})
    chunk = run_task("fetch", key="runs/x/1.json", request={"range": "1026"})
    assert chunk["failures"] == {"not_found": 1}
    merged = run_task("merge", execution="x", request=request)
    assert merged["failures"] == {"bad_status": 1, "not_found": 1}
    report = read_reports()["results/states/x.json"]
    assert report["names"] == ["bulbasaur"]
    assert [failure["reason"] for failure in report["failures"]] == ["bad_status", "not_found"]


@pytest.mark.usefixtures("aws")
def test_a_chunk_that_cannot_be_stored_raises(load_app: LoadApp) -> None:
    app = load_app(RESULTS_BUCKET="nowhere")
    with pytest.raises(NotStoredError, match=r"^runs/every-name-2026-11-22/0\.json: NoSuchBucket"):
        app.handler(sample("states-fetch"), Context())


@pytest.mark.parametrize("name", ["plan", "fetch", "merge"])
@pytest.mark.parametrize("fields", [{"range": "x"}, {"range": "1-1000001"}, {"from": 1}])
def test_a_bad_request_is_invalid(run_task: RunTask, name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"^(range|from): got "):
        run_task(name, request=fields)


def test_a_trace_over_chunks_is_refused(run_task: RunTask) -> None:
    with pytest.raises(InvalidRequest, match=r"^trace: got 'true', allowed: false, "):
        run_task("plan", request={"trace": True})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "dance"}, "only the fields range"),
        ({"execution": "../x"}, "matching regex"),
        ({"request": None}, "Expected `object`"),
    ],
)
def test_a_malformed_task_is_invalid(handle: Handle, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^task: got .*{message}"):
        handle({**sample("states-plan"), **fields})


@pytest.mark.parametrize(
    "key", ["results/sqs/x.json", "runs/a/b/1.json", "runs/x/chunks.json", "runs/x/1.json\n"]
)
def test_a_chunk_is_stored_under_keys_of_chunks_alone(handle: Handle, key: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^task: got "):
        handle({**sample("states-fetch"), "key": key})


@pytest.mark.parametrize("name", ["states-plan", "states-merge"])
def test_without_a_bucket_only_chunks_can_be_fetched(handle: Handle, name: str) -> None:
    message = r"allowed: only fetch, because there is no RESULTS_BUCKET$"
    with pytest.raises(InvalidRequest, match=message):
        handle(sample(name))
    assert handle(sample("states-fetch"))["count"] == 500
