"""The state machine's tasks, one by one; test_stack.py runs all of it."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from pokemon_names.ranges import parse_range
from pokemon_names.sources.base import IncompleteError
from pokemon_names.sources.stepfunctions import MIN_CHUNKS
from pokemon_names.stores.s3 import NotStoredError
from tests.conftest import Capture, Handle, LoadApp, ReadReports, sample
from tests.test_app import Output
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

RunTask = Callable[..., dict[str, Any]]

FOLDER = "runs/x/20261122T220000.000000Z"


@pytest.fixture
def run_task(load_app: LoadApp, bucket: Any) -> RunTask:
    """Return a function that runs a sample's task, of the execution x, with other fields."""
    app = load_app(RESULTS_BUCKET=bucket.name)

    def run_task(name: str, **fields: Any) -> dict[str, Any]:
        event = {**sample(f"states-{name}"), **fields}
        if "execution" in event:
            event["execution"] = "x"
        reply: dict[str, Any] = app.handler(event, Context())
        return reply

    return run_task


def test_plan_lists_the_chunks_with_their_keys(run_task: RunTask, bucket: Any) -> None:
    request = {"range": "1-3,9,7", "strategy": "index", "fresh": True}
    plan = run_task("plan", request=request)
    assert plan["request"] == request
    assert plan["folder"] == FOLDER
    chunks = bucket.Object(plan["chunks"]["key"]).get()["Body"]
    assert json.load(chunks) == [
        {"range": "1", "key": f"{FOLDER}/0.json"},
        {"range": "2", "key": f"{FOLDER}/1.json"},
        {"range": "3", "key": f"{FOLDER}/2.json"},
        {"range": "9", "key": f"{FOLDER}/3.json"},
        {"range": "7", "key": f"{FOLDER}/4.json"},
    ]


@pytest.mark.parametrize(
    ("numbers", "limits", "sizes"),
    [
        ("1-21", {}, {1, 2}),
        ("1-1351", {}, {67, 68}),
        ("1-20000", {}, {500}),
        ("1-1351", {"CHUNK_NUMBERS": "50"}, {48, 49}),
        ("1-1351", {"MAX_NUMBERS": "10"}, {9, 10}),
    ],
)
def test_a_chunk_is_a_small_part_of_the_range_and_at_most_as_large_as_a_request(
    load_app: LoadApp, bucket: Any, numbers: str, limits: dict[str, str], sizes: set[int]
) -> None:
    app = load_app(RESULTS_BUCKET=bucket.name, **limits)
    plan = app.handler({**sample("states-plan"), "request": {"range": numbers}}, Context())
    chunks = json.load(bucket.Object(plan["chunks"]["key"]).get()["Body"])
    assert plan["chunks"]["count"] == len(chunks) >= MIN_CHUNKS
    assert {len(parse_range(chunk["range"], 500)) for chunk in chunks} == sizes


def test_a_plan_is_logged(handle_with_bucket: Handle, capsys: Capture) -> None:
    plan = handle_with_bucket(sample("states-plan"))
    (line,) = Output(capsys.readouterr().out).logs
    assert line["level"] == "INFO"
    assert line["message"] == "done"
    assert line["reply"] == plan


def without_time(merged: dict[str, Any]) -> dict[str, Any]:
    return {**merged, "timing": {**merged["timing"], "total_ms": None}}


def test_a_task_that_runs_again_does_the_same(
    run_task: RunTask, bucket: Any, read_reports: ReadReports
) -> None:
    plans = []
    merges = []
    keys = []
    for _ in range(2):
        plans.append(run_task("plan", request={"range": "1-2"}))
        run_task("fetch", key=f"{FOLDER}/0.json", request={"range": "1"})
        run_task("fetch", key=f"{FOLDER}/1.json", request={"range": "2"})
        for _ in range(2):
            merges.append(without_time(run_task("merge", request={"range": "1-2"})))
            assert read_reports()["results/states/x.json"]["names"] == ["bulbasaur", "ivysaur"]
        keys.append(sorted(listed.key for listed in bucket.objects.all()))
    assert plans[0] == plans[1]
    assert merges[0] == merges[1]
    assert merges[2] == merges[3]
    assert keys[0] == keys[1]


def test_a_later_execution_of_the_same_name_does_not_see_what_an_older_one_stored(
    run_task: RunTask, read_reports: ReadReports
) -> None:
    run_task("plan", request={"range": "1-3"})
    for index in range(3):
        run_task("fetch", key=f"{FOLDER}/{index}.json", request={"range": str(index + 1)})
    later = {"started": "2027-03-01T00:00:00.123456+01:00", "request": {"range": "4-5"}}
    plan = run_task("plan", **later)
    assert plan["folder"] == "runs/x/20270228T230000.123456Z"
    run_task("fetch", key=f"{plan['folder']}/0.json", request={"range": "4"})
    run_task("merge", **later)
    report = read_reports()["results/states/x.json"]
    assert report["names"] == ["charmander"]
    assert [failure["number"] for failure in report["failures"]] == [5]


