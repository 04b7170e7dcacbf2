"""What `make run` prints."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.conftest import ROOT, run_module, sample
from tests.tools import run
from tests.tools.conftest import Call
from tests.tools.pokeapi import PokeAPI

LEGEND = "    · queued   ─ waiting for the response   █ downloading   × failed"  # noqa: RUF001
ASCII_LEGEND = ". queued   - waiting for the response   # downloading   x failed"

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PROXIES = [*_PROXIES, *map(str.lower, _PROXIES)]
NOWHERE = "http://127.0.0.1:1"


def shown_by(done: CompletedProcess[str]) -> list[str]:
    """Return the lines that only people read."""
    return done.stderr.splitlines()


def test_in_its_own_process_the_local_pokeapi_is_not_behind_a_proxy() -> None:
    done = run_module(
        "tests.tools.run", "events/direct-one.json", **dict.fromkeys(PROXIES, NOWHERE)
    )
    *_, requests, times, conclusion = shown_by(done)
    assert requests == "1 request (0 retried, 0 cached)"
    assert times.startswith("p50 ")
    assert re.fullmatch("1 name in [0-9.]+ m?s", conclusion)  # there is nothing to estimate
    assert done.stdout == "mew\n"
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_the_live_pokeapi_is_asked_through_the_proxy(
    call: Call, url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in PROXIES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("POKEAPI_URL", "http://pokeapi.invalid/api/v2")
    monkeypatch.setenv(name, url.removesuffix("/api/v2"))
    assert call(run.main, "events/direct-one.json", "--live").stdout.startswith("mew\n")


def test_characters_that_a_terminal_lacks_are_ascii_or_question_marks() -> None:
    done = run_module(
        "tests.tools.run", "events/direct.json", "--range", "1,99999", PYTHONIOENCODING="ascii"
    )
    assert done.stderr.isascii()
    assert ASCII_LEGEND in done.stderr
    assert "failed: 99999, not_found (not in the list of all Pok?mon)\n" in done.stderr


def test_on_a_dumb_terminal_the_waterfall_is_ascii(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    done = call(run.main, "events/direct-one.json")
    assert done.stderr.isascii()
    assert ASCII_LEGEND in done.stderr


def test_it_prints_the_names_and_shows_the_waterfall_and_how_long_it_took(call: Call) -> None:
    done = call(run.main, "events/direct.json")
    names = done.stdout.splitlines()
    assert len(names) == 150
    assert names[0] == "bulbasaur"
    assert names[-1] == "mewtwo"
    empty, title, *_, legend, _, requests, times, conclusion = shown_by(done)
    assert empty == ""
    assert title.startswith("gather: all at once, ")
    assert legend == LEGEND
    assert requests == "150 requests (0 retried, 0 cached)"
    assert re.fullmatch(r"p50 .* ms, p95 .* ms, max .* ms; [0-9.]+ MB of JSON", times)
    estimate = r"one by one about [0-9.]+ m?s \([0-9.]+x\), at [0-9.]+ ms a request"
    assert re.fullmatch(f"150 names in [0-9.]+ m?s; {estimate}", conclusion)
    assert done.returncode == 0


def test_the_estimate_comes_from_requests_that_are_alone(
    call: Call, url: str, pokeapi: PokeAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They bypass the cache, and the median of a few tells how long one takes."""
    lone: list[float] = []

    def median_of(request_ms: list[float]) -> float:
        lone.extend(request_ms)
        return 100.0

    monkeypatch.setattr(run, "median", median_of)
    monkeypatch.setenv("POKEAPI_URL", url)
    done = call(run.main, "events/direct.json", "--range", "1-20", "--live")
    assert shown_by(done)[-1].endswith(", at 100 ms a request")
    assert "; one by one about 2.0 s (" in shown_by(done)[-1]
    assert len(lone) == 3
    assert pokeapi.requests == 20 + 3


@pytest.mark.parametrize("columns", [32, 40, 60, 80])
def test_everything_fits_the_terminal(
    call: Call, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for event, numbers in (("direct", "1-151,99999"), ("http-api-race", "1-3")):
        done = call(run.main, f"events/{event}.json", "--range", numbers)
        assert max(map(len, shown_by(done))) <= columns


def test_on_a_wide_terminal_a_line_is_at_most_80_characters(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, shown_by(call(run.main, "events/direct.json")))) <= 80


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
def test_what_was_measured_is_not_estimated(call: Call, strategy: str) -> None:
    done = call(run.main, "events/direct.json", "--range", "1-3", "--strategy", strategy)
    conclusion = "3 names in [0-9.]+ m?s, one after another"
    assert re.fullmatch(conclusion, shown_by(done)[-1])


@pytest.mark.parametrize("options", [["--strategy", "index"], ["--weather", "hopeless=1"]])
def test_names_from_the_list_of_all_are_counted_and_nothing_is_estimated(
    call: Call, options: list[str]
) -> None:
    done = call(run.main, "events/direct.json", "--range", "1-3", *options)
    *_, requests, _, conclusion = shown_by(done)
    assert requests.endswith(" retried, 0 cached, 3 from the list of all Pokémon)")
    assert re.fullmatch("3 names in [0-9.]+ m?s", conclusion)


