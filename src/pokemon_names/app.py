"""The Lambda function: `handler`, and everything that lives from one invocation to the next.

The only module that reads the environment: POKEAPI_URL, MAX_CONCURRENCY, MAX_NUMBERS, MAX_BODY_BYTES, CHUNK_NUMBERS,
CACHE_SECONDS, NAMES_TABLE, RESULTS_BUCKET, SSL_CERT_FILE and Powertools' POWERTOOLS_*.
"""

import gc

gc.disable()  # until all is imported and frozen: to look for garbage in it would take 5 % of that time

import asyncio
import json
import logging
import math
import os
import time
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from pokemon_names import events
from pokemon_names.bucket import KEEP_SECONDS, Bucket, NotKeptError
from pokemon_names.cache import Cache
from pokemon_names.client import Clients
from pokemon_names.fetch import fetch
from pokemon_names.item import IncompleteError, Item, Result, Source
from pokemon_names.report import Report
from pokemon_names.request import InvalidRequest
from pokemon_names.retry import STRAGGLER_TIMEOUT
from pokemon_names.settings import check_certificates, checked_url
from pokemon_names.window import Window

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from pokemon_names.states import Gather, Plan
    from pokemon_names.table import Table

POKEAPI_URL = checked_url("POKEAPI_URL", os.environ.get("POKEAPI_URL", "https://pokeapi.co/api/v2"))
MAX_CONCURRENCY = int(os.environ.get("MAX_CONCURRENCY", "100"))
MAX_NUMBERS = int(os.environ.get("MAX_NUMBERS", "1500"))
MAX_BODY_BYTES = int(os.environ.get("MAX_BODY_BYTES", "4000000"))
CHUNK_NUMBERS = int(os.environ.get("CHUNK_NUMBERS", "500"))
CACHE_SECONDS = float(os.environ.get("CACHE_SECONDS", "604800"))
NAMES_TABLE = os.environ.get("NAMES_TABLE")
# For `sam local` a bucket has no other name than the template's, and there is none: reports are only logged.
RESULTS_BUCKET = None if "AWS_SAM_LOCAL" in os.environ else os.environ.get("RESULTS_BUCKET")
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "pokemon-names")
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "PokemonNames")

MARGIN_SECONDS = 2.0  # from the deadline to the reply: for the cache's table, the log and the metrics

_MOST_VALUES = 100  # of a metric in one line of the embedded metric format
_MOST_LOGGED = 100  # of the names lost by one request

# In ASCII: what a caller sends may have a lone surrogate, which has no UTF-8, and would cost the line.
logger = Logger(service=SERVICE, json_serializer=partial(json.dumps, default=str, separators=(",", ":")))
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
check_certificates("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE"))
clients = Clients(POKEAPI_URL, MAX_BODY_BYTES)


def _pass_over(error: Exception) -> None:
    logger.warning("cache passed over", extra={"error": repr(error)})
    metrics.add_metric("CacheFaults", MetricUnit.Count, 1)


def _table() -> "Table | None":
    """Import it only where it is used: DynamoDB's batches take threads."""
    if not NAMES_TABLE:
        return None
    from pokemon_names.table import Table  # noqa: PLC0415

    return Table(NAMES_TABLE)


cache = Cache(CACHE_SECONDS, _table(), _pass_over)
bucket = Bucket(RESULTS_BUCKET) if RESULTS_BUCKET else None

gc.freeze()
gc.enable()

# Lambda's JSON log format sets the root logger to INFO, where httpx logs a line for every request.
logging.getLogger("httpx").setLevel(logging.WARNING)


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: Any, context: "LambdaContext") -> dict[str, Any]:
    """Answer an event of any source; InvalidRequest and the other declared exceptions go to callers that catch them."""
    source = events.read(event, bucket)
    logger.set_correlation_id(source.correlation_id or context.aws_request_id)
    if not isinstance(source, Source):
        return _run(source)
    seconds = min(context.get_remaining_time_in_millis() / 1000, source.patience) - MARGIN_SECONDS
    served = asyncio.run(_serve(source, time.monotonic() + seconds))
    cold_starts = chain([logger.get_current_keys()["cold_start"]], repeat(0))
    for one in served:
        _log(one)
        if one.report:
            _measure(one.report, cold_start=next(cold_starts))
    return source.reply([one.result for one in served])


