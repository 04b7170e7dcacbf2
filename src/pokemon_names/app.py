"""The Lambda function: `handler`, and everything that outlives an invocation.

What each call in an invocation does, from the outside in:

handler      turn the event into jobs, and their outcomes into the reply
asyncio.run  run an event loop, once per invocation
_run_jobs    run all jobs of the event
_run_job     run one job, and store its report if it has a key
fetch        fetch the numbers of one job; the strategy `gather` awaits `asyncio.gather`
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
from pokemon_names.fetching.pokeapi import HEADERS, PATHS
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

WARM_UP_TIMEOUT = 1.0  # seconds for each client to connect before a race
WARM_UP_SHARE = 0.1  # the maximum share of the time left
MARGIN_SECONDS = 2.0  # between the deadline and the reply, for the table, the log and the metrics

settings = Settings.from_environment(os.environ)
telemetry = Telemetry(settings.service, settings.namespace)
policy = Policy(
    concurrency=settings.max_concurrency, requests_per_second=settings.max_requests_per_second
)
clients = Clients(settings.pokeapi_url, settings.max_body_bytes, headers=HEADERS)
table = Table(settings.names_table) if settings.names_table else None
cache = Cache(settings.cache_seconds, table, telemetry.cache_error)
bucket = Bucket(settings.results_bucket) if settings.results_bucket else None

# Lambda's JSON log format sets the level of the root logger. At INFO, httpx or its successor httpx2
# would log a line for every request; at DEBUG, botocore would log session tokens.
for library in ("httpx", "httpx2", "boto3", "botocore", "urllib3"):
    logging.getLogger(library).setLevel(logging.WARNING)

gc.freeze()  # everything loaded so far stays for good, so the garbage collector can skip it


@telemetry.logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: Any, context: "LambdaContext") -> dict[str, Any]:
    """Return the reply to an event from any source.

    Raises:
        InvalidRequest: The request is bad, and the caller handles exceptions.
        IncompleteError, NotStoredError: Names are missing or not stored; a retry may help.
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
    """Run all jobs and return their outcomes. The jobs share one window and one deadline."""
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
    """Connect to PokeAPI, so that connecting does not slow down the first strategy of a race."""
    requests = [job.request for job in jobs if isinstance(job.request, Request)]
    path = PATHS[0].format(requests[0].numbers[0])
    seconds = min(WARM_UP_TIMEOUT, (deadline - time.monotonic()) * WARM_UP_SHARE)
    for blocking in {request.strategy == "sync" for request in requests}:
        await window.acquire(0, 0, 1)
        await clients.warm_up(path, seconds, blocking=blocking)
        window.release()


async def _run_job(job: Job, window: Window, deadline: float) -> Outcome:
    """Run a job and return its outcome. An error in one job never affects another."""
    if isinstance(job.request, InvalidRequest):
        contents = {"error": "InvalidRequest", **job.request.as_dict()}
        return Outcome(error=await _store(job.key, contents) or job.request, key=job.key)
    if isinstance(job.request, Exception):
        return Outcome(error=job.request, key=job.key)
    job_policy = policy
    if job.key:  # nobody is waiting for the names, so stragglers may take their time
        job_policy = msgspec.structs.replace(policy, straggler_timeout=math.inf)
    try:
        fetched = await fetch(job.request, clients, cache, window, deadline, job_policy)
    except Exception as unforeseen:  # noqa: BLE001  whatever it is, the other jobs go on
        return Outcome(error=unforeseen, key=job.key)
    report = Report(job.request, fetched)
    error: Exception | None = None
    if job.key:
        error = await _store(job.key, job.contents(report))
        if report.retryable and not error:
            error = IncompleteError(report.retryable)
    return Outcome(report, error, job.key)


async def _store(key: str | None, contents: Any) -> NotStoredError | None:
    """Store the contents if there is a key and a bucket; return the error if that fails."""
    if bucket and key:
        try:
            await bucket.store(key, contents)
        except NotStoredError as error:
            return error
    return None
