"""The Lambda function: `handler`, and everything that lives from one invocation to the next.

handler      an event becomes its jobs, and their outcomes become the reply
asyncio.run  once per invocation
_run_jobs    all jobs of the event
_run_job     one job
fetch        one request; for the strategy `gather` it awaits `asyncio.gather`
"""

import asyncio
import gc
import logging
import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pokemon_names import sources
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.pokeapi import POKEMON_PATHS
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import fetch
from pokemon_names.fetching.window import Window
from pokemon_names.http.client import Clients
from pokemon_names.model import InvalidRequest, Request
from pokemon_names.report import Outcome, Report
from pokemon_names.settings import Settings
from pokemon_names.sources.base import IncompleteError, Job
from pokemon_names.stores.dynamodb import Table
from pokemon_names.stores.s3 import STORE_TIMEOUT, Bucket, NotStoredError
from pokemon_names.telemetry import Telemetry

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

WARM_UP_TIMEOUT = 1.0  # seconds for the connection of each client, before a race
WARM_UP_SHARE = 0.1  # of the time left, if that is less
MARGIN_SECONDS = 2.0  # from the deadline to the reply: for the table, the log and the metrics

settings = Settings.from_environment(os.environ)
telemetry = Telemetry(settings.service, settings.namespace)
policy = Policy(
    concurrency=settings.max_concurrency, requests_per_second=settings.max_requests_per_second
)
clients = Clients(settings.pokeapi_url, settings.max_body_bytes)
table = Table(settings.names_table) if settings.names_table else None
cache = Cache(settings.cache_seconds, table, telemetry.cache_error)
bucket = Bucket(settings.results_bucket) if settings.results_bucket else None

# Lambda's JSON log format sets the root logger's level: with INFO, httpx logs a line for every
# request; with DEBUG, botocore logs session tokens.
for library in ("httpx", "boto3", "botocore", "urllib3"):
    logging.getLogger(library).setLevel(logging.WARNING)

gc.freeze()  # what is loaded now stays for good: collections need not look at it


@telemetry.logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: Any, context: "LambdaContext") -> dict[str, Any]:
    """Return the reply to an event of any source.

    Raises:
        InvalidRequest: The request is bad, and the caller can catch errors.
        IncompleteError, NotStoredError: A retry may bring what is missing.
    """
    invocation = sources.detect(event, settings, bucket)
    telemetry.logger.set_correlation_id(invocation.correlation_id or context.aws_request_id)
    seconds = min(context.get_remaining_time_in_millis() / 1000, invocation.caller_timeout)
    deadline = time.monotonic() + seconds - MARGIN_SECONDS
    outcomes = asyncio.run(_run_jobs(invocation.jobs, deadline))
    telemetry.record(outcomes)
    reply = invocation.reply(outcomes)
    if invocation.logs_reply and not outcomes:
        telemetry.log_reply(reply)
    return reply


async def _run_jobs(jobs: Sequence[Job], deadline: float) -> list[Outcome]:
    """Return the outcomes of all jobs, which share the window of requests and the deadline."""
    if bucket and any(job.key for job in jobs):
        deadline -= STORE_TIMEOUT
    window = Window(policy)
    if not any(job.shares for job in jobs):
        return await asyncio.gather(*(_run_job(job, window, deadline) for job in jobs))
    await _warm_up(jobs, window, deadline)
    outcomes = []
    for index, job in enumerate(jobs):
        now = time.monotonic()
        shares = sum(other.shares for other in jobs[index:])
        fair_share = (deadline - now) * job.shares / shares
        outcomes.append(await _run_job(job, window, now + fair_share))
    return outcomes


async def _warm_up(jobs: Sequence[Job], window: Window, deadline: float) -> None:
    """Connect to PokeAPI, so that the first strategy of a race does not pay for it."""
    requests = [job.request for job in jobs if isinstance(job.request, Request)]
    path = POKEMON_PATHS[0].format(requests[0].numbers[0])
    seconds = min(WARM_UP_TIMEOUT, (deadline - time.monotonic()) * WARM_UP_SHARE)
    for blocking in {request.strategy == "sync" for request in requests}:
        await window.acquire(0, 0, 1)
        await clients.warm_up(path, seconds, blocking=blocking)
        window.release()


async def _run_job(job: Job, window: Window, deadline: float) -> Outcome:
    """Return the outcome of a job. No error of one job affects another."""
    if isinstance(job.request, InvalidRequest):
        contents = {"error": "InvalidRequest", **job.request.as_dict()}
        return Outcome(error=await _store(job.key, contents) or job.request, key=job.key)
    if isinstance(job.request, Exception):
        return Outcome(error=job.request, key=job.key)
    job_policy = policy
    if job.key:  # nobody waits for the reply
        job_policy = msgspec.structs.replace(policy, straggler_timeout=math.inf)
    try:
        fetched = await fetch(job.request, clients, cache, window, deadline, job_policy)
    except Exception as unforeseen:  # noqa: BLE001  whatever it is
        return Outcome(error=unforeseen, key=job.key)
    report = Report(job.request, fetched)
    error: Exception | None = None
    if job.key:
        error = await _store(job.key, job.contents(report))
        if report.retryable and not error:
            error = IncompleteError(report.retryable)
    return Outcome(report, error, job.key)


async def _store(key: str | None, contents: Any) -> NotStoredError | None:
    """Store the contents, if there is a key; return why they could not be stored."""
    if bucket and key:
        try:
            await bucket.store(key, contents)
        except NotStoredError as error:
            return error
    return None
