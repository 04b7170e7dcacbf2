"""The Lambda function: `handler`, and everything that lives from one invocation to the next.

The only module that reads the environment: POKEAPI_URL, MAX_CONCURRENCY, MAX_NUMBERS and Powertools' POWERTOOLS_*.
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from pokemon_names import events
from pokemon_names.client import Clients
from pokemon_names.fetch import fetch
from pokemon_names.report import Report
from pokemon_names.request import InvalidRequest, Request

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

POKEAPI_URL = os.environ.get("POKEAPI_URL", "https://pokeapi.co/api/v2")
MAX_CONCURRENCY = int(os.environ.get("MAX_CONCURRENCY", "100"))
MAX_NUMBERS = int(os.environ.get("MAX_NUMBERS", "1500"))
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "pokemon-names")
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "PokemonNames")

_MOST_VALUES = 100  # of a metric in one line of the embedded metric format

logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
clients = Clients(POKEAPI_URL)

# Lambda's JSON log format sets the root logger to INFO, where httpx logs a line for every request.
logging.getLogger("httpx").setLevel(logging.WARNING)


@logger.inject_lambda_context(clear_state=True)
def handler(event: Any, context: "LambdaContext") -> dict[str, Any]:
    """Answer an event of any source; a direct caller's mistake raises InvalidRequest."""
    source = events.read(event)
    logger.set_correlation_id(source.correlation_id or context.aws_request_id)
    try:
        requests = source.requests(MAX_NUMBERS)
    except InvalidRequest as error:
        logger.warning("invalid request", extra={"error": str(error)})
        return source.refuse(error)
    reports = asyncio.run(_fetch_in_turn(requests))
    cold_start = logger.get_current_keys()["cold_start"]
    for report in reports:
        _log(report)
        _measure(report, cold_start=cold_start and report is reports[0])
    return source.reply(reports)


async def _fetch_in_turn(requests: Sequence[Request]) -> list[Report]:
    slots = asyncio.Semaphore(MAX_CONCURRENCY)
    return [Report(request, await fetch(request, clients, slots)) for request in requests]


def _log(report: Report) -> None:
    logger.info("fetched", extra={"report": report.summary()})
    if report.failures:
        logger.debug("failures", extra={"failures": [str(failure) for failure in report.failures]})


def _batches(values: Sequence[float]) -> Iterator[Sequence[float]]:
    for start in range(0, len(values), _MOST_VALUES):
        yield values[start : start + _MOST_VALUES]


def _measure(report: Report, *, cold_start: bool) -> None:
    timing, strategy = report.timing, report.request.strategy
    for values in _batches(report.request_ms):
        metrics.add_dimension("strategy", strategy)
        # Not by add_metric, which writes out all of a metric's values for each that it adds: 30 ms for 1,025 of them.
        metrics.metric_set["RequestTime"] = {"Unit": "Milliseconds", "StorageResolution": 60, "Value": values}
        metrics.flush_metrics()
    metrics.add_dimension("strategy", strategy)
    metrics.add_metric("FetchTime", MetricUnit.Milliseconds, report.fetched.total_ms)
    metrics.add_metric("Names", MetricUnit.Count, len(report.names))
    metrics.add_metric("Failures", MetricUnit.Count, len(report.failures))
    metrics.add_metric("Retries", MetricUnit.Count, timing["retries"])
    metrics.add_metric("CacheHits", MetricUnit.Count, timing["cached"])
    metrics.add_metric("ColdStart", MetricUnit.Count, cold_start)
    metrics.flush_metrics()
