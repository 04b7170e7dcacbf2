"""The stack in moto, with the real handler behind it and the local PokeAPI behind that.

Where moto stops and AWS goes on, the test plays AWS's part: Lambda, with one environment and its
queue of asynchronous events; and the poller of an event source mapping, because moto's own deletes
the messages that a reply reports as failed.
"""

import copy
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import DefaultConfig
from moto.events.models import Rule
from moto.stepfunctions.models import stepfunctions_backends
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer import (
    result_writer_decl,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment

from pokemon_names.fetching.policy import Policy
from tests import stack
from tests.conftest import NAMES, REGION, LoadApp, ReadReports, account, reports_in, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

pytestmark = pytest.mark.filterwarnings(stack.IGNORED)

ACCOUNT = "123456789012"
EVERYTHING = "1-1025,10001-10326"
MAX_ATTEMPTS = 3  # for an asynchronous event
TIMING = [
    "total_ms",
    "p50_ms",
    "p95_ms",
    "max_ms",
    "requests",
    "retries",
    "cached",
    "stale",
    "listed",
    "bytes",
]
MOTO: DefaultConfig = {
    "stepfunctions": {"execute_state_machine": True},
    "lambda": {"use_docker": False},
}

Made = Mapping[str, str]
Event = dict[str, Any]


class Lambda:
    """One environment, which handles one event at a time, and the events that wait for it.

    `deaths` is how often the environment dies of an event first, and `throttles` how often the
    event is refused before that, both by `name_of` the event.
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
        """Return what the Invoke API does."""
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
        """Handle each waiting event until it succeeds, or goes to the failure destination."""
        for event in self.waiting:
            error = self._handle_waiting(event)
            if error:
                record = sample("failure-record")
                record["requestPayload"] = event
                send(self._failures_queue, json.dumps(record))
        self.waiting.clear()

    def _handle_waiting(self, event: Event) -> Exception | None:
        """Return why the last attempt failed, None where one succeeded."""
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
    """Return a name for what the event is: a chunk's file, or a task of the state machine."""
    key: str = event.get("key") or event.get("task", "")
    return key.rpartition("/")[2]


@pytest.fixture
def made() -> Iterator[Made]:
    """Deploy the stack, and yield its resources' names."""
    with account(MOTO):
        made = stack.deploy()
        boto3.client("sns").subscribe(
            TopicArn=made["Topic"],
            Protocol="lambda",
            Endpoint=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{made['PokemonNames']}",
        )
        boto3.client("s3").put_bucket_notification_configuration(
            Bucket=made["Bucket"], NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        # CloudFormation makes state machines of another backend of moto's, which do not run.
        backend = stepfunctions_backends[ACCOUNT][REGION]
        machine = backend.describe_state_machine(made["EveryName"])
        boto3.client("stepfunctions").create_state_machine(
            name=machine.name, definition=machine.definition, roleArn=machine.roleArn
        )
        client = boto3.client("lambda")
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield made


@pytest.fixture
def running(made: Made, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch) -> Lambda:
    """Lead moto's calls to the handler."""
    app = load_app(RESULTS_BUCKET=made["Bucket"])
    running = Lambda(app, made["Failures"])

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
        """Write where the state's input says, as AWS does; moto would look into the results."""
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
    return running


def as_aws_sends_it(event: Event) -> Event:
    """Return a copy of moto's event with an id, and for S3 with the field that moto calls eTag."""
    event = copy.deepcopy(event)
    if not event["id"]:
        event["id"] = str(uuid.uuid4())
    if event["source"] == "aws.s3":
        event["detail"]["object"]["etag"] = event["detail"]["object"].pop("eTag")
    return event


@pytest.fixture
def read_reports(made: Made) -> ReadReports:
    return lambda: reports_in(boto3.resource("s3").Bucket(made["Bucket"]))


def send(queue: str, body: str) -> str:
    """Send a message, and return its id."""
    id_: str = boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=body)["MessageId"]
    return id_


def receive(queue: str) -> list[dict[str, Any]]:
    received = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    messages: list[dict[str, Any]] = received.get("Messages", [])
    return messages


def queue_length(queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    reply = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    return int(reply["Attributes"][name])


def receive_bodies(queue: str) -> list[Any]:
    return [json.loads(message["Body"]) for message in receive(queue)]


def poll(running: Lambda, queue: str) -> list[str]:
    """Do once what an event source mapping does, and return the ids of the messages that failed.

    These can be received again at once.
    """
    sqs = boto3.client("sqs")
    messages = receive(queue)
    if not messages:
        return []
    records = []
    for message in messages:
        fields = {"messageId": message["MessageId"], "body": message["Body"]}
        records.append({"eventSource": "aws:sqs", **fields})
    reply = running.handle({"Records": records})
    failed = [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]
    for message in messages:
        receipt = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
        if message["MessageId"] in failed:
            sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
        else:
            sqs.delete_message(**receipt)
    return failed


def test_messages_become_reports_and_a_bad_one_becomes_a_dead_letter(
    made: Made, running: Lambda, read_reports: ReadReports
) -> None:
    queue = made["Requests"]
    first = send(queue, '{"range": "1"}')
    second = send(queue, '{"range": "2"}')
    bad = send(queue, '{"range": "x"}')
    assert [poll(running, queue) for _ in range(6)] == [*[[bad]] * 5, []]
    reports = read_reports()
    assert reports[f"results/sqs/{first}.json"]["names"] == ["bulbasaur"]
    assert reports[f"results/sqs/{second}.json"]["names"] == ["ivysaur"]
    assert reports[f"results/sqs/{bad}.json"]["field"] == "body.range"
    assert receive_bodies(made["DeadRequests"]) == [{"range": "x"}]


def test_a_message_with_a_retryable_failure_comes_again_alone(
    made: Made, running: Lambda, read_reports: ReadReports, pokeapi: PokeAPI
) -> None:
    ivysaur = answers.json('{"name": "ivysaur"}')
    pokeapi.answers[2] = answers.first(answers.status(400), answers.status(400), then=ivysaur)
    pokeapi.answers[PokeAPI.LIST] = answers.status(400)
    queue = made["Requests"]
    send(queue, '{"range": "1-3"}')
    send(queue, '{"range": "4-6"}')
    assert [len(poll(running, queue)) for _ in range(3)] == [1, 0, 0]
    assert [report["complete"] for report in read_reports().values()] == [True, True]
    # Number 2 is sent by both spellings of its path, and then once more.
    assert pokeapi.requests == 7 + 1 + Policy().max_list_attempts
    assert receive_bodies(made["DeadRequests"]) == []


def test_a_published_notification(made: Made, running: Lambda, read_reports: ReadReports) -> None:
    boto3.client("sns").publish(TopicArn=made["Topic"], Message='{"range": "151"}')
    running.run()
    assert [report["names"] for report in read_reports().values()] == [["mew"]]


def test_an_event_on_the_bus(running: Lambda, read_reports: ReadReports) -> None:
    event = {"DetailType": "NamesWanted", "Detail": '{"range": "151"}'}
    entries = [{**event, "Source": source} for source in ("pokemon-names", "somebody-else")]
    boto3.client("events").put_events(Entries=entries)
    running.run()
    assert [report["names"] for report in read_reports().values()] == [["mew"]]


def test_an_object_with_requests(made: Made, running: Lambda, read_reports: ReadReports) -> None:
    s3 = boto3.client("s3")
    for key in ("requests/two.jsonl", "elsewhere/two.jsonl"):
        s3.put_object(Bucket=made["Bucket"], Key=key, Body='{"range": "151"}\n{"range": "1"}\n')
    running.run()
    assert [report["names"] for report in read_reports().values()] == [["mew"], ["bulbasaur"]]


def test_events_whose_attempts_all_fail_are_tried_again_once_somebody_says_so(
    made: Made, running: Lambda, read_reports: ReadReports, pokeapi: PokeAPI
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 2: answers.status(400)}
    boto3.client("sns").publish(TopicArn=made["Topic"], Message='{"range": "1-3"}')
    running.run()
    (report,) = read_reports().values()
    assert report["names"] == ["bulbasaur", "venusaur"]
    assert queue_length(made["Failures"]) == 1
    assert len(poll(running, made["Failures"])) == 1
    pokeapi.answers = {}
    assert poll(running, made["Failures"]) == []
    (report,) = read_reports().values()
    assert report["names"] == ["bulbasaur", "ivysaur", "venusaur"]
    assert queue_length(made["Failures"]) == 0


def test_a_bad_event_is_refused_at_its_first_attempt(
    made: Made, running: Lambda, read_reports: ReadReports
) -> None:
    boto3.client("sns").publish(TopicArn=made["Topic"], Message="no request")
    running.run()
    (refusal,) = read_reports().values()
    assert (refusal["error"], refusal["field"]) == ("InvalidRequest", "Message")
    assert running.calls.total() == 1
    assert queue_length(made["Failures"]) == 0


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let moto's retries wait for nothing, and return the seconds that they would have waited."""
    waits: list[float] = []
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=waits.append))
    return waits


