"""AWS events in, replies out: every source of events is one class, a `Source`.

It may import `report`, `views`, `model` and `ranges`. A source's module is imported when the first
event comes that may be one of its events.
"""

from importlib import import_module
from typing import Any

from pokemon_names.sources.base import Deployment, Source, unwrapped
from pokemon_names.sources.direct import Direct

# In this order: a field that only events of the source have, its module and its class.
SOURCES = (
    ("requestContext", "http", "Http"),
    ("Records", "sqs", "SqsBatch"),
    ("Records", "messages", "SnsNotification"),
    ("detail-type", "s3", "S3Upload"),
    ("detail-type", "messages", "EventBridgeEvent"),
    ("task", "stepfunctions", "Plan"),
    ("task", "stepfunctions", "FetchChunk"),
    ("task", "stepfunctions", "Merge"),
)


def detect(event: Any, deployment: Deployment) -> Source[Any]:
    """Return the source of an event, which its shape alone decides.

    An event that no source recognises is a direct call: of the Lambda API, of `sam local invoke`,
    or of somebody's state machine. Lambda's record of an event that failed stands for the event.

    Raises:
        InvalidRequest: The event is a task of the state machine, but lacks a field.
    """
    event = unwrapped(event)
    if isinstance(event, dict):
        for field, module_name, class_name in SOURCES:
            if field in event:
                module = import_module(f"{__name__}.{module_name}")
                source_class: type[Source[Any]] = getattr(module, class_name)
                source = source_class.from_event(event, deployment)
                if source:
                    return source
    return Direct(event, deployment)
