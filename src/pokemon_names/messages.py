"""Messages: events of SQS, SNS and EventBridge rules. Nobody waits for the reports.

They are kept in the bucket, under keys made from the messages' own ids, so that a second delivery puts the same object
in place of the first. A report that another attempt may mend is kept, too, and then fails its message; the next attempt
finds in the cache what came.

    SQS      each body is a request, or an SNS notification of one; what fails is named, and comes again by itself
    others   any failure raises, and Lambda tries the event again before it goes to the failure destination
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from pokemon_names.item import Item, Result, Source, reports
from pokemon_names.request import InvalidRequest, Request

MOST_CHARACTERS = 1_000_000  # of a text that holds requests

Id = Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,100}\Z")]


class _Message(msgspec.Struct, frozen=True):
    source: Literal["aws:sqs"] = msgspec.field(name="eventSource")
    id: Id = msgspec.field(name="messageId")
    body: Any = None


class Queue(Source, frozen=True):
    """SQS: a batch of messages, of which those that failed are named in the reply.

    By hand, because Powertools' asynchronous batch processor runs an event loop of its own.
    """

    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)] = msgspec.field(name="Records")

    def items(self, max_numbers: int) -> list[Item]:
        """Read each body by itself."""
        return [Item(request_in("body", one.body, max_numbers), results_key("sqs", one.id)) for one in self.messages]

    def reply(self, results: Sequence[Result]) -> dict[str, Any]:
        """Give the partial batch response."""
        pairs = zip(self.messages, results, strict=True)
        failed = [message.id for message, result in pairs if isinstance(result, Exception)]
        return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


class Asynchronous(Source, frozen=True):
    """What Lambda's own queue hands to the function."""

    def reply(self, results: Sequence[Result]) -> dict[str, Any]:
        """Raise what went wrong first, for Lambda to try again; nobody but a success destination sees the rest."""
        return {"reports": [report.summary() for report in reports(results)]}


class _Published(msgspec.Struct, frozen=True):
    id: Id = msgspec.field(name="MessageId")
    message: Any = msgspec.field(name="Message")


class _Record(msgspec.Struct, frozen=True):
    source: Literal["aws:sns"] = msgspec.field(name="EventSource")
    sns: _Published = msgspec.field(name="Sns")


class Notification(Asynchronous, frozen=True):
    """SNS: the message is the request."""

    records: Annotated[list[_Record], msgspec.Meta(min_length=1, max_length=1)] = msgspec.field(name="Records")

    @property
    def correlation_id(self) -> str:
        """The message's id."""
        return self.records[0].sns.id

    def items(self, max_numbers: int) -> list[Item]:
        """Read the message."""
        sns = self.records[0].sns
        return [Item(request_in("Message", sns.message, max_numbers), results_key("sns", sns.id))]


class Rule(Asynchronous, frozen=True):
    """An EventBridge rule: the detail is the request."""

    id: Id
    kind: str = msgspec.field(name="detail-type")
    detail: Any

    @property
    def correlation_id(self) -> str:
        """The event's id."""
        return self.id

    def items(self, max_numbers: int) -> list[Item]:
        """Read the detail."""
        return [Item(request_in("detail", self.detail, max_numbers), results_key("eventbridge", self.id))]


def results_key(source: str, id_: str) -> str:
    """Give the key of a message's report."""
    return f"results/{source}/{id_}.json"


def request_in(field: str, given: Any, max_numbers: int) -> Request | InvalidRequest:
    """Read a request of what a field of an event holds: itself, or as JSON, or in an SNS notification as JSON."""
    value = _parsed(given) if isinstance(given, str) else given
    if not isinstance(value, dict):
        return InvalidRequest(field, given, f"a JSON object of at most {MOST_CHARACTERS} characters")
    if value.get("Type") == "Notification" and isinstance(value.get("Message"), str):
        return request_in("Message", value["Message"], max_numbers)
    try:
        return Request.from_fields(value, max_numbers)
    except InvalidRequest as error:
        return InvalidRequest(f"{field}.{error.field}", error.given, error.allowed)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if len(text) <= MOST_CHARACTERS else None
    except (ValueError, RecursionError):
        return None
