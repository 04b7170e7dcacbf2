"""A direct call: the event is the request, and the reply is the report.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-sync.html
"""

from collections.abc import Sequence
from typing import Any

from pokemon_names.model import FIELDS, InvalidRequest, Request
from pokemon_names.sources.base import (
    Event,
    Job,
    JobResult,
    Reply,
    Source,
    check_size,
    reports_of,
)


class Direct(Source[Any]):
    """Any event that no other source recognises."""

    def jobs(self) -> list[Job]:
        """Return the one job that the event's fields ask for."""
        if not isinstance(self.event, dict):
            raise InvalidRequest("event", self.event, "a JSON object")
        _check_service(self.event)
        request = Request.parse(self.event, self.deployment.max_numbers)
        return [Job(request)]

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return the report, or raise: a state machine catches InvalidRequest by its name."""
        (report,) = reports_of(results)
        reply = report.as_dict()
        check_size(reply)
        return reply


def _check_service(event: Event) -> None:
    """Raise InvalidRequest for the event of a service that is not served.

    The refusal has the names of its fields, not their values: there may be a token in one.
    """
    if "Records" in event:
        given = "…"
        match event["Records"]:
            case [{"eventSource": str(service)}, *_]:
                given = service
        raise InvalidRequest("Records", given, "messages of aws:sqs, or one of aws:sns")
    if len(event) > 1 and event.keys().isdisjoint(FIELDS):
        allowed = f"the fields {', '.join(FIELDS)}, or an event of HTTP, SQS, SNS or EventBridge"
        raise InvalidRequest("event", ", ".join(event), allowed)
