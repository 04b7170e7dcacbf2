"""What came of a request: the names, the failures and how long it all took."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pokemon_names.fetch import Failed, Fetched, Found
from pokemon_names.request import Request


@dataclass(frozen=True, slots=True)
class Report:
    """The account of one request. Times are in milliseconds, sizes in bytes of unzipped body."""

    request: Request
    fetched: Fetched

    @property
    def names(self) -> list[str]:
        """The names that came, in the order asked for."""
        return [outcome.name for outcome in self.fetched.outcomes if isinstance(outcome, Found)]

    @property
    def failures(self) -> list[Failed]:
        """The numbers whose names did not come."""
        return [outcome for outcome in self.fetched.outcomes if isinstance(outcome, Failed)]

    @property
    def request_ms(self) -> list[float]:
        """How long each HTTP request took."""
        return [exchange.ms for exchange in self.fetched.exchanges]

    @property
    def timing(self) -> dict[str, Any]:
        """Percentiles are None where no HTTP request was needed."""
        ms = sorted(self.request_ms)
        return {
            "total_ms": round(self.fetched.total_ms, 1),
            "p50_ms": percentile(ms, 50),
            "p95_ms": percentile(ms, 95),
            "max_ms": percentile(ms, 100),
            "requests": len(ms),
            "retries": 0,
            "cached": 0,
            "bytes": sum(exchange.size for exchange in self.fetched.exchanges),
        }

    def summary(self) -> dict[str, Any]:
        """Give the report for a log line: no names, and the failures counted by reason."""
        return {
            "range": self.request.range,
            "strategy": self.request.strategy,
            "complete": not self.failures,
            "count": len(self.names),
            "failures": Counter(failure.reason for failure in self.failures),
            "timing": self.timing,
        }

    def as_dict(self) -> dict[str, Any]:
        """Give the report as every caller gets it, ready for JSON."""
        return {
            "range": self.request.range,
            "strategy": self.request.strategy,
            "complete": not self.failures,
            "count": len(self.names),
            "names": self.names,
            "failures": [asdict(failure) for failure in self.failures],
            "timing": self.timing,
        }


def race(reports: Sequence[Report]) -> dict[str, Any]:
    """Give the reports of one range by every strategy, each with how many times faster than `sync` it was."""
    sync_ms = next(report.fetched.total_ms for report in reports if report.request.strategy == "sync")
    entries = [{"speedup": round(sync_ms / report.fetched.total_ms, 2), **report.as_dict()} for report in reports]
    return {"range": reports[0].request.range, "race": entries}


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Give the nearest-rank percentile of ascending values: always one that was measured."""
    if not ordered:
        return None
    return round(ordered[math.ceil(len(ordered) * percent / 100) - 1], 1)
