"""What a report says about the results."""

import pytest

from pokemon_names.model import STRATEGIES, Attempt, Failure, Fetched, Found
from pokemon_names.report import Report, percentile, race_report, standings
from tests.conftest import make_request

BULBASAUR = Found(1, "bulbasaur")
NOT_FOUND = Failure(1026, "not_found", 404, attempts=1, detail="Not Found")
LATE = Failure(2, "deadline", None, attempts=0, detail="ran out of time")


def make_attempt(ordinal: int) -> Attempt:
    return Attempt(
        number=1,
        ordinal=ordinal,
        ok=True,
        ready_ms=0.0,
        start_ms=0.0,
        first_byte_ms=None,
        end_ms=10.06 * ordinal,
        bytes=1000,
    )


def report(
    *results: Found | Failure,
    strategy: str = "gather",
    total_ms: float = 100.0,
    trace: bool = False,
) -> Report:
    """Return a report of these results, with one attempt for each."""
    request = make_request(range="1,1026", strategy=strategy, trace=trace)
    attempts = [make_attempt(ordinal) for ordinal in range(1, len(results) + 1)]
    fetched = Fetched(results, attempts, total_ms, cached=3, stale=2, listed=1)
    return Report(request, fetched)


def test_every_caller_gets_the_same_report() -> None:
    assert report(BULBASAUR, NOT_FOUND).as_dict() == {
        "range": "1,1026",
        "strategy": "gather",
        "complete": False,
        "count": 1,
        "names": ["bulbasaur"],
        "failures": [
            {
                "number": 1026,
                "reason": "not_found",
                "status": 404,
                "attempts": 1,
                "detail": "Not Found",
            }
        ],
        "timing": {
            "total_ms": 100.0,
            "p50_ms": 10.1,
            "p95_ms": 20.1,
            "max_ms": 20.1,
            "requests": 2,
            "retries": 1,
            "cached": 3,
            "stale": 2,
            "listed": 1,
            "bytes": 2000,
        },
    }


def test_the_trace_has_the_times_of_every_request_in_tenths_of_a_millisecond() -> None:
    (attempt,) = report(BULBASAUR, trace=True).as_dict()["trace"]
    assert attempt == {
        "number": 1,
        "attempt": 1,
        "ok": True,
        "ready_ms": 0.0,
        "start_ms": 0.0,
        "first_byte_ms": None,
        "end_ms": 10.1,
        "bytes": 1000,
    }


def test_a_report_is_complete_when_every_number_has_its_name() -> None:
    assert report(BULBASAUR).as_dict()["complete"] is True


def test_the_summary_counts_failures_by_reason_and_leaves_out_the_names() -> None:
    one = report(BULBASAUR, NOT_FOUND, NOT_FOUND)
    assert one.summary == {
        "range": "1,1026",
        "strategy": "gather",
        "complete": False,
        "count": 1,
        "failures": {"not_found": 2},
        "timing": one.timing,
    }


def test_without_requests_there_are_no_percentiles() -> None:
    timing = report().as_dict()["timing"]
    assert timing["requests"] == 0
    assert timing["p50_ms"] is None
    assert timing["max_ms"] is None


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [(1, 50, 1), (2, 50, 1), (150, 50, 75), (150, 95, 143), (150, 100, 150), (20, 95, 19)],
)
def test_a_percentile_is_the_nearest_rank(count: int, percent: int, rank: int) -> None:
    ascending = [float(value) for value in range(1, count + 1)]
    assert percentile(ascending, percent) == rank


def test_a_race_says_how_many_times_faster_than_sync_each_strategy_was() -> None:
    total_ms = {"gather": 100.0, "sequential": 800.0, "sync": 1000.0, "index": 50.0}
    race = race_report(
        [report(BULBASAUR, strategy=name, total_ms=total_ms[name]) for name in STRATEGIES]
    )
    speedups = {entry["strategy"]: entry["speedup"] for entry in race["race"]}
    assert race["range"] == "1,1026"
    assert speedups == {"gather": 10.0, "sequential": 1.25, "sync": 1.0, "index": 20.0}


def test_a_race_without_sync_has_no_speed_ups() -> None:
    race = race_report([report(BULBASAUR), report(BULBASAUR, strategy="index")])
    assert [entry["speedup"] for entry in race["race"]] == [None, None]


def test_a_speed_up_compares_the_time_per_name() -> None:
    gather = report(*[BULBASAUR] * 150, total_ms=445.0)
    sync = report(*[BULBASAUR] * 86, *[LATE] * 64, strategy="sync", total_ms=8850.0)
    entries = race_report([gather, sync])["race"]
    assert [entry["speedup"] for entry in entries] == [34.69, 1.0]
    assert [entry["cut_off"] for entry in entries] == [False, True]
    assert [standing.is_lower_bound for standing in standings([gather, sync])] == [True, False]


def test_a_speed_up_is_no_lower_bound_if_both_are_cut_off() -> None:
    sequential = report(BULBASAUR, LATE, strategy="sequential")
    sync = report(BULBASAUR, LATE, strategy="sync")
    assert [standing.is_lower_bound for standing in standings([sequential, sync])] == [False, False]


@pytest.mark.parametrize(
    ("gather", "sync", "speedups"),
    [([LATE], [BULBASAUR], [None, 1.0]), ([BULBASAUR], [LATE], [None, None])],
)
def test_a_strategy_that_got_nothing_has_no_speed_up(
    gather: list[Found | Failure], sync: list[Found | Failure], speedups: list[float | None]
) -> None:
    race = race_report([report(*gather), report(*sync, strategy="sync")])
    assert [entry["speedup"] for entry in race["race"]] == speedups
