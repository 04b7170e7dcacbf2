"""The part of AWS that moto lacks: Lambda, with one environment and its asynchronous events.

Importing this module takes a second, so tests import it late.
"""

import copy
import json
import threading
import uuid
from collections import Counter
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.events.models import Rule
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer import (
    result_writer_decl,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker, SyncExecutionWorker

from tests.conftest import sample
from tests.tools.invoke import Context

MAX_ATTEMPTS = 3  # for an asynchronous event

Event = dict[str, Any]


class Lambda:
    """One environment, which handles one event at a time, and the events that wait for it.

    `throttles` says how often an event is refused before it is handled, and `deaths` how often it
    then kills the environment before it succeeds. Their keys are what `name_of` returns.
    """

    def __init__(self, app: ModuleType, failures_queue: str) -> None:
        self.waiting: list[Event] = []
        self.deaths: dict[str, int] = {}
        self.throttles: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._app = app
        self._failures_queue = failures_queue
        self._one_at_a_time = threading.Lock()

    def handle(self, event: Event) -> dict[str, Any]:
        name = name_of(event)
        with self._one_at_a_time:
            self.calls[name] += 1
            if self.calls[name] <= self.deaths.get(name, 0):
                raise MemoryError
            reply: dict[str, Any] = self._app.handler(event, Context())
            return reply

    def invoke(self, body: str, response_headers: dict[str, str]) -> bytes:
        """Return what the Invoke API returns."""
        event = json.loads(body)
        name = name_of(event)
        if self.throttles[name]:
            self.throttles[name] -= 1
            raise LambdaClientError("TooManyRequestsException", "Rate Exceeded.")
        try:
            reply = self.handle(event)
        except Exception as error:  # noqa: BLE001  as Lambda does
            response_headers["x-amz-function-error"] = "Unhandled"
            reply = {"errorType": type(error).__name__, "errorMessage": str(error)}
        return json.dumps(reply).encode()

    def run(self) -> None:
        """Handle each waiting event until it succeeds or goes to the failure destination."""
        for event in self.waiting:
            error = self._handle_waiting(event)
            if error:
                record = sample("failure-record")
                record["requestPayload"] = event
                sqs = boto3.client("sqs")
                sqs.send_message(QueueUrl=self._failures_queue, MessageBody=json.dumps(record))
        self.waiting.clear()

    def _handle_waiting(self, event: Event) -> Exception | None:
        """Return why the last attempt failed, or None if one succeeded."""
        last_error = None
        for _ in range(MAX_ATTEMPTS):
            try:
                self.handle(event)
            except Exception as error:  # noqa: BLE001  as Lambda does
                last_error = error
            else:
                return None
        return last_error


def name_of(event: Event) -> str:
    """Return what identifies an event: the file of a chunk, or a task of the state machine."""
    key: str = event.get("key") or event.get("task", "")
    return key.rpartition("/")[2]


def route_calls_to(running: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Route moto's calls to the function, and run a state machine to its end when it is started."""

    def invoke(
        _: Any,
        function_name: str,  # noqa: ARG001
        qualifier: str | None,  # noqa: ARG001
        body: str,
        headers: Any,  # noqa: ARG001
        response_headers: dict[str, str],
    ) -> bytes:
        return running.invoke(body, response_headers)

    write = result_writer_decl.ResultWriter.eval

    def write_results(writer: Any, env: Environment) -> None:
        """Take the key to write to from the state's input, as AWS does; moto uses its results."""
        env.stack.append(env.states.get_input())
        write(writer, env)

    def publish(_: Any, _name: str, message: str, **__: Any) -> None:
        event = sample("sns")
        event["Records"][0]["Sns"]["Message"] = message
        running.waiting.append(event)

    def match(rule: Rule, event: Any, **_: Any) -> None:
        if rule.event_pattern.matches_event(event):
            running.waiting.append(as_aws_sends_it(event))

    monkeypatch.setattr(result_writer_decl.ResultWriter, "eval", write_results)
    monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)
    monkeypatch.setattr(LambdaSimpleBackend, "send_sns_message", publish)
    monkeypatch.setattr(Rule, "send_to_targets", match)
    monkeypatch.setattr(ExecutionWorker, "start", SyncExecutionWorker.start)


def as_aws_sends_it(event: Event) -> Event:
    """Return a copy of moto's event with an id and, for S3, `etag` instead of moto's `eTag`."""
    event = copy.deepcopy(event)
    if not event["id"]:
        event["id"] = str(uuid.uuid4())
    if event["source"] == "aws.s3":
        event["detail"]["object"]["etag"] = event["detail"]["object"].pop("eTag")
    return event
