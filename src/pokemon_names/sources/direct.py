"""A direct call: the event is the request, and the reply is the report.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-sync.html
"""

from collections.abc import Sequence
from typing import Any

from pokemon_names.model import FIELDS, InvalidRequest, Request
from pokemon_names.report import Outcome
from pokemon_names.settings import Settings
from pokemon_names.sources.base import Event, Invocation, Job, Reply, check_size, reports_of


def read(event: Any, settings: Settings) -> Invocation:
    """Return an invocation with one job, for the request that the event holds."""
    try:
        job = Job(_parse(event, settings.max_numbers))
    except InvalidRequest as error:
        job = Job(error)
    return Invocation(jobs=[job], reply=_reply)


def _parse(event: Any, max_numbers: int) -> Request:
    if not isinstance(event, dict):
        raise InvalidRequest("event", event, "a JSON object")
    _check_service(event)
    return Request.parse(event, max_numbers)


def _reply(outcomes: Sequence[Outcome]) -> Reply:
    """Return the report, or raise the error. State machines catch InvalidRequest by its name."""
    (report,) = reports_of(outcomes)
    reply = report.as_dict()
    check_size(reply)
    return reply


def _check_service(event: Event) -> None:
    """Raise InvalidRequest for an event from an unsupported service.

    The error names the event's fields but not their values, which may contain a token.
    """
    if "Records" in event:
        given = "…"
        match event["Records"]:
            case [{"eventSource": str(service)}, *_]:
                given = service
        raise InvalidRequest("Records", given, "messages from aws:sqs, or one from aws:sns")
    if len(event) > 1 and event.keys().isdisjoint(FIELDS):
        allowed = f"the fields {', '.join(FIELDS)}, or an HTTP, SQS, SNS or EventBridge event"
        raise InvalidRequest("event", ", ".join(event), allowed)
