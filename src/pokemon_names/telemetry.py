"""The log lines and the metrics of every job."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from pokemon_names.model import Failure, InvalidRequest
from pokemon_names.report import Outcome, Report, nearest_rank

_MAX_LOST = 100  # failed numbers in the line of a report
_MAX_FAILURES = 50  # in one debug line, up to 3 KB each; CloudWatch truncates lines at 256 KB
_MAX_VALUES = 100  # of one metric in one line, the limit of the embedded metric format

# ASCII, because a caller may send a lone surrogate. UTF-8 cannot encode it, and the line would be
# lost.
_to_json = partial(json.dumps, default=str, separators=(",", ":"))


class Telemetry:
    """The logger and the metrics of one service, both on stdout."""

    def __init__(self, service: str, namespace: str) -> None:
        self.logger = Logger(service=service, json_serializer=_to_json)
        self._metrics = Metrics(namespace=namespace, service=service)

    @property
    def is_cold_start(self) -> bool:
        """Whether this invocation is the first in its environment."""
        return bool(self.logger.get_current_keys()["cold_start"])

    def cache_error(self, error: Exception) -> None:
        """Log and count an error of the cache. No such error ever costs a name."""
        self.logger.warning("cache failed", extra={"error": repr(error)})
        self._metrics.add_metric("CacheFaults", MetricUnit.Count, 1)

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Log the outcome of every job, and print the metrics of every report."""
        for outcome in outcomes:
            if outcome.report:
                self._log_report(outcome.report, outcome.key)
            if outcome.error:
                self._log_error(outcome.error, outcome.key)
        is_cold_start = self.is_cold_start
        for outcome in outcomes:
            if outcome.report:
                self._measure(outcome.report, is_cold_start=is_cold_start)
                is_cold_start = False

    def log_reply(self, reply: Any) -> None:
        """Log the reply to an event that fetches nothing."""
        self.logger.info("done", extra={"reply": reply})

    def _log_report(self, report: Report, key: str | None) -> None:
        """Log the summary of a report, the retryable failures, and the key of a stored report."""
        retryable = report.retryable[:_MAX_LOST]
        extra = {
            "report": report.summary,
            "lost": [_failure_fields(failure) for failure in retryable],
            **_key_field(key),
        }
        self.logger.info("fetched", extra=extra)
        for first in range(0, len(report.failures), _MAX_FAILURES):
            failures = list(map(str, report.failures[first : first + _MAX_FAILURES]))
            self.logger.debug("failures", extra={"failures": failures})

    def _log_error(self, error: Exception, key: str | None) -> None:
        """Log the error of a job, and count it if the request was refused."""
        message = "failed"
        if isinstance(error, InvalidRequest):
            message = "invalid request"
            self._metrics.add_metric("Refused", MetricUnit.Count, 1)
            self._metrics.flush_metrics()
        extra = {"error": str(error), **_key_field(key)}
        self.logger.warning(message, extra=extra)

    def _measure(self, report: Report, *, is_cold_start: bool) -> None:
        """Print the metrics of a report.

        Only metrics that an alarm or a widget reads by strategy have that dimension, because
        CloudWatch charges for each combination of a metric and a strategy.
        """
        timing = report.timing
        self._add_request_times(report)
        self._add_counts(
            Failures=len(report.failures),
            Retries=timing["retries"],
            CacheHits=timing["cached"],
            Listed=timing["listed"],
            ColdStart=int(is_cold_start),
        )
        self._metrics.flush_metrics()
        self._metrics.add_dimension("strategy", report.request.strategy)
        self._metrics.add_metric("FetchTime", MetricUnit.Milliseconds, report.fetched.total_ms)
        self._add_counts(Names=len(report.names), Lost=len(report.retryable))
        self._metrics.flush_metrics()

    def _add_request_times(self, report: Report) -> None:
        """Add how long each request took, or the hundred percentiles if there are more requests.

        Each call of `add_metric` formats all values of the metric again. For 1,025 values that
        takes 15 ms in total, for a hundred 1 ms.
        """
        ascending_ms = sorted(report.request_ms)
        if len(ascending_ms) > _MAX_VALUES:
            ascending_ms = [nearest_rank(ascending_ms, percent) for percent in range(1, 101)]
        for milliseconds in ascending_ms:
            self._metrics.add_metric("RequestTime", MetricUnit.Milliseconds, round(milliseconds))

    def _add_counts(self, **counts: int) -> None:
        for name, count in counts.items():
            self._metrics.add_metric(name, MetricUnit.Count, count)


def _failure_fields(failure: Failure) -> dict[str, Any]:
    return {
        "number": failure.number,
        "reason": failure.reason,
        "status": failure.status,
    }


def _key_field(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    return {"key": key}
