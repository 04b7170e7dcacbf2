"""What came of a request: the names, the failures and how long it all took."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from pokemon_names.outcome import Exchange, Failed, Fetched, Found
from pokemon_names.request import Request


class Report(msgspec.Struct, frozen=True):
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
    def lost(self) -> list[Failed]:
        """The failures that another attempt may mend."""
        return [failure for failure in self.failures if failure.lost]

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
            "retries": sum(exchange.attempt > 1 for exchange in self.fetched.exchanges),
            "cached": self.fetched.cached,
            "stale": self.fetched.stale,
            "bytes": sum(exchange.bytes for exchange in self.fetched.exchanges),
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
        """Give the report as every caller gets it, ready for JSON; every HTTP request is in it on demand alone."""
        traced = {"trace": [_rounded(exchange) for exchange in self.fetched.exchanges]} if self.request.trace else {}
        return {
            "range": self.request.range,
            "strategy": self.request.strategy,
            "complete": not self.failures,
            "count": len(self.names),
            "names": self.names,
            "failures": [msgspec.structs.asdict(failure) for failure in self.failures],
            "timing": self.timing,
            **traced,
        }


def race(reports: Sequence[Report]) -> dict[str, Any]:
    """Give the reports of one range by several strategies, each with how many times faster than `sync` it was."""
    entries = [{"speedup": up, **report.as_dict()} for up, report in zip(speedups(reports), reports, strict=True)]
    return {"range": reports[0].request.range, "race": entries}


def speedups(reports: Sequence[Report]) -> list[float | None]:
    """Give how many times faster than `sync` each was, None where that did not race."""
    total_ms = {report.request.strategy: report.fetched.total_ms for report in reports}
    return [round(total_ms["sync"] / ms, 2) if "sync" in total_ms else None for ms in total_ms.values()]


def _rounded(exchange: Exchange) -> dict[str, Any]:
    fields = msgspec.structs.asdict(exchange)
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in fields.items()}


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Give the nearest-rank percentile of ascending values: always one that was measured."""
    if not ordered:
        return None
    return round(ordered[math.ceil(len(ordered) * percent / 100) - 1], 1)
