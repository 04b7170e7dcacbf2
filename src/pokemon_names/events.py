"""An event of any source becomes requests, and their reports that source's reply.

What an event is shows in its shape alone: a `requestContext` of `http`, of `elb` or beside an `httpMethod` is HTTP; the
messaging services name themselves in `Records` or have a `detail-type`; a `task` is one of the state machine's; and
anything else is a direct call: the Lambda API, `sam local invoke`, a state machine of somebody else's.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pokemon_names.item import Item, Result, Source, reports
from pokemon_names.request import InvalidRequest, Request

if TYPE_CHECKING:
    from pokemon_names.bucket import Bucket
    from pokemon_names.messages import Notification, Queue, Rule
    from pokemon_names.states import Fetch, Gather, Plan
    from pokemon_names.upload import Upload
    from pokemon_names.web import Http


class Direct(Source, frozen=True):
    """A call whose event is the request and whose reply is the report."""

    event: Any

    def items(self, max_numbers: int) -> list[Item]:
        """Read the event's own fields."""
        if not isinstance(self.event, dict):
            raise InvalidRequest("event", self.event, "a JSON object")
        return [Item(Request.from_fields(self.event, max_numbers))]

    def reply(self, results: Sequence[Result]) -> dict[str, Any]:
        """Give the report as it is, or raise: a state machine catches `InvalidRequest` by its name."""
        (report,) = reports(results)
        return report.as_dict()


if TYPE_CHECKING:
    AnySource = Http | Direct | Fetch | Queue | Notification | Rule | Upload


def read(event: Any, bucket: "Bucket | None" = None) -> "AnySource | Plan | Gather":
    """Tell the source of an event; a task that is none raises InvalidRequest.

    A source's code is imported when the first of its events comes.
    """
    if not isinstance(event, dict):
        return Direct(event)
    context = event.get("requestContext")
    if isinstance(context, dict) and ("http" in context or "elb" in context or "httpMethod" in event):
        from pokemon_names.web import Http  # noqa: PLC0415

        return Http.from_event(event)
    if event.keys() & {"Records", "detail-type"} and (message := _message(event, bucket)):
        return message
    if "task" in event:
        from pokemon_names import states  # noqa: PLC0415

        return states.read(event)
    return Direct(event)


def _message(event: dict[str, Any], bucket: "Bucket | None") -> "Queue | Notification | Rule | Upload | None":
    from pokemon_names.messages import Notification, Queue, Rule  # noqa: PLC0415
    from pokemon_names.upload import Created, Upload  # noqa: PLC0415

    kinds: tuple[type[Created | Queue | Notification | Rule], ...] = (Created, Queue, Notification, Rule)
    for kind in kinds:
        with suppress(ValueError):  # msgspec's own, or a key that is no Unicode
            message = msgspec.convert(event, kind)
            return Upload(message, bucket) if isinstance(message, Created) else message
    return None
