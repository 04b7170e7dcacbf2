"""The state machine's tasks, one at a time. deploy/test_stack.py runs the whole machine."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from pokemon_names.ranges import parse_range
from pokemon_names.sources.base import IncompleteError
from pokemon_names.sources.stepfunctions import MIN_CHUNKS
from pokemon_names.stores.s3 import NotStoredError
from tests.conftest import Capture, Handle, LoadApp, ReadReports, sample
from tests.test_telemetry import Output
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

FOLDER = "runs/x/20261122T220000.000000Z"
FORBIDDEN_NAMES = [
    "", ".", "..", "x" * 81, "x\n", "x/y", " ", "x\u3000", "\0", "\x7f", "\x9f", "\ud800", "\uffff",
    "\ufffe", "\U0010ffff", *'<>{}[]?*"#%\\^|~`$&,;:',
]  # fmt: skip


def task(name: str, **fields: Any) -> dict[str, Any]:
    """Return a sample task of the execution x, with these fields changed."""
    event = {**sample(f"states-{name}"), **fields}
    if "execution" in event:
        event["execution"] = "x"
    return event


def test_plan_lists_the_chunks_with_their_keys(warm_with_bucket: Handle, bucket: Any) -> None:
    request = {"range": "1-3,9,7", "strategy": "index", "fresh": True}
    plan = warm_with_bucket(task("plan", request=request))
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
    warm_with_bucket: Handle, bucket: Any, read_reports: ReadReports
) -> None:
    plans = []
    merges = []
    keys = []
    for _ in range(2):
        plans.append(warm_with_bucket(task("plan", request={"range": "1-2"})))
        warm_with_bucket(task("fetch", key=f"{FOLDER}/0.json", request={"range": "1"}))
        warm_with_bucket(task("fetch", key=f"{FOLDER}/1.json", request={"range": "2"}))
        for _ in range(2):
            merges.append(without_time(warm_with_bucket(task("merge", request={"range": "1-2"}))))
            assert read_reports()["results/states/x.json"]["names"] == ["bulbasaur", "ivysaur"]
        keys.append(sorted(listed.key for listed in bucket.objects.all()))
    assert plans[0] == plans[1]
    assert merges[0] == merges[1]
    assert merges[2] == merges[3]
    assert keys[0] == keys[1]


def test_an_execution_does_not_see_what_an_older_one_of_the_same_name_stored(
    warm_with_bucket: Handle, read_reports: ReadReports
) -> None:
    warm_with_bucket(task("plan", request={"range": "1-3"}))
    for index in range(3):
        warm_with_bucket(
            task("fetch", key=f"{FOLDER}/{index}.json", request={"range": str(index + 1)})
        )
    later = {"started": "2027-03-01T00:00:00.123456+01:00", "request": {"range": "4-5"}}
    plan = warm_with_bucket(task("plan", **later))
    assert plan["folder"] == "runs/x/20270228T230000.123456Z"
    warm_with_bucket(task("fetch", key=f"{plan['folder']}/0.json", request={"range": "4"}))
    warm_with_bucket(task("merge", **later))
    report = read_reports()["results/states/x.json"]
    assert report["names"] == ["charmander"]
    assert [failure["number"] for failure in report["failures"]] == [5]


def test_without_a_list_of_chunks_all_names_are_missing(warm_with_bucket: Handle) -> None:
    before = datetime.now(UTC)
    merged = warm_with_bucket(task("merge", request={"range": "1-3"}))
    after = datetime.now(UTC)
    assert merged["bucket"] == "pokemon-names"
    assert merged["key"] == "results/states/x.json"
    started = datetime.fromisoformat(sample("states-merge")["started"])
    shortest, longest = [(time - started) / timedelta(milliseconds=1) for time in (before, after)]
    assert int(shortest) <= merged["timing"]["total_ms"] <= longest + 1
    assert merged["failures"] == {"chunk": 3}
    assert merged["enough"] is False


def test_at_most_a_tenth_of_the_names_may_be_missing(warm_with_bucket: Handle) -> None:
    """Each chunk has one number. Between two merges, more chunks are fetched."""

    def fetch(*chunks: int, first: int = 1) -> None:
        for chunk in chunks:
            request = {"range": str(first + chunk)}
            warm_with_bucket(task("fetch", key=f"{FOLDER}/{chunk}.json", request=request))

    def is_enough(range_: str) -> bool:
        request = {"range": range_}
        warm_with_bucket(task("plan", request=request))
        enough: bool = warm_with_bucket(task("merge", request=request))["enough"]
        return enough

    fetch(*range(8))
    assert not is_enough("1-9")  # 8 of 9
    assert not is_enough("1-10")  # 8 of 10
    fetch(9, first=1017)  # 1026, which does not exist
    assert is_enough("1-9,1026")
    fetch(8)
    assert is_enough("1-9")
    fetch(0, first=1026)
    assert is_enough("1026")


def test_an_incomplete_chunk_is_stored_and_raises_so_that_it_is_retried(
    pokeapi: PokeAPI, handle_with_bucket: Handle, read_reports: ReadReports
) -> None:
    request = {"range": "1-2,1026"}
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 2: answers.status(400)}
    handle_with_bucket(task("plan", request=request))
    handle_with_bucket(task("fetch", key=f"{FOLDER}/0.json", request={"range": "1"}))
    with pytest.raises(IncompleteError):
        handle_with_bucket(task("fetch", key=f"{FOLDER}/1.json", request={"range": "2"}))
    chunk = handle_with_bucket(task("fetch", key=f"{FOLDER}/2.json", request={"range": "1026"}))
    assert chunk["failures"] == {"not_found": 1}
    merged = handle_with_bucket(task("merge", request=request))
    assert merged["failures"] == {"bad_status": 1, "not_found": 1}
    report = read_reports()["results/states/x.json"]
    assert report["names"] == ["bulbasaur"]
    assert [failure["reason"] for failure in report["failures"]] == ["bad_status", "not_found"]


@pytest.mark.usefixtures("bucket")
def test_a_chunk_that_cannot_be_stored_raises(load_app: LoadApp) -> None:
    app = load_app(RESULTS_BUCKET="nowhere")
    with pytest.raises(NotStoredError, match=r"^runs/every-name-2026.*/0\.json: NoSuchBucket"):
        app.handler({**sample("states-fetch"), "request": {"range": "1"}}, Context())


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plan", {"range": "x"}),
        ("fetch", {"range": "x"}),
        ("merge", {"range": "x"}),
        ("plan", {"range": "1-1000001"}),
        ("plan", {"from": 1}),
    ],
)
def test_a_bad_request_is_invalid(
    warm_with_bucket: Handle, name: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match=r"^(range|from): got "):
        warm_with_bucket(task(name, request=fields))


def test_a_refusal_is_logged_and_counted(handle_with_bucket: Handle, capsys: Capture) -> None:
    with pytest.raises(InvalidRequest):
        handle_with_bucket({**sample("states-plan"), "request": {"range": "x"}})
    metric, line = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert metric["Refused"] == [1]
    assert line["message"] == "invalid request"


def test_a_request_for_a_trace_is_refused(warm_with_bucket: Handle) -> None:
    with pytest.raises(InvalidRequest, match=r"^trace: got 'true', allowed: false, "):
        warm_with_bucket(task("plan", request={"trace": True}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "dance"}, "task, execution, started, request', allowed: the fields range"),
        ({"execution": "../x"}, "matching regex"),
        *[({"execution": name}, "matching regex") for name in FORBIDDEN_NAMES],
        ({"started": "2026-11-22T22:00:00"}, "timezone"),
        ({"started": "0001-01-01T00:00:00+23:59"}, "out of range in UTC"),
        ({"started": "9999-12-31T23:59:59-00:01"}, "out of range in UTC"),
        ({"started": "\ud800"}, "surrogates not allowed"),
        ({"request": None}, "Expected `object`"),
    ],
)
def test_a_malformed_task_is_invalid(warm: Handle, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^(task|event): got .*{message}"):
        warm({**sample("states-plan"), **fields})


# StartExecution allows names of up to 80 characters, but forbids some characters.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
@pytest.mark.parametrize(
    "name",
    ["x", "x" * 80, "poke\u0301mon", "\u30dd\u30b1\u30e2\u30f3", "\N{LIZARD}" * 80, "...", ".x",
     "every-name_2026.11.22(1)!@'+="],
)  # fmt: skip
def test_an_execution_may_have_any_name_that_aws_allows(
    warm_with_bucket: Handle, read_reports: ReadReports, name: str
) -> None:
    fields = {"execution": name, "request": {"range": "1"}}
    plan = warm_with_bucket({**sample("states-plan"), **fields})
    key = f"{plan['folder']}/0.json"
    warm_with_bucket({**sample("states-fetch"), "key": key, "request": {"range": "1"}})
    assert warm_with_bucket({**sample("states-merge"), **fields})["count"] == 1
    assert read_reports().keys() == {f"results/states/{name}.json"}


@pytest.mark.parametrize("started", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_an_execution_may_have_started_at_any_time(warm_with_bucket: Handle, started: str) -> None:
    plan = warm_with_bucket(task("plan", started=started, request={"range": "1"}))
    key = f"{plan['folder']}/0.json"
    assert warm_with_bucket(task("fetch", key=key, request={"range": "1"}))["count"] == 1
    merged = warm_with_bucket(task("merge", started=started, request={"range": "1"}))
    assert merged["count"] == 1


@pytest.mark.parametrize(
    "key",
    [
        *[f"{FOLDER}/0.json".replace("/x/", f"/{name}/") for name in FORBIDDEN_NAMES],
        "results/sqs/x.json",
        "runs/x/1.json",
        "runs/x/y/1.json",
        f"{FOLDER}/chunks.json",
        f"{FOLDER}/y/1.json",
        f"{FOLDER}/1.json\n",
    ],
)
def test_a_chunk_is_stored_only_under_the_key_of_a_chunk(warm: Handle, key: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^task: got 'task, .*', allowed: fetch "):
        warm({**sample("states-fetch"), "key": key})


@pytest.mark.parametrize("name", ["plan", "merge"])
def test_without_a_bucket_only_chunks_can_be_fetched(warm: Handle, name: str) -> None:
    allowed = "only fetch, because RESULTS_BUCKET is not set"
    with pytest.raises(InvalidRequest) as caught:
        warm(task(name))
    assert str(caught.value) == f"task: got '{name}', allowed: {allowed}"
    assert warm(task("fetch", request={"range": "1-3"}))["count"] == 3
