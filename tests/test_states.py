"""The state machine's tasks, one by one; test_stack.py runs all of it."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pokemon_names.bucket import NotKeptError
from pokemon_names.item import IncompleteError
from pokemon_names.request import InvalidRequest
from tests.conftest import Handle, Kept, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

Load = Callable[..., ModuleType]


@pytest.fixture
def task(load_app: Load, bucket: Any) -> Callable[..., dict[str, Any]]:
    app = load_app(RESULTS_BUCKET=bucket.name, CHUNK_NUMBERS="2")

    def task(name: str, **fields: Any) -> dict[str, Any]:
        reply: dict[str, Any] = app.handler({**sample(f"states-{name}"), **fields}, Context())
        return reply

    return task


Task = Callable[..., dict[str, Any]]


def run(task: Task, **request: Any) -> dict[str, Any]:
    plan = task("plan", execution="x", request=request)
    return task("gather", execution="x", request=plan["request"])


def test_plan_lists_chunks_with_their_keys(task: Task, bucket: Any) -> None:
    plan = task("plan", execution="x", request={"range": "1-3,9,7", "strategy": "index", "fresh": True})
    assert plan["request"] == {"range": "1-3,9,7", "strategy": "index", "fresh": True}
    assert json.load(bucket.Object(plan["chunks"]["key"]).get()["Body"]) == [
        {"range": "1-2", "key": "runs/x/0.json"},
        {"range": "3,9", "key": "runs/x/1.json"},
        {"range": "7", "key": "runs/x/2.json"},
    ]


def test_a_chunk_is_never_larger_than_a_request_may_be(load_app: Load, bucket: Any) -> None:
    app = load_app(RESULTS_BUCKET=bucket.name, CHUNK_NUMBERS="500", MAX_NUMBERS="10")
    assert app.handler(sample("states-plan"), Context())["chunks"]["count"] == 136


def test_a_second_run_leaves_the_same_objects(task: Task, bucket: Any, kept: Kept) -> None:
    def names() -> list[str]:
        run(task, range="1-3")
        for number, part in enumerate(("1-2", "3")):
            task("fetch", key=f"runs/x/{number}.json", request={"range": part})
        task("gather", execution="x", request={"range": "1-3"})
        assert kept()["results/states/x.json"]["names"] == ["bulbasaur", "ivysaur", "venusaur"]
        return sorted(one.key for one in bucket.objects.all())

    assert names() == names()


def test_an_incomplete_chunk_is_kept_and_raises_for_another_attempt(pokeapi: PokeAPI, task: Task, kept: Kept) -> None:
    pokeapi.answers[2] = answers.status(400)
    with pytest.raises(IncompleteError):
        task("fetch", key="runs/x/0.json", request={"range": "1-2"})
    assert task("fetch", key="runs/x/1.json", request={"range": "1026"})["failures"] == {"not_found": 1}
    assert run(task, range="1-2,1026")["failures"] == {"bad_status": 1, "not_found": 1}
    report = kept()["results/states/x.json"]
    assert (report["names"], [failure["reason"] for failure in report["failures"]]) == (
        ["bulbasaur"],
        ["bad_status", "not_found"],
    )


def test_a_chunk_that_cannot_be_kept_raises(load_app: Load, aws: None) -> None:  # noqa: ARG001
    with pytest.raises(NotKeptError, match=r"^runs/every-name-2026-11-22/0\.json: NoSuchBucket"):
        load_app(RESULTS_BUCKET="nowhere").handler(sample("states-fetch"), Context())


@pytest.mark.parametrize("name", ["plan", "fetch", "gather"])
@pytest.mark.parametrize("request_", [{"range": "x"}, {"range": "1-1000001"}, {"from": 1}])
def test_a_bad_request_is_invalid(task: Task, name: str, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"^(range|from): got "):
        task(name, request=request_)


def test_a_trace_over_chunks_is_refused_rather_than_forgotten(task: Task) -> None:
    with pytest.raises(InvalidRequest, match=r"^trace: got 'true', allowed: false, "):
        task("plan", request={"trace": True})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "dance"}, "Invalid value 'dance'"),
        ({"execution": "../x"}, "matching regex"),
        ({"request": None}, "Expected `object`"),
    ],
)
def test_a_task_that_is_none_is_invalid(handle: Handle, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^task: got .*{message}"):
        handle({**sample("states-plan"), **fields})


@pytest.mark.parametrize("key", ["results/sqs/x.json", "runs/a/b/1.json", "runs/x/chunks.json", "runs/x/1.json\n"])
def test_a_chunk_is_kept_among_chunks_alone(handle: Handle, key: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^task: got "):
        handle({**sample("states-fetch"), "key": key})


@pytest.mark.parametrize("name", ["states-plan", "states-gather"])
def test_without_a_bucket_only_chunks_can_be_fetched(handle: Handle, name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"allowed: fetch alone, for there is no RESULTS_BUCKET$"):
        handle(sample(name))
    assert handle(sample("states-fetch"))["count"] == 500
