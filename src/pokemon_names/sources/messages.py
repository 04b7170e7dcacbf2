"""Messages from SNS topics, and events from EventBridge rules. Nobody waits for the reports.

The reports are stored in the bucket. Their keys contain the ids of the messages, so a second
delivery replaces the object of the first. An incomplete report is also stored, but the function
then raises an error, so Lambda retries the event and finally sends it to the failure queue. A retry
finds the names of earlier attempts in the cache.

For a bad request, a refusal is stored instead of the report. No error is raised, because no retry
can fix it.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from pokemon_names.model import InvalidRequest, Request
from pokemon_names.report import Outcome
from pokemon_names.settings import Settings
from pokemon_names.sources.base import Invocation, Job, Reply, convert, reports_of

MAX_CHARACTERS = 1_000_000  # in the JSON text of a request

Id = Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,100}\Z")]


class _Notification(msgspec.Struct, frozen=True, rename="pascal"):
    message_id: Id
    message: Any


class _BusEvent(msgspec.Struct, frozen=True, rename="kebab"):
    id: Id
    detail_type: str
    detail: Any


def read_sns(event: Any, settings: Settings, name: str | None = None) -> Invocation | None:
    """Return the invocation for a topic's message, or None for any other event.

    The message is the request. Its report is stored under `name`, or else under the message's id.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """
    fields = None
    match event:
        case {"Records": [{"EventSource": "aws:sns", "Sns": sns}]}:
            fields = sns
    notification = convert(fields, _Notification)
    if notification is None:
        return None
    message_id = notification.message_id
    request = parse_request("Message", notification.message, settings.max_numbers)
    job = Job(request, results_key(name or f"sns/{message_id}"))
    return Invocation(jobs=[job], reply=reply, correlation_id=message_id)


def read_eventbridge(event: Any, settings: Settings, name: str | None = None) -> Invocation | None:
    """Return the invocation for an event from a rule or a schedule, or None for any other event.

    The event's detail is the request. Its report is stored under `name`, or else the event's id.

    https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    """
    bus_event = convert(event, _BusEvent)
    if bus_event is None:
        return None
    request = parse_request("detail", bus_event.detail, settings.max_numbers)
    job = Job(request, results_key(name or f"eventbridge/{bus_event.id}"))
    return Invocation(jobs=[job], reply=reply, correlation_id=bus_event.id)


def reply(outcomes: Sequence[Outcome]) -> Reply:
    """Return summaries and refusals, which only an on-success destination receives.

    Raises:
        IncompleteError, NotStoredError: Names are missing or not stored; a retry may help.
    """
    refused = []
    others = []
    for outcome in outcomes:
        if isinstance(outcome.error, InvalidRequest):
            refused.append(outcome.error.as_dict())
        else:
            others.append(outcome)
    reports = [report.summary for report in reports_of(others)]
    return {"reports": reports, "refused": refused}


def results_key(name: str) -> str:
    """Return the key of the report whose name is, for example, `sqs/MESSAGE_ID`."""
    return f"results/{name}.json"


def parse_request(field: str, given: Any, max_numbers: int) -> Request | InvalidRequest:
    """Return the request in a field of an event, or the error that says what is wrong with it.

    The field holds the request itself, its JSON, or the JSON of an SNS notification that holds it.
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
    """Return the value of a JSON text, or None if the text is not JSON or too long.

    The text may start with a byte order mark.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
