"""An event of any source becomes requests, and their reports that source's reply.

What an event is shows in its shape alone: a `requestContext` of `http`, of `elb` or beside an `httpMethod` is HTTP, and
anything else is a direct call: the Lambda API, `sam local invoke`, Step Functions, EventBridge Scheduler.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pokemon_names.report import Report
from pokemon_names.request import InvalidRequest, Request
from pokemon_names.web import Http


@dataclass(frozen=True, slots=True)
class Direct:
    """A call whose event is the request and whose reply is the report."""

    event: Any
    correlation_id: None = None

    def requests(self, max_numbers: int) -> list[Request]:
        """Read the event's own fields."""
        if not isinstance(self.event, dict):
            raise InvalidRequest("event", self.event, "a JSON object")
        return [Request.from_fields(self.event, max_numbers)]

    def reply(self, reports: Sequence[Report]) -> dict[str, Any]:
        """Give the report as it is."""
        return reports[0].as_dict()

    def refuse(self, error: InvalidRequest) -> NoReturn:
        """Raise, so that the caller can tell by the error's name: `InvalidRequest` in a state machine's Catch."""
        raise error


def read(event: Any) -> Http | Direct:
    """Tell the source of an event."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    if isinstance(context, dict) and ("http" in context or "elb" in context or "httpMethod" in event):
        return Http.from_event(event)
    return Direct(event)
