"""The logs and metrics of an invocation, whatever its source."""

import io
import json
import math
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pokemon_names.model import STRATEGIES, Attempt, Failure, Fetched, InvalidRequest
from pokemon_names.report import Outcome, Report
from tests.conftest import Capture, Handle, LoadApp, http_event, make_request, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

HTTP_SAMPLES = ("http-api", "rest-api", "function-url", "alb", "alb-multi-value")
TRACE_ID = "Root=1-6921e0a1-3c5f0e7b1a2d4c6f8e0b9a7d"


class Output:
    """What an invocation wrote to stdout: log lines, and metrics in the embedded metric format."""

    def __init__(self, text: str) -> None:
        lines = [json.loads(line) for line in text.splitlines()]
        self.metrics = [line for line in lines if "_aws" in line]
        self.logs = [line for line in lines if "_aws" not in line]

    def values(self, name: str) -> list[float]:
        return [value for line in self.metrics for value in line.get(name, [])]


@pytest.fixture
def invoke(handle: Handle, capsys: Capture) -> Callable[[Any], Output]:
    """Return a function that invokes the handler and returns what it wrote."""

    def invoke(event: Any) -> Output:
        capsys.readouterr()
        handle(event)
        return Output(capsys.readouterr().out)

    return invoke


@pytest.fixture
def record(load_app: LoadApp, capsys: Capture) -> Callable[[Report], Output]:
    """Return a function that records a report and returns what telemetry wrote."""

    def record(report: Report) -> Output:
        telemetry = load_app().telemetry
        telemetry.logger.append_keys(cold_start=False)
        telemetry.record([Outcome(report)])
        return Output(capsys.readouterr().out)

    return record


Invoke = Callable[[Any], Output]
Record = Callable[[Report], Output]


def test_an_invocation_logs_one_line_with_the_timing_and_the_lambda_context(invoke: Invoke) -> None:
    (line,) = invoke({"range": "1-3,1026"}).logs
    assert line["level"] == "INFO"
    assert line["message"] == "fetched"
    assert line["service"] == "pokemon-names"
    assert line["function_name"] == Context.function_name
    assert line["function_memory_size"] == Context.memory_limit_in_mb
    assert line["function_request_id"] == Context.aws_request_id
    report = line["report"]
    assert report["range"] == "1-3,1026"
    assert report["count"] == 3
    assert report["failures"] == {"not_found": 1}
    assert report["timing"]["requests"] == 5  # one for the list of all, because of 1026
    assert report["timing"]["total_ms"] > 0


def test_only_the_first_invocation_is_a_cold_start(invoke: Invoke) -> None:
    outputs = [invoke({"range": "1"}) for _ in range(3)]
    assert [output.logs[0]["cold_start"] for output in outputs] == [True, False, False]
    assert [output.values("ColdStart") for output in outputs] == [[1], [0], [0]]


def test_the_correlation_id_is_the_one_that_the_source_uses(invoke: Invoke) -> None:
    expected = {
        "direct-one": Context.aws_request_id,
        "http-api": "TrVVWjAhliAEP5g=",
        "function-url": "5f0c2f1e-8a3b-4d6c-9e7f-1a2b3c4d5e6f",
        "rest-api": "0c8f5e2a-1d7b-4a39-b6e4-7f2c9d8a5b13",
        "alb": TRACE_ID,
        "alb-multi-value": TRACE_ID,
    }
    ids = {name: invoke(sample(name)).logs[0]["correlation_id"] for name in expected}
    assert ids == expected


def test_logs_never_contain_a_callers_headers(load_app: LoadApp, capsys: Capture) -> None:
    secrets = {"authorization": "secret", "x-amzn-trace-id": f"secret;{TRACE_ID};secret"}
    app = load_app(POWERTOOLS_LOGGER_LOG_EVENT="true")
    for name in HTTP_SAMPLES:
        event = sample(name)
        event["requestContext"].pop("requestId", None)
        for header, value in secrets.items():
            if "multiValueHeaders" in event:
                event["multiValueHeaders"][header] = [value]
            else:
                event["headers"][header] = value
        app.handler(event, Context())
    output = capsys.readouterr().out
    assert "secret" not in output
    assert output.count(f'"correlation_id":"{TRACE_ID}"') == len(HTTP_SAMPLES)


def test_all_metrics_are_by_service_and_some_also_by_strategy(invoke: Invoke) -> None:
    output = invoke({"range": "1-3,1026"})
    units: dict[str, str] = {}
    by_strategy: set[str] = set()
    for line in output.metrics:
        (definition,) = line["_aws"]["CloudWatchMetrics"]
        (dimensions,) = definition["Dimensions"]
        assert definition["Namespace"] == "PokemonNames"
        assert line["service"] == "pokemon-names"
        measured = {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]}
        if "strategy" in dimensions:
            assert line["strategy"] == "gather"
            by_strategy |= measured.keys()
        units |= measured
    assert by_strategy == {"FetchTime", "Names", "Lost"}
    counts = {
        "Names": [3],
        "Failures": [1],
        "Lost": [0],
        "Retries": [0],
        "CacheHits": [0],
        "Listed": [0],
        "ColdStart": [1],
    }
    times = ["FetchTime", "RequestTime"]
    assert units == dict.fromkeys(counts, "Count") | dict.fromkeys(times, "Milliseconds")
    assert {name: output.values(name) for name in counts} == counts
    assert output.values("FetchTime")[0] + 1 >= max(output.values("RequestTime"))


