"""What `make run` prints, with everything in processes of their own."""

import json
import os
import pty
import re
import subprocess
import sys
from subprocess import CompletedProcess

import pytest

from tests.conftest import ROOT, run_module

LEGEND = "    · queued   ─ waiting for the response   █ downloading   × failed"  # noqa: RUF001


def run(*arguments: str, **environment: str) -> CompletedProcess[str]:
    return run_module("tests.tools.run", *arguments, **environment)


def blocks(done: CompletedProcess[str]) -> list[list[str]]:
    """Return the lines of the output, divided where there are empty ones."""
    return [block.splitlines() for block in done.stdout.split("\n\n")]


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"TERM": "dumb"}])
def test_the_output_is_ascii_where_the_terminal_has_no_other(environment: dict[str, str]) -> None:
    done = run("events/direct-one.json", **environment)
    assert done.stdout.isascii()
    assert "    . queued   - waiting for the response   # downloading   x failed\n" in done.stdout


def test_what_a_terminal_has_no_letters_for_is_a_question_mark() -> None:
    options = ["--range", "99999", "--strategy", "index"]
    done = run("events/direct.json", *options, PYTHONIOENCODING="ascii")
    assert "failed: 99999, not_found (not in the list of all Pok?mon)\n" in done.stdout
    assert done.stderr == ""


def test_it_prints_the_names_the_waterfall_and_how_long_it_took() -> None:
    done = run("events/direct.json")
    names, waterfall, (requests, conclusion) = blocks(done)
    assert len(names) == 150
    assert names[0] == "bulbasaur"
    assert names[-1] == "mewtwo"
    assert waterfall[0].startswith("gather: all at once, ")
    assert waterfall[-1] == LEGEND
    assert requests.startswith("150 requests (0 retried, 0 cached): p50 ")
    estimate = r"one by one an estimated [0-9.]+ m?s \([0-9.]+x\), by the fastest request"
    assert re.fullmatch(f"150 names in [0-9.]+ m?s; {estimate}", conclusion)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("strategy", "conclusion"),
    [
        ("sequential", "3 names in [0-9.]+ m?s, one after another"),
        ("sync", "3 names in [0-9.]+ m?s, one after another"),
        ("index", "3 names in [0-9.]+ m?s"),
    ],
)
def test_what_was_measured_is_not_estimated(strategy: str, conclusion: str) -> None:
    done = run("events/direct.json", "--range", "1-3", "--strategy", strategy)
    assert re.fullmatch(conclusion, done.stdout.splitlines()[-1])


def test_of_one_request_there_is_nothing_to_estimate() -> None:
    lines = run("events/direct-one.json").stdout.splitlines()
    assert lines[-2].startswith("1 request (0 retried, 0 cached): p50 ")
    assert re.fullmatch("1 name in [0-9.]+ m?s", lines[-1])


def test_names_from_the_list_of_all_are_counted() -> None:
    lines = run("events/direct.json", "--range", "1-3", "--strategy", "index").stdout.splitlines()
    assert lines[-2].startswith("1 request (0 retried, 0 cached, 3 from the list of all): p50 ")


def test_of_names_from_the_list_of_all_there_is_nothing_to_estimate() -> None:
    lines = run("events/direct.json", "--range", "1-3", "--weather", "hopeless=1").stdout
    assert re.fullmatch("3 names in [0-9.]+ m?s", lines.splitlines()[-1])


def test_on_a_terminal_the_names_are_in_columns() -> None:
    terminal, other_end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.run", "events/direct.json", "--range", "1-7"],
        cwd=ROOT,
        env={"PYTHONPATH": "src", "COLUMNS": "40"},
        stdout=other_end,
        check=False,
    )
    os.close(other_end)
    with open(terminal, encoding="utf-8", newline="") as shown:  # noqa: PTH123  a descriptor
        lines = [shown.readline().rstrip() for _ in range(4)]
    assert done.returncode == 0
    assert lines == [
        "bulbasaur   charmander  squirtle",
        "ivysaur     charmeleon",
        "venusaur    charizard",
        "",
    ]


@pytest.mark.parametrize(
    ("event", "options"), [("direct", ["--range", "1026"]), ("http-api-unknown-number", [])]
)
def test_no_names_at_all_is_an_exit_status(event: str, options: list[str]) -> None:
    done = run(f"events/{event}.json", *options)
    assert done.stdout.splitlines()[-1].startswith("0 of 1 name in ")
    assert done.returncode == 1


def test_where_pokeapi_cannot_be_reached_there_is_the_reason_and_a_hint(url: str) -> None:
    done = run("events/direct-one.json", "--live", POKEAPI_URL=url.replace("http", "https"))
    reason, advice = done.stdout.splitlines()[-2:]
    assert reason.startswith("PokeAPI cannot be reached from here: ")
    assert "the server does not speak TLS" in reason
    assert advice == "Without LIVE=1, the local PokeAPI answers."
    assert done.returncode == 1


def test_the_options_replace_the_events_own_range_and_strategy() -> None:
    done = run("events/direct.json", "--range", "151,1026", "--strategy", "sequential")
    lines = done.stdout.splitlines()
    assert lines[0] == "mew"
    assert lines[-2] == "failed: 1026, not_found (not in the list of all Pokémon)"
    assert lines[-1].startswith("1 of 2 names in ")


@pytest.mark.parametrize("weather", ["refuse=0.2", "outage=0.2"])
def test_weather_costs_no_name_and_prints_no_errors(weather: str) -> None:
    done = run("events/direct.json", "--delay", "0.05", "--weather", weather)
    assert "\n150 names in " in done.stdout
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_batch_of_messages() -> None:
    failure = {"itemIdentifier": "2e1424d4-f796-459a-8184-9c92662be6da"}
    reply = json.dumps({"batchItemFailures": [failure]})
    assert run("events/sqs.json").stdout == f"{reply}\n"


@pytest.mark.parametrize("name", ["http-api", "rest-api", "alb", "alb-multi-value", "function-url"])
def test_an_http_event_with_a_query(name: str) -> None:
    done = run(f"events/{name}.json", "--range", "151", "--strategy", "index")
    assert done.stdout.startswith("HTTP 200 application/json\nmew\n\nindex: one request for all, ")


def test_an_http_event_with_a_number_in_its_path() -> None:
    done = run("events/http-api-one.json")
    assert done.stdout.startswith("HTTP 200 application/json\nmew\n\ngather: all at once, ")


def test_a_race_is_its_result_a_line_for_each_strategy_and_the_waterfall() -> None:
    done = run("events/http-api-race.json", "--range", "1-3")
    (status, result), strategies, waterfall = blocks(done)
    assert status == "HTTP 200 application/json"
    assert " 3 names in " in result
    assert [line.split()[0] for line in strategies] == ["gather", "sequential", "sync", "index"]
    assert waterfall[-1] == LEGEND


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
    assert done.stdout.splitlines()[-2] == "failed: 10 more"


def test_the_log_is_printed_on_demand() -> None:
    done = run("events/direct.json", "--range", "1026-1040", "--logs")
    assert done.stdout.splitlines()[-2] == "failed: 10 more"
    assert '"failures":{"not_found":15}' in done.stderr
    assert '"Namespace":"PokemonNames"' in done.stderr


def test_faults_come_on_demand() -> None:
    done = run("events/direct.json", "--range", "1-20", "--faults", "500=0.3", "--seed", "7")
    *_, (requests, conclusion) = blocks(done)
    assert re.search(r"\([1-9][0-9]* retried, 0 cached\)", requests)
    assert conclusion.startswith("20 names in ")
