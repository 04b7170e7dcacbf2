"""The log lines and the metrics of a report."""

import json
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from pokemon_names.model import Failure, InvalidRequest
from pokemon_names.report import Report

_MAX_LOGGED = 100  # numbers without a name in one line
_MAX_VALUES = 100  # values of a metric in one line of the embedded metric format

# ASCII: a caller may send a lone surrogate, which has no UTF-8, and the line would be lost.
_to_json = partial(json.dumps, default=str, separators=(",", ":"))


class Telemetry:
    """The logger and the metrics of one service, both on stdout."""

    def __init__(self, service: str, namespace: str) -> None:
        self.logger = Logger(service=service, json_serializer=_to_json)
        self._service = service
        self._metrics = Metrics(namespace=namespace, service=service)

    @property
    def is_cold_start(self) -> bool:
        """Whether this invocation is the first in its environment."""
        return bool(self.logger.get_current_keys()["cold_start"])

    def cache_error(self, error: Exception) -> None:
        """Log and count an error of the cache, which costs no name."""
        self.logger.warning("cache failed", extra={"error": repr(error)})
        self._metrics.add_metric("CacheFaults", MetricUnit.Count, 1)

    def log_report(self, report: Report, key: str | None) -> None:
        """Log what came of a request, and under which key its report is stored."""
        retryable = report.retryable[:_MAX_LOGGED]
        extra = {
            "report": report.summary(),
            "lost": [_failure_fields(failure) for failure in retryable],
            **_key_field(key),
        }
        self.logger.info("fetched", extra=extra)
        if report.failures:
            failures = list(map(str, report.failures))
            self.logger.debug("failures", extra={"failures": failures})

    def log_error(self, error: Exception, key: str | None) -> None:
        """Log why a request has no report, or why its report is not enough."""
        message = "failed"
        if isinstance(error, InvalidRequest):
            message = "invalid request"
        extra = {"error": str(error), **_key_field(key)}
        self.logger.warning(message, extra=extra)

    def log_task(self, reply: Any) -> None:
        """Log what a task that fetches nothing has done."""
        self.logger.info("done", extra={"task": reply})

    def measure(self, report: Report, *, is_cold_start: bool) -> None:
        """Print the metrics of a report."""
        self._measure_requests(report)
        timing = report.timing
        counts = {
            "Names": len(report.names),
            "Failures": len(report.failures),
            "Lost": len(report.retryable),
            "Retries": timing["retries"],
            "CacheHits": timing["cached"],
            "ColdStart": int(is_cold_start),
        }
        metrics = self._metrics
        metrics.add_dimension("strategy", report.request.strategy)
        metrics.add_metric("FetchTime", MetricUnit.Milliseconds, report.fetched.total_ms)
        for name, count in counts.items():
            metrics.add_metric(name, MetricUnit.Count, count)
        metrics.flush_metrics()

    def _measure_requests(self, report: Report) -> None:
        """Print how long each request took.

        `add_metric` formats all values of a metric each time that it adds one: 30 ms for 1,025.
        """
        dimensions = {
            "service": self._service,
            "strategy": report.request.strategy,
        }
        request_ms = report.request_ms
        for start in range(0, len(request_ms), _MAX_VALUES):
            end = start + _MAX_VALUES
            metric = {
                "Unit": MetricUnit.Milliseconds.value,
                "Value": request_ms[start:end],
            }
            line = self._metrics.serialize_metric_set(
                metrics={"RequestTime": metric},
                dimensions=dimensions,
                metadata={},
            )
            print(json.dumps(line))  # noqa: T201  the embedded metric format is lines on stdout


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
