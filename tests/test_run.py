"""What `make run` prints, with everything in processes of their own."""

import json
from subprocess import CompletedProcess

import pytest

from tests.conftest import run_module


def run(*arguments: str, **environment: str) -> CompletedProcess[str]:
    return run_module("tests.tools.run", *arguments, **environment)


def blocks(done: CompletedProcess[str]) -> list[list[str]]:
    """Return the lines of the output, divided where there are empty ones."""
    return [block.splitlines() for block in done.stdout.split("\n\n")]


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"TERM": "dumb"}])
def test_the_output_is_ascii_where_the_terminal_has_no_other(environment: dict[str, str]) -> None:
    done = run("events/direct-one.json", **environment)
    assert done.stdout.isascii()
    assert done.stdout.endswith("    . waits   - first byte   # body   x failed\n")


def test_it_prints_the_names_a_summary_and_the_waterfall() -> None:
    done = run("events/direct.json")
    names, (summary, requests), waterfall = blocks(done)
    assert len(names) == 150
    assert names[0] == "bulbasaur"
    assert names[-1] == "mewtwo"
    assert summary.startswith("150 names of 1-150 by gather in ")
    assert requests.startswith("150 requests (retries 0, cached 0): p50 ")
    assert waterfall[0].startswith("gather: 150 requests in ")
    assert waterfall[-1] == "    · waits   ─ first byte   █ body   × failed"  # noqa: RUF001
    assert done.returncode == 0
    assert done.stderr == ""


def test_the_options_replace_the_events_own_range_and_strategy() -> None:
    done = run("events/direct.json", "--range", "151,1026", "--strategy", "sequential")
    lines = done.stdout.splitlines()
    assert lines[0] == "mew"
    assert lines[2].startswith("1 names of 151,1026 by sequential in ")
    assert lines[4] == "failed: 1026, not_found (Not Found)"


@pytest.mark.parametrize("weather", ["refuse=0.2", "outage=0.2"])
def test_weather_costs_no_name_and_prints_no_errors(weather: str) -> None:
    done = run("events/direct.json", "--delay", "0.05", "--weather", weather)
    assert "150 names of 1-150 by gather in " in done.stdout
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_batch_of_messages() -> None:
    failure = {"itemIdentifier": "2e1424d4-f796-459a-8184-9c92662be6da"}
    reply = json.dumps({"batchItemFailures": [failure]})
    assert run("events/sqs.json").stdout == f"{reply}\n"


@pytest.mark.parametrize("name", ["http-api", "rest-api", "alb", "alb-multi-value", "function-url"])
def test_an_http_event_with_a_query(name: str) -> None:
    done = run(f"events/{name}.json", "--range", "151", "--strategy", "index")
    assert done.stdout.startswith("HTTP 200 application/json\nmew\n\n1 names of 151 by ")


def test_an_http_event_with_a_number_in_its_path() -> None:
    done = run("events/http-api-one.json")
    assert done.stdout.startswith("HTTP 200 application/json\nmew\n\n1 names of 151 by ")


def test_a_race_is_a_line_for_each_strategy() -> None:
    lines = run("events/http-api-race.json", "--range", "1-3").stdout.splitlines()
    first_words = [line.split()[0] for line in lines[:5]]
    assert first_words == ["HTTP", "gather", "sequential", "sync", "index"]
    assert "index: 1 request in " in lines[-4]


def test_a_reply_in_text_is_printed_unchanged() -> None:
    lines = run("events/http-api-text.json", "--range", "1-2").stdout.splitlines()
    assert lines == ["HTTP 200 text/plain; charset=utf-8", "bulbasaur", "ivysaur"]


def test_an_invalid_request_is_a_line_and_an_exit_status() -> None:
    done = run("events/direct-bad-range.json")
    assert done.stdout.startswith("InvalidRequest: range: got '1-x', allowed: ")
    assert done.returncode == 1
    assert done.stderr == ""


def test_an_http_problem_is_a_line() -> None:
    lines = run("events/http-api-bad-range.json").stdout.splitlines()
    assert lines[1].startswith("range: got '150-1', allowed: ")


def test_of_many_failures_only_some_are_printed() -> None:
    done = run("events/direct.json", "--range", "1026-1040")
    assert blocks(done)[-2][-1] == "failed: 10 more"


def test_the_log_is_printed_on_demand() -> None:
    done = run("events/direct.json", "--range", "1026-1040", "--logs")
    assert blocks(done)[-2][-1] == "failed: 10 more"
    assert '"failures":{"not_found":15}' in done.stderr
    assert '"Namespace":"PokemonNames"' in done.stderr


def test_faults_come_on_demand() -> None:
    done = run("events/direct.json", "--range", "1-20", "--faults", "500=0.3", "--seed", "7")
    _, (summary, requests), (header, *_) = blocks(done)
    assert " retried" in header
    assert summary.startswith("20 names of 1-20 by gather in ")
    assert "(retries 0" not in requests
