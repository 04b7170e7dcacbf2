"""AWS events in, replies out.

Each source of events has a function, `read` or `read_…`, that turns an event into an `Invocation`:
jobs, and a function that turns their outcomes into the reply. A source may import `report`,
`views`, `model`, `ranges`, `settings` and the bucket in `stores`.
"""

from typing import Any

from pokemon_names.settings import Settings
from pokemon_names.sources import direct
from pokemon_names.sources.base import Invocation, unwrapped
from pokemon_names.stores.s3 import Bucket


def detect(event: Any, settings: Settings, bucket: Bucket | None) -> Invocation:
    """Return the invocation for an event. The event's shape decides which source reads it.

    An event that no source recognizes is a direct call from the Lambda API, `sam local invoke` or a
    caller's own state machine. If the event is Lambda's record of a failed invocation, the event
    inside it is read. Each source's module is imported when its first event arrives.
    """
    event = unwrapped(event)
    invocation: Invocation | None = None
    match event:
        case {"requestContext": _}:
            from pokemon_names.sources import http  # noqa: PLC0415

            invocation = http.read(event, settings)
        case {"Records": _}:
            from pokemon_names.sources import messages, sqs  # noqa: PLC0415

            invocation = sqs.read(event, settings, bucket) or messages.read_sns(event, settings)
        case {"detail-type": _}:
            from pokemon_names.sources import messages, s3  # noqa: PLC0415

            invocation = s3.read(event, settings, bucket)
            invocation = invocation or messages.read_eventbridge(event, settings)
        case {"task": _}:
            from pokemon_names.sources import stepfunctions  # noqa: PLC0415

            invocation = stepfunctions.read(event, settings, bucket)
    return invocation or direct.read(event, settings)
