"""AWS events in, replies out.

Each source of events is a module whose `read` turns an event into an `Invocation`: jobs, and a
function that replies with their outcomes. A source may import `report`, `views`, `model`, `ranges`,
`settings` and the bucket of `stores`.
"""

from typing import Any

from pokemon_names.settings import Settings
from pokemon_names.sources import direct
from pokemon_names.sources.base import Invocation, unwrapped
from pokemon_names.stores.s3 import Bucket


def detect(event: Any, settings: Settings, bucket: Bucket | None) -> Invocation:
    """Return the invocation that an event stands for; only its shape decides which source reads it.

    An event that no source recognizes is a direct call: from the Lambda API, `sam local invoke`, or
    somebody's state machine. Lambda's record of a failed event stands for that event. A source's
    module is imported when its first event arrives.
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