def test_without_a_list_of_chunks_all_names_are_missing(run_task: RunTask) -> None:
    before = datetime.now(UTC)
    merged = run_task("merge", request={"range": "1-3"})
    after = datetime.now(UTC)
    assert merged["bucket"] == "pokemon-names"
    assert merged["key"] == "results/states/x.json"
    started = datetime.fromisoformat(sample("states-merge")["started"])
    shortest, longest = [(time - started) / timedelta(milliseconds=1) for time in (before, after)]
    assert int(shortest) <= merged["timing"]["total_ms"] <= longest + 1
    assert merged["failures"] == {"chunk": 3}
    assert merged["enough"] is False


@pytest.mark.parametrize(
    ("range_", "failed", "enough"),
    [
        ("1-10", 0, True),
        ("1-10", 1, True),
        ("1-10", 2, False),
        ("1-9", 1, False),
        ("1-9,1026", 1, True),  # one more number, which does not exist
        ("1026-1035", 0, True),
    ],
)
def test_at_most_a_tenth_of_the_names_may_be_missing(
    pokeapi: PokeAPI, run_task: RunTask, range_: str, failed: int, *, enough: bool
) -> None:
    for number in [PokeAPI.LIST, *range(1, failed + 1)]:
        pokeapi.answers[number] = answers.status(403)
    request = {"range": range_}
    chunks = run_task("plan", request=request)["chunks"]["count"]
    for index, number in enumerate(parse_range(range_, chunks)):
        with suppress(IncompleteError):
            run_task("fetch", key=f"{FOLDER}/{index}.json", request={"range": str(number)})
    assert run_task("merge", request=request)["enough"] is enough


def test_an_incomplete_chunk_is_stored_and_raises_for_another_attempt(
    pokeapi: PokeAPI, run_task: RunTask, read_reports: ReadReports
) -> None:
    request = {"range": "1-2,1026"}
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 2: answers.status(400)}
    run_task("plan", request=request)
    run_task("fetch", key=f"{FOLDER}/0.json", request={"range": "1"})
    with pytest.raises(IncompleteError):
        run_task("fetch", key=f"{FOLDER}/1.json", request={"range": "2"})
    chunk = run_task("fetch", key=f"{FOLDER}/2.json", request={"range": "1026"})
    assert chunk["failures"] == {"not_found": 1}
    merged = run_task("merge", request=request)
    assert merged["failures"] == {"bad_status": 1, "not_found": 1}
    report = read_reports()["results/states/x.json"]
    assert report["names"] == ["bulbasaur"]
    assert [failure["reason"] for failure in report["failures"]] == ["bad_status", "not_found"]


@pytest.mark.usefixtures("aws")
def test_a_chunk_that_cannot_be_stored_raises(load_app: LoadApp) -> None:
    app = load_app(RESULTS_BUCKET="nowhere")
    with pytest.raises(NotStoredError, match=r"^runs/every-name-2026.*/0\.json: NoSuchBucket"):
        app.handler(sample("states-fetch"), Context())


@pytest.mark.parametrize("name", ["plan", "fetch", "merge"])
@pytest.mark.parametrize("fields", [{"range": "x"}, {"range": "1-1000001"}, {"from": 1}])
def test_a_bad_request_is_invalid(run_task: RunTask, name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"^(range|from): got "):
        run_task(name, request=fields)


def test_a_refusal_is_logged_and_counted(handle_with_bucket: Handle, capsys: Capture) -> None:
    with pytest.raises(InvalidRequest):
        handle_with_bucket({**sample("states-plan"), "request": {"range": "x"}})
    metric, line = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert metric["Refused"] == [1]
    assert line["message"] == "invalid request"


def test_a_trace_over_chunks_is_refused(run_task: RunTask) -> None:
    with pytest.raises(InvalidRequest, match=r"^trace: got 'true', allowed: false, "):
        run_task("plan", request={"trace": True})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "dance"}, "task, execution, started, request', allowed: the fields range"),
        ({"execution": "../x"}, "matching regex"),
        ({"started": "2026-11-22T22:00:00"}, "timezone"),
        ({"request": None}, "Expected `object`"),
    ],
)
def test_a_malformed_task_is_invalid(handle: Handle, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^(task|event): got .*{message}"):
        handle({**sample("states-plan"), **fields})


@pytest.mark.parametrize(
    "key",
    [
        "results/sqs/x.json",
        "runs/x/1.json",
        "runs/x/y/1.json",
        f"{FOLDER}/chunks.json",
        f"{FOLDER}/y/1.json",
        f"{FOLDER}/1.json\n",
    ],
)
def test_a_chunk_is_stored_under_keys_of_chunks_alone(handle: Handle, key: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^task: got '{\"task\": \"fetch\", "):
        handle({**sample("states-fetch"), "key": key})


@pytest.mark.parametrize("name", ["states-plan", "states-merge"])
def test_without_a_bucket_only_chunks_can_be_fetched(handle: Handle, name: str) -> None:
    task = name.removeprefix("states-")
    allowed = "only fetch, because there is no RESULTS_BUCKET"
    with pytest.raises(InvalidRequest) as caught:
        handle(sample(name))
    assert str(caught.value) == f"task: got '{task}', allowed: {allowed}"
    assert handle(sample("states-fetch"))["count"] == 67