def test_on_a_terminal_the_names_are_in_columns() -> None:
    terminal, other_end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.run", "events/direct.json", "--range", "1-7"],
        cwd=ROOT,
        env={"COLUMNS": "40"},
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
def test_without_any_names_the_exit_status_is_1(call: Call, event: str, options: list[str]) -> None:
    done = call(run.main, f"events/{event}.json", *options)
    assert done.stdout == ""
    assert shown_by(done)[-1].startswith("0 of 1 name in ")
    assert done.returncode == 1


def test_if_pokeapi_cannot_be_reached_it_prints_the_reason_and_a_hint(
    call: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POKEAPI_URL", url.replace("http", "https"))
    done = call(run.main, "events/direct-one.json", "--live")
    reason, advice = shown_by(done)[-2:]
    assert reason.startswith("PokeAPI cannot be reached from here: ")
    assert "the server does not speak TLS" in reason
    assert advice == "Leave out LIVE=1 to use the local PokeAPI."
    assert done.returncode == 1


def test_the_options_replace_the_events_own_range_and_strategy(call: Call) -> None:
    done = call(run.main, "events/direct.json", "--range", "151,1026", "--strategy", "sequential")
    assert done.stdout == "mew\n"
    *_, failure, conclusion = shown_by(done)
    assert failure == "failed: 1026, not_found (not in the list of all Pokémon)"
    assert conclusion.startswith("1 of 2 names in ")


def test_weather_and_faults_on_demand(call: Call) -> None:
    options = ["--range", "1-20", "--weather", "busy=5", "--faults", "500=0.3", "--seed", "7"]
    done = call(run.main, "events/direct.json", *options)
    *_, requests, _, conclusion = shown_by(done)
    retried = re.search(r"\(([0-9]+) retried, 0 cached", requests)
    assert retried
    assert int(retried[1]) > 5
    assert re.fullmatch("20 names in [0-9.]+ m?s", conclusion)
    assert done.returncode == 0


def test_a_batch_of_messages(call: Call) -> None:
    failure = {"itemIdentifier": "2e1424d4-f796-459a-8184-9c92662be6da"}
    reply = json.dumps({"batchItemFailures": [failure]})
    assert call(run.main, "events/sqs.json").stdout == f"{reply}\n"


@pytest.mark.parametrize("name", ["http-api", "rest-api", "alb", "alb-multi-value", "function-url"])
def test_an_http_event_with_a_query(call: Call, name: str) -> None:
    done = call(run.main, f"events/{name}.json", "--range", "151", "--strategy", "index")
    assert done.stdout == "mew\n"
    status, empty, title, *_ = shown_by(done)
    assert (status, empty) == ("HTTP 200 application/json", "")
    assert title.startswith("index: one request for all, ")


def test_an_http_event_without_a_query_gets_one(call: Call, tmp_path: Path) -> None:
    """The test events in AWS's console contain null if there is no query."""
    event = sample("rest-api")
    event |= {"queryStringParameters": None, "multiValueQueryStringParameters": None}
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event), encoding="utf-8")
    done = call(run.main, str(file), "--range", "151")
    assert done.stdout == "mew\n"


def test_an_http_event_with_a_number_in_its_path(call: Call) -> None:
    done = call(run.main, "events/http-api-one.json")
    assert done.stdout == "mew\n"
    assert shown_by(done)[2].startswith("gather: all at once, ")


def test_a_race_is_its_result_a_line_for_each_strategy_and_the_waterfall(call: Call) -> None:
    done = call(run.main, "events/http-api-race.json", "--range", "1-3")
    status, result, *_, legend = shown_by(done)
    assert status == "HTTP 200 application/json"
    assert " 3 names in " in result
    strategies = [line.split()[0] for line in done.stdout.splitlines()]
    assert strategies == ["gather", "sequential", "sync", "index"]
    assert legend == LEGEND


def test_a_reply_in_text_is_printed_unchanged(call: Call) -> None:
    done = call(run.main, "events/http-api-text.json", "--range", "1-2")
    assert done.stdout == "bulbasaur\nivysaur\n"
    assert done.stderr == "HTTP 200 text/plain; charset=utf-8\n"


@pytest.mark.parametrize("given", ["1-x", "1'3", "-1"])
def test_an_invalid_request_is_one_line_and_an_exit_status(call: Call, given: str) -> None:
    done = call(run.main, "events/direct-one.json", f"--range={given}")
    (line,) = shown_by(done)
    assert line.startswith(f"InvalidRequest: range: got {given!r}, allowed: ")
    assert done.returncode == 1
    assert done.stdout == ""


def test_an_http_problem_is_one_line(call: Call) -> None:
    lines = shown_by(call(run.main, "events/http-api-bad-range.json"))
    assert lines[1].startswith("range: got '150-1', allowed: ")


def test_of_many_failures_only_some_are_printed_and_the_log_on_demand() -> None:
    done = run_module("tests.tools.run", "events/direct.json", "--range", "1026-1040", "--logs")
    assert shown_by(done)[-2] == "failed: 10 more"
    assert '"failures":{"not_found":15}' in done.stderr
    assert '"Namespace":"PokemonNames"' in done.stderr
