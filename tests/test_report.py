import pytest

from pokemon_names.outcome import Exchange, Failed, Fetched, Found
from pokemon_names.report import Report, percentile, race
from pokemon_names.request import STRATEGIES, Request

MISSING = Failed(1026, "not_found", 404, attempts=1, detail="Not Found")


def report(*outcomes: Found | Failed, strategy: str = "gather", total_ms: float = 100.0, trace: bool = False) -> Report:
    ok, ends = True, [10.04 * (i + 1) for i in range(len(outcomes))]
    exchanges = [Exchange(1, i + 1, ok, 0.0, 0.0, None, end, 1000) for i, end in enumerate(ends)]
    fetched = Fetched(outcomes, exchanges, total_ms, cached=3, stale=2)
    return Report(Request(range="1,1026", strategy=strategy, trace=trace), fetched)


def test_the_report_as_every_caller_gets_it() -> None:
    assert report(Found(1, "bulbasaur"), MISSING).as_dict() == {
        "range": "1,1026",
        "strategy": "gather",
        "complete": False,
        "count": 1,
        "names": ["bulbasaur"],
        "failures": [{"number": 1026, "reason": "not_found", "status": 404, "attempts": 1, "detail": "Not Found"}],
        "timing": {
            "total_ms": 100.0,
            "p50_ms": 10.0,
            "p95_ms": 20.1,
            "max_ms": 20.1,
            "requests": 2,
            "retries": 1,
            "cached": 3,
            "stale": 2,
            "bytes": 2000,
        },
    }


def test_the_trace_is_every_request_in_tenths_of_milliseconds() -> None:
    told = report(Found(1, "bulbasaur"), trace=True).as_dict()["trace"]
    assert told == [
        {
            "number": 1,
            "attempt": 1,
            "ok": True,
            "ready_ms": 0.0,
            "start_ms": 0.0,
            "first_byte_ms": None,
            "end_ms": 10.0,
            "bytes": 1000,
        }
    ]


def test_a_report_is_complete_when_every_number_has_its_name() -> None:
    assert report(Found(1, "bulbasaur")).as_dict()["complete"] is True


def test_the_summary_counts_failures_by_reason_and_leaves_out_the_names() -> None:
    summary = report(Found(1, "bulbasaur"), MISSING, MISSING).summary()
    assert summary["failures"] == {"not_found": 2}
    assert "names" not in summary


def test_without_requests_there_are_no_percentiles() -> None:
    timing = report().as_dict()["timing"]
    assert (timing["requests"], timing["p50_ms"], timing["max_ms"]) == (0, None, None)


@pytest.mark.parametrize(
    ("count", "percent", "rank"), [(1, 50, 1), (2, 50, 1), (150, 50, 75), (150, 95, 143), (150, 100, 150), (20, 95, 19)]
)
def test_a_percentile_is_the_nearest_rank(count: int, percent: int, rank: int) -> None:
    assert percentile([float(n) for n in range(1, count + 1)], percent) == rank


def test_a_race_tells_how_many_times_faster_than_sync_each_was() -> None:
    total_ms = {"gather": 100.0, "sequential": 800.0, "sync": 1000.0, "index": 50.0}
    told = race([report(strategy=strategy, total_ms=total_ms[strategy]) for strategy in STRATEGIES])
    assert told["range"] == "1,1026"
    speedups = {entry["strategy"]: entry["speedup"] for entry in told["race"]}
    assert speedups == {"gather": 10.0, "sequential": 1.25, "sync": 1.0, "index": 20.0}


def test_without_sync_a_race_tells_no_speed_ups() -> None:
    told = race([report(strategy="gather"), report(strategy="index")])
    assert [entry["speedup"] for entry in told["race"]] == [None, None]
