"""Messages: events of SNS and EventBridge rules. Nobody waits for the reports.

The reports are stored in the bucket, under keys made from the messages' own ids, so that a second
delivery replaces the object of the first. A report that another attempt may mend is stored, too;
the next attempt finds in the cache what came. Of a bad request, the refusal is stored in place of
the report.

What another attempt may mend raises, and Lambda retries the event before it goes to the queue of
failures. A bad request ends well, because no retry can mend it.
"""

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from pokemon_names.model import InvalidRequest, Request
from pokemon_names.sources.base import (
    Job,
    JobResult,
    Reply,
    Shape,
    Source,
    reports_of,
)

MAX_CHARACTERS = 1_000_000  # of a text that holds requests

Id = Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,100}\Z")]


class AsynchronousSource(Source[Shape]):
    """Events of Lambda's own queue, which retries those that raise."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The source, a slash and the event's own id."""

    def jobs(self) -> list[Job]:
        """Return the jobs, whose reports are stored under the event's own name."""
        return self.jobs_under(self.name)

    @abstractmethod
    def jobs_under(self, name: str) -> list[Job]:
        """Return the jobs, whose reports are stored under that name."""

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return summaries and refusals, which only a success destination sees.

        Raises:
            IncompleteError, NotStoredError: Another attempt may bring what is missing.
        """
        refused = []
        others = []
        for result in results:
            if isinstance(result.error, InvalidRequest):
                refused.append(result.error.as_dict())
            else:
                others.append(result)
        reports = [report.summary for report in reports_of(others)]
        return {"reports": reports, "refused": refused}


class _SnsMessage(msgspec.Struct, frozen=True, rename="pascal"):
    message_id: Id
    message: Any


class _SnsRecord(msgspec.Struct, frozen=True, rename="pascal"):
    event_source: Literal["aws:sns"]
    sns: _SnsMessage


class _SnsEvent(msgspec.Struct, frozen=True, rename="pascal"):
    records: Annotated[list[_SnsRecord], msgspec.Meta(min_length=1, max_length=1)]


class SnsNotification(AsynchronousSource[_SnsEvent]):
    """A message of a topic: it is the request.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """

    shape = _SnsEvent

    @property
    def correlation_id(self) -> str:
        """The message's id."""
        return self.event.records[0].sns.message_id

    @property
    def name(self) -> str:
        """The message's name."""
        return f"sns/{self.correlation_id}"

    def jobs_under(self, name: str) -> list[Job]:
        """Return the one job of the message."""
        message = self.event.records[0].sns.message
        request = parse_request("Message", message, self.deployment.max_numbers)
        return [Job(request, results_key(name))]


class _EventBridgeEvent(msgspec.Struct, frozen=True, rename="kebab"):
    id: Id
    detail_type: str
    detail: Any


class EventBridgeEvent(AsynchronousSource[_EventBridgeEvent]):
    """An event of a rule or a schedule: its detail is the request.

    https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    """

    shape = _EventBridgeEvent

    @property
    def correlation_id(self) -> str:
        """The event's id."""
        return self.event.id

    @property
    def name(self) -> str:
        """The event's name."""
        return f"eventbridge/{self.event.id}"

    def jobs_under(self, name: str) -> list[Job]:
        """Return the one job of the detail."""
        request = parse_request("detail", self.event.detail, self.deployment.max_numbers)
        return [Job(request, results_key(name))]


def results_key(name: str) -> str:
    """Return the key of the report with a name such as `sqs/MESSAGE_ID`."""
    return f"results/{name}.json"


def parse_request(field: str, given: Any, max_numbers: int) -> Request | InvalidRequest:
    """Return the request in a field of an event, or what is wrong with it.

    The field holds the request itself, its JSON, or the JSON of an SNS notification of it.
    """
    value = given
    if isinstance(given, str):
        value = parse_json(given)
    if not isinstance(value, dict):
        allowed = f"a JSON object of at most {MAX_CHARACTERS} characters"
        return InvalidRequest(field, given, allowed)
    if value.get("Type") == "Notification" and isinstance(value.get("Message"), str):
        return parse_request("Message", value["Message"], max_numbers)
    try:
        return Request.parse(value, max_numbers)
    except InvalidRequest as error:
        return error.within(field)


def parse_json(text: str) -> Any:
    """Return what the text holds, None if it is no JSON. It may start with a byte order mark."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
