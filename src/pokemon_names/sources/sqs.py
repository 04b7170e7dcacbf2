"""SQS: each message is a request, or an event that holds requests.

A message may hold an event from SNS, EventBridge or S3: a queue can be the target of a rule, and
the failure queue receives what Lambda, the rules, the schedule and the topic could not deliver. The
reports are then stored under the message's id, not the event's. Otherwise anyone allowed to send
messages could replace what another source has stored.

A message fails if its request is bad, or if the event that it holds would fail by itself. SQS
delivers it again, without the rest of its batch, and finally moves it to the dead-letter queue.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any, Literal

import msgspec

from pokemon_names.report import Outcome
from pokemon_names.settings import Settings
from pokemon_names.sources import messages, s3
from pokemon_names.sources.base import Event, Invocation, Job, Reply, convert, reports_of, unwrapped
from pokemon_names.stores.s3 import Bucket


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    event_source: Literal["aws:sqs"]
    message_id: messages.Id
    body: Any = None


def read(event: Event, settings: Settings, bucket: Bucket | None) -> Invocation | None:
    """Return the invocation for a batch of messages, or None for any other event.

    Powertools' asynchronous batch processor is not used, because it runs its own event loop.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    batch = convert(event["Records"], list[_Message])
    if not batch:
        return None
    ids = [message.message_id for message in batch]
    invocations = [_read_message(message, settings, bucket) for message in batch]
    jobs = [job for invocation in invocations for job in invocation.jobs]
    return Invocation(jobs=jobs, reply=partial(_reply, ids, invocations))


def _read_message(message: _Message, settings: Settings, bucket: Bucket | None) -> Invocation:
    """Return the invocation for one message, or for the event that it holds."""
    body = _parse_body(message.body)
    name = f"sqs/{message.message_id}"
    held = (
        s3.read(body, settings, bucket, name)
        or messages.read_eventbridge(body, settings, name)
        or messages.read_sns(body, settings, name)
    )
    if held:
        return held
    request = messages.parse_request("body", body, settings.max_numbers)
    return Invocation(jobs=[Job(request, messages.results_key(name))], reply=_raise_first)


def _parse_body(body: Any) -> Any:
    """Return the value in a message's JSON, or its text if it is not JSON."""
    if isinstance(body, str):
        body = messages.parse_json(body) or body
    return unwrapped(body)


def _raise_first(outcomes: Sequence[Outcome]) -> Reply:
    """Raise the error, if any. There is only one outcome, because the message is a request."""
    reports_of(outcomes)
    return {}


def _reply(
    ids: Sequence[str], invocations: Sequence[Invocation], outcomes: Sequence[Outcome]
) -> Reply:
    """Return the partial batch response, which names the messages that failed."""
    remaining = iter(outcomes)
    failed = []
    for message_id, invocation in zip(ids, invocations, strict=True):
        try:
            invocation.reply(list(islice(remaining, len(invocation.jobs))))
        except Exception:  # noqa: BLE001  whatever it is, only this message fails
            failed.append({"itemIdentifier": message_id})
    return {"batchItemFailures": failed}