def execute(made: Made, name: str, **request: Any) -> dict[str, Any]:
    """Run the state machine, and return the description of its execution once that has ended."""
    states = boto3.client("stepfunctions")
    started = states.start_execution(
        stateMachineArn=made["EveryName"], name=name, input=json.dumps(request)
    )
    while True:
        execution = states.describe_execution(executionArn=started["executionArn"])
        if execution["status"] != "RUNNING":
            return dict(execution)
        time.sleep(0.05)


def test_failed_chunks_are_retried_and_one_that_always_fails_is_tolerated(
    made: Made,
    running: Lambda,
    read_reports: ReadReports,
    pokeapi: PokeAPI,
    waits: list[float],
) -> None:
    mewtwo = answers.json('{"name": "mewtwo"}')
    pokeapi.answers[150] = answers.first(answers.status(400), answers.status(400), then=mewtwo)
    pokeapi.answers[PokeAPI.LIST] = answers.status(400)
    running.deaths = {"4.json": 1, "7.json": 99}
    execution = execute(made, "all", range=EVERYTHING)
    assert execution["status"] == "SUCCEEDED", execution
    report = read_reports()["results/states/all.json"]
    failed = list(NAMES)[472:540]
    assert report["names"] == [name for number, name in NAMES.items() if number not in failed]
    assert [failure["number"] for failure in report["failures"]] == failed
    assert {failure["reason"] for failure in report["failures"]} == {"chunk"}
    assert report["range"] == EVERYTHING
    assert report["strategy"] == "gather"
    assert report["complete"] is False
    assert report["count"] == 1283
    assert list(report["timing"]) == TIMING
    assert {key: calls for key, calls in running.calls.items() if calls > 1} == {
        "2.json": 2,
        "4.json": 2,
        "7.json": 4,
    }
    assert len(waits) == 5
    output = json.loads(execution["output"])
    assert output["key"] == "results/states/all.json"
    assert output["count"] == 1283
    assert output["failures"] == {"chunk": 68}


