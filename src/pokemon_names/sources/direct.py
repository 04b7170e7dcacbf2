"""A direct call: the event is the request, and the reply is the report.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-sync.html
"""

from collections.abc import Sequence
from typing import Any

from pokemon_names.model import InvalidRequest, Request
from pokemon_names.sources.base import (
    Job,
    JobResult,
    Reply,
    Source,
    reports_of,
)


class Direct(Source[Any]):
    """Any event that no other source recognises."""

    def jobs(self) -> list[Job]:
        """Return the one job that the event's fields ask for."""
        if not isinstance(self.event, dict):
            raise InvalidRequest("event", self.event, "a JSON object")
        request = Request.parse(self.event, self.deployment.max_numbers)
        return [Job(request)]

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return the report, or raise: a state machine catches InvalidRequest by its name."""
        (report,) = reports_of(results)
        return report.as_dict()