def test_names_from_the_list_of_all_are_counted(invoke: Invoke) -> None:
    first, second = [invoke({"range": "1-3,1026", "strategy": "index"}) for _ in range(2)]
    assert first.values("Listed") == [3]
    assert second.values("Listed") == [0]  # all of them are cached


def test_retryable_failures_are_also_counted_separately(pokeapi: PokeAPI, invoke: Invoke) -> None:
    forbidden = answers.text(403, "Forbidden")
    pokeapi.answers = {PokeAPI.LIST: forbidden, 2: forbidden}
    output = invoke({"range": "1-3,1026"})
    assert output.values("Failures") == [2]
    assert output.values("Lost") == [1]
    assert output.logs[0]["lost"] == [{"number": 2, "reason": "bad_status", "status": 403}]


def test_the_log_names_at_most_100_retryable_failures(record: Record) -> None:
    failures = [Failure(number, "bad_status", 403, 1, "Forbidden") for number in range(1, 151)]
    output = record(Report(make_request(), Fetched(failures, [], 1.0)))
    assert output.values("Lost") == [150]
    assert len(output.logs[0]["lost"]) == 100


@pytest.mark.parametrize("character", ["🙂", "\\", '"'])
def test_a_log_line_stays_below_256_kb_whatever_fails(
    load_app: LoadApp, capsys: Capture, character: str
) -> None:
    failures = [
        Failure(number, "bad_status", 503, 3, f"not sent; last error: {character * 200}")
        for number in range(1, 1501)
    ]
    telemetry = load_app(POWERTOOLS_LOG_LEVEL="DEBUG").telemetry
    telemetry.logger.append_keys(cold_start=False)
    telemetry.record([Outcome(Report(make_request(), Fetched(failures, [], 1.0)))])
    written = capsys.readouterr().out
    assert (
        max(len(line.encode()) for line in written.splitlines()) < 200_000
    )  # CloudWatch's limit is 256 KB
    logged = [one for line in Output(written).logs for one in line.get("failures", [])]
    assert logged == list(map(str, failures))


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_at_most_a_hundred_request_times_are_recorded_in_whole_milliseconds(
    record: Record, count: int
) -> None:
    attempts = [
        Attempt(
            number,
            1,
            ok=True,
            ready_ms=0,
            start_ms=0,
            first_byte_ms=1,
            end_ms=number + 0.4,
            bytes=9,
        )
        for number in range(count, 0, -1)
    ]
    output = record(Report(make_request(), Fetched([], attempts, 1.0)))
    times = min(count, 100)
    expected = [math.ceil(count * rank / times) for rank in range(1, times + 1)]
    assert output.values("RequestTime") == expected
    assert output.logs[0]["report"]["timing"]["max_ms"] == count + 0.4


def test_each_strategy_of_a_race_is_logged_and_measured(invoke: Invoke) -> None:
    output = invoke(http_event("/race", range="1"))
    measured = [line["strategy"] for line in output.metrics if "strategy" in line]
    assert [line["report"]["strategy"] for line in output.logs] == list(STRATEGIES)
    assert measured == list(STRATEGIES)
    assert output.values("ColdStart") == [1, 0, 0, 0]


@pytest.mark.parametrize("name", ["http-api-bad-range", "direct-bad-range"])
def test_an_invalid_request_is_logged_and_nothing_is_fetched(
    pokeapi: PokeAPI, handle: Handle, capsys: Capture, name: str
) -> None:
    try:
        handle(sample(name))
    except InvalidRequest:
        assert name.startswith("direct")
    output = Output(capsys.readouterr().out)
    (line,) = output.logs
    assert line["level"] == "WARNING"
    assert line["message"] == "invalid request"
    assert line["error"].startswith("range: got ")
    assert output.values("Refused") == [1]
    assert pokeapi.requests == 0


def replace_stdout(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Replace pytest's stdout with one that encodes to UTF-8; return the bytes written to it."""
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", stdout)
    return written


@pytest.mark.parametrize("name", ["\ud800", "range\n", "\u2028", "\x00"])
def test_no_field_name_breaks_the_log_line(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    written = replace_stdout(monkeypatch)
    app = load_app()
    with pytest.raises(InvalidRequest) as refusal:
        app.handler({name: name}, Context())
    assert str(refusal.value).isprintable()
    assert refusal.value.field == repr(name)[1:-1]
    (line,) = Output(written.getvalue().decode()).logs
    assert line["error"] == str(refusal.value)


def test_no_correlation_id_breaks_the_log_line(
    load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = replace_stdout(monkeypatch)
    event = sample("http-api-one")
    event["requestContext"]["requestId"] = "\ud800\n"
    load_app().handler(event, Context())
    (line,) = Output(written.getvalue().decode()).logs
    assert line["correlation_id"] == "\\ud800\n"


def test_powertools_variables_set_the_log_level_the_sample_rate_and_the_names(
    load_app: LoadApp, capsys: Capture
) -> None:
    quiet = load_app(
        POWERTOOLS_LOG_LEVEL="ERROR",
        POWERTOOLS_SERVICE_NAME="zoo",
        POWERTOOLS_METRICS_NAMESPACE="Zoo",
    )
    quiet.handler({"range": "1"}, Context())
    output = Output(capsys.readouterr().out)
    assert output.logs == []
    assert output.metrics[0]["service"] == "zoo"
    assert output.metrics[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Zoo"
    sampled = load_app(POWERTOOLS_LOGGER_SAMPLE_RATE="1")
    sampled.handler({"range": "1026"}, Context())
    output = Output(capsys.readouterr().out)
    debug_lines = [line for line in output.logs if line["message"] == "failures"]
    assert "number=1026, reason='not_found'" in debug_lines[0]["failures"][0]