def items_of_map(execution: dict[str, Any]) -> dict[str, int]:
    """Return how many chunks ended in which way."""
    states = boto3.client("stepfunctions")
    (run,) = states.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    return dict(states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"])


def test_chunks_that_lack_few_names_do_not_fail(
    made: Made,
    running: Lambda,
    read_reports: ReadReports,
    pokeapi: PokeAPI,
    waits: list[float],
) -> None:
    bad = list(range(10, 210, 20))
    for number in [PokeAPI.LIST, *bad]:
        pokeapi.answers[number] = answers.status(403)
    execution = execute(made, "few", range="1-200")
    assert execution["status"] == "SUCCEEDED", execution
    assert items_of_map(execution)["succeeded"] == 20
    assert items_of_map(execution)["failed"] == 0
    assert len(waits) == 3 * len(bad)
    assert json.loads(execution["output"])["failures"] == {"bad_status": 10}
    report = read_reports()["results/states/few.json"]
    assert [failure["number"] for failure in report["failures"]] == bad
    assert running.calls["merge"] == 1


def cause_of(execution: dict[str, Any]) -> dict[str, Any]:
    """Return the summary that the cause ends with, once it has told that a redrive is useless."""
    advice, brace, summary = execution["cause"].partition("{")
    assert "start a new execution" in advice
    report: dict[str, Any] = json.loads(brace + summary)
    return report


@pytest.mark.usefixtures("running", "waits")
def test_where_too_many_names_are_missing_the_report_is_stored_and_the_execution_fails(
    made: Made, read_reports: ReadReports, pokeapi: PokeAPI
) -> None:
    for number in (PokeAPI.LIST, 3, 30):
        pokeapi.answers[number] = answers.status(403)
    execution = execute(made, "many", range="1-8,30")
    assert execution["status"] == "FAILED"
    assert execution["error"] == "TooManyFailed"
    assert items_of_map(execution)["failed"] == 0
    assert cause_of(execution)["failures"] == {"bad_status": 2}
    assert cause_of(execution)["key"] == "results/states/many.json"
    assert read_reports()["results/states/many.json"]["count"] == 7


def test_a_throttled_task_has_attempts_beside_those_of_one_that_fails(
    made: Made, running: Lambda, waits: list[float]
) -> None:
    running.throttles = Counter({"plan": 8, "0.json": 8, "merge": 8})
    running.deaths = {"plan": 3, "0.json": 3, "merge": 3}
    execution = execute(made, "busy", range="1-3")
    assert execution["status"] == "SUCCEEDED", execution
    assert running.calls == {"plan": 4, "0.json": 4, "1.json": 1, "2.json": 1, "merge": 4}
    assert len(waits) == 3 * (8 + 3)


@pytest.mark.usefixtures("waits")
def test_a_chunk_that_is_throttled_for_good_has_no_report(
    made: Made, running: Lambda, read_reports: ReadReports
) -> None:
    running.throttles = Counter({"0.json": 9})
    execution = execute(made, "busy", range="1-10")
    assert execution["status"] == "SUCCEEDED", execution
    assert items_of_map(execution)["failed"] == 1
    (failure,) = read_reports()["results/states/busy.json"]["failures"]
    assert (failure["number"], failure["reason"]) == (1, "chunk")


@pytest.mark.usefixtures("running")
def test_all_that_an_execution_stores_beside_its_report_is_in_one_folder(made: Made) -> None:
    execution = execute(made, "x", range="1-2")
    started = execution["startDate"].astimezone(UTC)
    bucket = boto3.resource("s3").Bucket(made["Bucket"])
    keys = [listed.key.split("/") for listed in bucket.objects.filter(Prefix="runs/")]
    ((_, name, folder),) = {tuple(key[:3]) for key in keys}
    assert name == "x"
    assert folder.startswith(f"{started:%Y%m%dT%H%M%S}.")
    files = sorted(key[-1] for key in keys)
    assert files == ["0.json", "1.json", "chunks.json", "manifest.json"]


def test_where_too_many_chunks_fail_the_others_are_merged_and_the_execution_fails(
    made: Made, running: Lambda, read_reports: ReadReports, waits: list[float]
) -> None:
    """Moto tolerates any failure, so here the list of chunks is not found and none is fetched."""
    states = boto3.client("stepfunctions")
    definition = states.describe_state_machine(stateMachineArn=made["EveryName"])["definition"]
    replacements = {
        "$.chunks.key": "$.request.range",
        "States.ExceedToleratedFailureThreshold": "States.ALL",
    }
    for old, new in replacements.items():
        assert old in definition
        definition = definition.replace(old, new)
    states.update_state_machine(stateMachineArn=made["EveryName"], definition=definition)
    execution = execute(made, "few", range="1-3")
    assert execution["status"] == "FAILED"
    assert execution["error"] == "TooManyFailed"
    assert cause_of(execution)["failures"] == {"chunk": 3}
    report = read_reports()["results/states/few.json"]
    assert [failure["number"] for failure in report["failures"]] == [1, 2, 3]
    assert running.calls == {"plan": 1, "merge": 1}
    assert waits == []


def test_a_bad_request_fails_the_execution_with_its_own_error(
    made: Made, running: Lambda, waits: list[float]
) -> None:
    execution = execute(made, "bad", range="1-x")
    assert execution["status"] == "FAILED"
    assert execution["error"] == "InvalidRequest"
    assert "range: got '1-x', allowed: " in execution["cause"]
    assert running.calls == {"plan": 1}
    assert waits == []
