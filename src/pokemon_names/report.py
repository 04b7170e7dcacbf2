"""The result of a request: the names, the failures, and how long everything took."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from pokemon_names.model import COUNTS, Attempt, Failure, Fetched, Found, Request


class Report:
    """The report of one request. Times are in milliseconds, sizes in bytes.

    `names` and `failures` are in the order requested. `retryable` lists the failures that a later
    fetch may fix. `cut_off` says whether time ran out before every number had a result.
    `request_ms` is how long each HTTP request took. The percentiles in `timing` are None if no HTTP
    request was sent. `summary` is the report without the names, and with the number of failures for
    each reason instead of the failures.
    """

    def __init__(self, request: Request, fetched: Fetched) -> None:
        self.request = request
        self.fetched = fetched
        self.names = [result.name for result in fetched.results if isinstance(result, Found)]
        self.failures = [result for result in fetched.results if isinstance(result, Failure)]
        self.retryable = [failure for failure in self.failures if failure.retryable]
        self.cut_off = any(failure.reason == "deadline" for failure in self.failures)
        self.request_ms = [attempt.end_ms - attempt.start_ms for attempt in fetched.attempts]
        self.timing = _timing(fetched, sorted(self.request_ms))
        self._outline = {
            "range": request.range,
            "strategy": request.strategy,
            "complete": not self.failures,
            "count": len(self.names),
        }
        self.summary = {
            **self._outline,
            "failures": Counter(failure.reason for failure in self.failures),
            "timing": self.timing,
        }

    @property
    def ms_per_name(self) -> float:
        """How long each name took on average. There must be at least one name."""
        return self.fetched.total_ms / len(self.names)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as callers receive it, with the HTTP requests if `trace` is set."""
        report = {
            **self._outline,
            "names": self.names,
            "failures": [msgspec.structs.asdict(failure) for failure in self.failures],
            "timing": self.timing,
        }
        if self.request.trace:
            report["trace"] = [_rounded(attempt) for attempt in self.fetched.attempts]
        return report


class Outcome(msgspec.Struct, frozen=True):
    """The report of a job, and its error if the report is missing, incomplete or not stored.

    `key` is where the report or the refusal is stored, None if nothing is stored.
    """

    report: Report | None = None
    error: Exception | None = None
    key: str | None = None


class Standing(msgspec.Struct, frozen=True):
    """How one strategy did in a race.

    `speedup` is `sync`'s time per name divided by this strategy's. It is None if `sync` did not
    race, or if either strategy got no names. It is a lower bound if only `sync` ran out of time.
    """

    report: Report
    speedup: float | None = None
    is_lower_bound: bool = False


def standings(reports: Sequence[Report]) -> list[Standing]:
    """Return how each strategy did, in the order of the reports."""
    for baseline in reports:
        if baseline.request.strategy == "sync":
            return [compare(report, baseline) for report in reports]
    return [Standing(report) for report in reports]


def compare(report: Report, baseline: Report) -> Standing:
    """Compare a report with the baseline, which is a report of the same range."""
    if not report.names or not baseline.names:
        return Standing(report)
    speedup = baseline.ms_per_name / report.ms_per_name
    return Standing(report, speedup, is_lower_bound=baseline.cut_off and not report.cut_off)


def race_report(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the report of a race: the report of each strategy, with its speed-up."""
    entries = []
    for standing in standings(reports):
        report = standing.report
        speedup = standing.speedup
        if speedup is not None:
            speedup = round(speedup, 2)
        entry = {"speedup": speedup, "cut_off": report.cut_off, **report.as_dict()}
        entries.append(entry)
    return {"range": reports[0].request.range, "race": entries}


def _timing(fetched: Fetched, ascending_ms: Sequence[float]) -> dict[str, Any]:
    return {
        "total_ms": round(fetched.total_ms, 1),
        "p50_ms": percentile(ascending_ms, 50),
        "p95_ms": percentile(ascending_ms, 95),
        "max_ms": percentile(ascending_ms, 100),
        "requests": len(fetched.attempts),
        "retries": sum(attempt.ordinal > 1 for attempt in fetched.attempts),
        **{name: getattr(fetched, name) for name in COUNTS},
        "bytes": sum(attempt.bytes for attempt in fetched.attempts),
    }


def percentile(ascending: Sequence[float], percent: int) -> float | None:
    """Return the nearest-rank percentile, rounded, or None if there are no values."""
    if not ascending:
        return None
    return round(nearest_rank(ascending, percent), 1)


def nearest_rank(ascending: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile of at least one value. It is always one of the values."""
    rank = math.ceil(len(ascending) * percent / 100)
    return ascending[rank - 1]


def _rounded(attempt: Attempt) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(attempt)
    for name, value in fields.items():
        if isinstance(value, float):
            fields[name] = round(value, 1)
    return fields