def _run(task: "Plan | Gather") -> dict[str, Any]:
    """Run a task that fetches nothing, whose module nobody else needs."""
    from pokemon_names import states  # noqa: PLC0415

    reply = states.run(task, bucket, min(CHUNK_NUMBERS, MAX_NUMBERS))
    logger.info("done", extra={"task": reply})
    return reply


class _Served(msgspec.Struct, frozen=True):
    """An item, the report that it came to, and its result: that report, or what is wrong all the same."""

    item: Item
    report: Report | None
    result: Result


async def _serve(source: "events.AnySource", deadline: float) -> list[_Served]:
    """Serve all items at once, with window and deadline for them all; or in turn, each with its share of the time."""
    try:
        items = source.items(MAX_NUMBERS)
    except InvalidRequest as error:
        items = [Item(error)]
    if any(item.key for item in items):
        deadline -= KEEP_SECONDS
    window = Window(MAX_CONCURRENCY)
    if not source.in_turn:
        return await asyncio.gather(*(_serve_one(item, window, deadline) for item in items))
    served = list[_Served]()
    for left, item in zip(range(len(items), 0, -1), items, strict=True):
        now = time.monotonic()
        served.append(await _serve_one(item, window, now + (deadline - now) / left))
    return served


async def _serve_one(item: Item, window: Window, deadline: float) -> _Served:
    if isinstance(item.request, InvalidRequest):
        return _Served(item, None, item.request)
    straggler_timeout = math.inf if item.key else STRAGGLER_TIMEOUT  # whoever takes no key waits for the reply
    fetched = await fetch(item.request, clients, cache, window, deadline, straggler_timeout)
    report = Report(item.request, fetched)
    return _Served(item, report, await _keep(item, report))


async def _keep(item: Item, report: Report) -> Result:
    if not item.key:
        return report
    try:
        if bucket:
            await bucket.keep(item.key, item.contents(report))
    except NotKeptError as error:
        return error
    return IncompleteError(report.lost) if report.lost else report


def _log(served: _Served) -> None:
    key = {"key": served.item.key} if served.item.key else {}
    if report := served.report:
        lost = [{"number": it.number, "reason": it.reason, "status": it.status} for it in report.lost[:_MOST_LOGGED]]
        logger.info("fetched", extra={"report": report.summary(), "lost": lost, **key})
        if report.failures:
            logger.debug("failures", extra={"failures": [str(failure) for failure in report.failures]})
    if isinstance(served.result, Exception):
        what = "invalid request" if isinstance(served.result, InvalidRequest) else "failed"
        logger.warning(what, extra={"error": str(served.result), **key})


def _measure(report: Report, *, cold_start: int) -> None:
    timing, strategy = report.timing, report.request.strategy
    ms = report.request_ms
    for start in range(0, len(ms), _MOST_VALUES):
        metrics.add_dimension("strategy", strategy)
        # Not by add_metric, which writes out all of a metric's values for each that it adds: 30 ms for 1,025 of them.
        values = {"Unit": "Milliseconds", "StorageResolution": 60, "Value": ms[start : start + _MOST_VALUES]}
        metrics.metric_set["RequestTime"] = values
        metrics.flush_metrics()
    metrics.add_dimension("strategy", strategy)
    metrics.add_metric("FetchTime", MetricUnit.Milliseconds, report.fetched.total_ms)
    metrics.add_metric("Names", MetricUnit.Count, len(report.names))
    metrics.add_metric("Failures", MetricUnit.Count, len(report.failures))
    metrics.add_metric("Lost", MetricUnit.Count, len(report.lost))
    metrics.add_metric("Retries", MetricUnit.Count, timing["retries"])
    metrics.add_metric("CacheHits", MetricUnit.Count, timing["cached"])
    metrics.add_metric("ColdStart", MetricUnit.Count, cold_start)
    metrics.flush_metrics()
