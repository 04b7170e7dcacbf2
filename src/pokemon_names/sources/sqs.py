"""SQS: each message is a request, or an event that holds requests.

Such an event is that of another source: a queue may be the target of a rule, and the queue of
failures has what Lambda, the rules, the schedule and the topic could not deliver. The reports are
stored as those of messages.py, but under the message's id, whatever id its event has: who may only
send messages must not replace what another source has stored. A message fails where that source
would raise, or where it is a bad request itself: SQS delivers it again, without the rest of its
batch, and then moves it to the dead letters.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from pokemon_names.model import InvalidRequest
from pokemon_names.sources.base import Job, JobResult, Reply, Source, unwrapped
from pokemon_names.sources.messages import (
    AsynchronousSource,
    EventBridgeEvent,
    Id,
    SnsNotification,
    parse_json,
    parse_request,
    results_key,
)
from pokemon_names.sources.s3 import S3Upload

_HELD_SOURCES = (S3Upload, EventBridgeEvent, SnsNotification)


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    event_source: Literal["aws:sqs"]
    message_id: Id
    body: Any = None


class _Event(msgspec.Struct, frozen=True, rename="pascal"):
    records: Annotated[list[_Message], msgspec.Meta(min_length=1)]


class _Owner(msgspec.Struct, frozen=True):
    """The message of a job, and whether it is a request itself."""

    message_id: str
    is_request: bool


class SqsBatch(Source[_Event]):
    """Messages of a queue.

    Powertools' asynchronous batch processor runs an event loop of its own, so it cannot be used.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """

    shape = _Event

    def jobs(self) -> list[Job]:
        """Return the jobs of all messages, whatever their bodies are."""
        self._owners: list[_Owner] = []
        jobs: list[Job] = []
        for message in self.event.records:
            body = _parse_body(message)
            source = self._held_source(body)
            name = f"sqs/{message.message_id}"
            if source:
                jobs_of_message = source.jobs_under(name)
            else:
                request = parse_request("body", body, self.deployment.max_numbers)
                jobs_of_message = [Job(request, results_key(name))]
            owner = _Owner(message.message_id, is_request=source is None)
            self._owners.extend([owner] * len(jobs_of_message))
            jobs.extend(jobs_of_message)
        return jobs

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return the partial batch response, which names the messages that failed."""
        failed: dict[str, None] = {}
        for owner, result in zip(self._owners, results, strict=True):
            is_refusal = isinstance(result.error, InvalidRequest)
            if result.error and (owner.is_request or not is_refusal):
                failed[owner.message_id] = None
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    def _held_source(self, body: Any) -> AsynchronousSource[Any] | None:
        """Return the source of the event in a message, None where the message is a request."""
        for source_class in _HELD_SOURCES:
            source: AsynchronousSource[Any] | None = source_class.from_event(body, self.deployment)
            if source:
                return source
        return None


def _parse_body(message: _Message) -> Any:
    """Return a message's JSON, or its text where it is none."""
    body = message.body
    if isinstance(body, str):
        body = parse_json(body) or body
    return unwrapped(body)
