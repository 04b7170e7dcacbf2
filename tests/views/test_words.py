"""The wording of durations, counts and the result of a race."""

import pytest

from pokemon_names.model import Attempt, Failure, Fetched, Found, Reason
from pokemon_names.report import Report, standings
from pokemon_names.views import words
from pokemon_names.views.waterfall import lanes_of
from tests.conftest import make_request


def report(
    strategy: str, total_ms: float, names: int = 150, of: int = 150, reason: Reason = "deadline"
) -> Report:
    """Return a report with that many names, and failures for the other numbers."""
    found = [Found(number, "mew") for number in range(1, names + 1)]
    failures = [Failure(number, reason, None, 1, "") for number in range(names + 1, of + 1)]
    request = make_request(range=f"1-{of}", strategy=strategy)
    return Report(request, Fetched([*found, *failures], [], total_ms))


@pytest.mark.parametrize(
    ("milliseconds", "span_ms", "expected"),
    [
        (0.6, 999, "0.60 ms"),
        (9.5, 999, "9.5 ms"),
        (9.95, 999, "10 ms"),
        (9.96, 999, "10 ms"),
        (999.7, 999.7, "1.0 s"),
        (246.4, 999, "246 ms"),
        (246.4, 1000, "0.25 s"),
        (38, 8000, "0.038 s"),
        (7849, 8000, "7.8 s"),
        (15_400, 16_000, "15 s"),
        (1_234_000, 1_234_000, "1,234 s"),
    ],
)
def test_a_duration_is_in_the_unit_of_its_span(
    milliseconds: float, span_ms: float, expected: str
) -> None:
    assert words.format_duration(milliseconds, span_ms) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 names"), (1, "1 name"), (1351, "1,351 names")]
)
def test_plurals(count: int, expected: str) -> None:
    assert words.plural(count, "name") == expected


FAST = report("gather", 240)
SYNC = report("sync", 7800)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        (
            [FAST, report("sequential", 7700), SYNC, report("index", 50)],
            "32 times faster: 150 names in 0.24 s at once, 7.8 s one after another",
        ),
        (
            [FAST, report("sequential", 1200)],
            "5.0 times faster: 150 names in 0.24 s at once, 1.2 s one after another",
        ),
        (
            [report("gather", 445), report("sync", 8860, names=86)],
            (
                "At least 35 times faster: "
                "150 names in 0.45 s at once, 86 of 150 names in 8.9 s one after another"
            ),
        ),
        (
            [report("gather", 2000, names=86), report("sync", 8860, names=86)],
            (
                "4.4 times faster: "
                "86 of 150 names in 2.0 s at once, 86 of 150 names in 8.9 s one after another"
            ),
        ),
        (
            [report("gather", 240, 3, 4, "not_found"), report("sync", 790, 3, 4, "not_found")],
            "3.3 times faster: 3 of 4 names in 240 ms at once, 790 ms one after another",
        ),
        (
            [FAST, report("sync", 7800, names=149, reason="bad_status")],
            (
                "33 times faster: "
                "150 names in 0.24 s at once, 149 of 150 names in 7.8 s one after another"
            ),
        ),
        (
            [FAST, report("sequential", 2400), report("sync", 9000, names=0)],
            "10 times faster: 150 names in 0.24 s at once, 2.4 s one after another",
        ),
        (
            [report("gather", 100), report("sync", 110)],
            "1.1 times faster: 150 names in 100 ms at once, 110 ms one after another",
        ),
        (
            [report("gather", 12.4, 1, 1), report("sync", 12.9, 1, 1)],
            "No faster: 1 name in 12 ms at once, 13 ms one after another",
        ),
        (
            [FAST, report("index", 51, 149, reason="not_found")],
            "149 of 150 names in 51 ms with index: 150 names in 240 ms with gather",
        ),
        (
            [report("sequential", 7900), SYNC, report("index", 51)],
            (
                "150 names in 0.051 s with index: "
                "150 names in 7.8 s with sync, 150 names in 7.9 s with sequential"
            ),
        ),
        ([SYNC], "150 names in 7.8 s with sync"),
        ([report("gather", 20, names=0), SYNC], "150 names in 7.8 s with sync"),
        ([report("gather", 20, names=0)], "No names"),
    ],
)
def test_the_headline_is_the_result(reports: list[Report], expected: str) -> None:
    assert words.one_line(*words.headline(reports)) == expected


def test_each_strategy_has_a_line() -> None:
    reports = [
        report("gather", 445),
        report("sequential", 8800, names=85),
        report("sync", 8860, names=86),
        report("index", 6600, names=0, reason="timeout"),
    ]
    assert list(words.race_lines(reports)) == [
        "gather       0.45 s   at least 35x  150 names",
        "sequential    8.8 s           1.0x  85 of 150 names, then time ran out",
        "sync          8.9 s           1.0x  86 of 150 names, then time ran out",
        "index         6.6 s                 0 of 150 names",
    ]


def test_without_sync_no_line_has_a_speed_up() -> None:
    assert list(words.race_lines([FAST])) == ["gather       240 ms                 150 names"]


@pytest.mark.parametrize(
    ("rival", "note"),
    [
        (FAST, "150 names, 32 times as fast as sync"),
        (report("gather", 7801), "150 names, as fast as sync"),
        (
            report("gather", 7800, names=149, reason="bad_status"),
            "149 of 150 names, 0.99 times as fast as sync",
        ),
        (report("gather", 7800, names=75), "cut off after 75 of 150 names"),
        (report("gather", 7800, names=0, reason="timeout"), "0 of 150 names"),
    ],
)
def test_a_lane_says_what_its_strategy_does_and_how_it_did(rival: Report, note: str) -> None:
    gather, sync = lanes_of(standings([rival, SYNC]))
    assert gather.title == "gather: all at once"
    assert gather.note == note
    assert gather.code == "await gather(*map(get, numbers))"
    assert sync.note == "150 names"


def test_a_lane_says_how_many_requests_were_retried() -> None:
    attempts = [Attempt(1, number, number == 3, 0.0, 0.0, None, 1.0, 0) for number in (1, 2, 3)]
    fetched = Fetched([Found(1, "mew")], attempts, 10.0)
    request = make_request(range="1", strategy="gather")
    (lane,) = lanes_of(standings([Report(request, fetched)]))
    assert lane.note == "1 name, 2 retried"


def test_a_speed_up_over_a_strategy_that_was_cut_off_is_a_lower_bound() -> None:
    gather, sync = lanes_of(standings([FAST, report("sync", 7800, names=75)]))
    assert gather.note == "150 names, at least 65 times as fast as sync"
    assert sync.note == "cut off after 75 of 150 names"


def test_an_unknown_speed_up_is_an_empty_string() -> None:
    (standing,) = standings([FAST])
    assert words.format_speedup(standing) == ""
