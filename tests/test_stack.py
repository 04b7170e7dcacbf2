"""The stack in moto, with the real handler behind it and the local PokeAPI behind that.

Where moto stops and AWS goes on, the test plays AWS's part: Lambda, with one environment and its queue of asynchronous
events; and the poller of an event source mapping, because moto's own deletes what a reply reports as failed.
"""

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import DefaultConfig
from moto.events.models import Rule
from moto.stepfunctions.models import stepfunctions_backends
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from tests import stack
from tests.conftest import REGION, Kept, account, sample
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.bodies import pokemon

pytestmark = pytest.mark.filterwarnings(stack.IGNORED)

EVERYTHING = "1-1025,10001-10326"
ATTEMPTS = 3  # of an asynchronous event
TIMING = ["total_ms", "p50_ms", "p95_ms", "max_ms", "requests", "retries", "cached", "stale", "bytes"]
MOTO: DefaultConfig = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
NAMES = {one.number: one.name for one in pokemon().values()}


class Lambda:
    """One environment, which takes one event at a time, and the events that wait for it."""

    def __init__(self, app: ModuleType, failures: str) -> None:
        self.app, self.failures = app, failures
        self.waiting = list[dict[str, Any]]()
        self.deaths = dict[str, int]()  # by the key of a chunk, how often the environment dies of it
        self.calls = Counter[str]()
        self.one_at_a_time = threading.Lock()

    def handle(self, event: dict[str, Any]) -> dict[str, Any]:
        with self.one_at_a_time:
            self.calls[key := event.get("key", "")] += 1
            if self.calls[key] <= self.deaths.get(key, 0):
                raise MemoryError
            reply: dict[str, Any] = self.app.handler(event, Context())
            return reply

    def invoke(self, _function: str, _qualifier: str | None, body: str, _headers: Any, response_headers: Any) -> bytes:
        """Answer the Invoke API."""
        try:
            return json.dumps(self.handle(json.loads(body))).encode()
        except Exception as error:  # noqa: BLE001  as Lambda does
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()

    def run(self) -> None:
        """Try each waiting event until it succeeds, or goes to the failure destination."""
        for event in self.waiting:
            for left in reversed(range(ATTEMPTS)):
                try:
                    self.handle(event)
                    break
                except Exception as error:  # noqa: BLE001  as Lambda does
                    if not left:
                        record = {"requestPayload": event, "responsePayload": {"errorType": type(error).__name__}}
                        boto3.client("sqs").send_message(QueueUrl=self.failures, MessageBody=json.dumps(record))
        self.waiting.clear()


@pytest.fixture
def made() -> Iterator[dict[str, str]]:
    """Deploy the stack; gives its resources' names."""
    with account(MOTO):
        made = stack.deploy()
        boto3.client("sns").subscribe(
            TopicArn=made["Topic"],
            Protocol="lambda",
            Endpoint=f"arn:aws:lambda:eu-central-1:123456789012:function:{made['PokemonNames']}",
        )
        boto3.client("s3").put_bucket_notification_configuration(
            Bucket=made["Bucket"], NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        # Moto's state machines that run are others than those that CloudFormation makes.
        machine = stepfunctions_backends["123456789012"][REGION].describe_state_machine(made["EveryName"])
        boto3.client("stepfunctions").create_state_machine(
            name=machine.name, definition=machine.definition, roleArn=machine.roleArn
        )
        client = boto3.client("lambda")
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield made


@pytest.fixture
def running(made: dict[str, str], load_app: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch) -> Lambda:
    """Lead moto's calls to the handler."""
    environment = load_app(RESULTS_BUCKET=made["Bucket"], CHUNK_NUMBERS="100")
    running = Lambda(environment, made["Failures"])

    def publish(_: Any, _name: str, message: str, **__: Any) -> None:
        event = sample("sns")
        event["Records"][0]["Sns"]["Message"] = message
        running.waiting.append(event)

    def match(rule: Rule, event: Any, **_: Any) -> None:
        if rule.event_pattern.matches_event(event):
            running.waiting.append(as_aws_has_it(event))

    monkeypatch.setattr(
        LambdaSimpleBackend, "invoke", lambda _, *given, **named: running.invoke(*given, *named.values())
    )
    monkeypatch.setattr(LambdaSimpleBackend, "send_sns_message", publish)
    monkeypatch.setattr(Rule, "send_to_targets", match)
    return running


def as_aws_has_it(event: dict[str, Any]) -> dict[str, Any]:
    """Give an event an id, and S3's the field that moto spells `eTag`."""
    event = json.loads(json.dumps({**event, "id": event["id"] or str(uuid.uuid4())}))
    if event["source"] == "aws.s3":
        event["detail"]["object"]["etag"] = event["detail"]["object"].pop("eTag")
    return event


@pytest.fixture
def kept(made: dict[str, str]) -> Kept:
    def kept() -> dict[str, dict[str, Any]]:
        objects = boto3.resource("s3").Bucket(made["Bucket"]).objects.filter(Prefix="results/")
        return {one.key: json.load(one.get()["Body"]) for one in objects}

    return kept


def poll(running: Lambda, queue: str) -> list[str]:
    """Do once what an event source mapping does; gives the messages that failed, which come again at once."""
    sqs = boto3.client("sqs")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    if not messages:
        return []
    records = [{"eventSource": "aws:sqs", "messageId": one["MessageId"], "body": one["Body"]} for one in messages]
    reply = running.handle({"Records": records})
    failed = [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]
    for one in messages:
        handle = {"QueueUrl": queue, "ReceiptHandle": one["ReceiptHandle"]}
        if one["MessageId"] in failed:
            sqs.change_message_visibility(**handle, VisibilityTimeout=0)
        else:
            sqs.delete_message(**handle)
    return failed


def bodies(queue: str) -> list[Any]:
    messages = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(one["Body"]) for one in messages]


def test_messages_end_as_objects_and_a_poisoned_one_as_a_dead_letter(
    made: dict[str, str], running: Lambda, kept: Kept
) -> None:
    sqs, queue = boto3.client("sqs"), made["Requests"]
    good = [sqs.send_message(QueueUrl=queue, MessageBody=f'{{"range": "{n}"}}')["MessageId"] for n in (1, 2)]
    bad = sqs.send_message(QueueUrl=queue, MessageBody='{"range": "x"}')["MessageId"]
    assert [poll(running, queue) for _ in range(4)] == [[bad], [bad], [bad], []]
    assert {key: report["names"] for key, report in kept().items()} == {
        f"results/sqs/{good[0]}.json": ["bulbasaur"],
        f"results/sqs/{good[1]}.json": ["ivysaur"],
    }
    assert bodies(made["DeadRequests"]) == [{"range": "x"}]


def test_a_message_that_pokeapi_fails_once_comes_again_alone(
    made: dict[str, str], running: Lambda, kept: Kept, pokeapi: PokeAPI
) -> None:
    pokeapi.answers[2] = answers.first(answers.status(400), then=answers.json('{"name": "ivysaur"}'))
    for numbers in ("1-3", "4-6"):
        boto3.client("sqs").send_message(QueueUrl=made["Requests"], MessageBody=f'{{"range": "{numbers}"}}')
    assert [len(poll(running, made["Requests"])) for _ in range(3)] == [1, 0, 0]
    assert [report["complete"] for report in kept().values()] == [True, True]
    assert (pokeapi.requests, bodies(made["DeadRequests"])) == (7, [])


def test_a_published_notification(made: dict[str, str], running: Lambda, kept: Kept) -> None:
    boto3.client("sns").publish(TopicArn=made["Topic"], Message='{"range": "151"}')
    running.run()
    assert [report["names"] for report in kept().values()] == [["mew"]]


def test_an_event_on_the_bus(running: Lambda, kept: Kept) -> None:
    events = [
        {"Source": source, "DetailType": "NamesWanted", "Detail": '{"range": "151"}'}
        for source in ("pokemon-names", "somebody-else")
    ]
    boto3.client("events").put_events(Entries=events)
    running.run()
    assert [report["names"] for report in kept().values()] == [["mew"]]


def test_an_object_with_requests(made: dict[str, str], running: Lambda, kept: Kept) -> None:
    s3 = boto3.client("s3")
    for key in ("requests/two.jsonl", "elsewhere/two.jsonl"):
        s3.put_object(Bucket=made["Bucket"], Key=key, Body='{"range": "151"}\n{"range": "1"}\n')
    running.run()
    assert [report["names"] for report in kept().values()] == [["mew"], ["bulbasaur"]]


def test_an_event_that_fails_for_good_reaches_the_failure_destination(
    made: dict[str, str], running: Lambda, kept: Kept, pokeapi: PokeAPI
) -> None:
    pokeapi.answers[2] = answers.status(400)
    boto3.client("sns").publish(TopicArn=made["Topic"], Message='{"range": "1-3"}')
    boto3.client("sns").publish(TopicArn=made["Topic"], Message="no request")
    running.run()
    failed = [record["responsePayload"]["errorType"] for record in bodies(made["Failures"])]
    assert sorted(failed) == ["IncompleteError", "InvalidRequest"]
    assert [report["names"] for report in kept().values()] == [["bulbasaur", "venusaur"]]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let moto's retries wait for nothing; gives how long they would have."""
    waits = list[float]()
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=waits.append))
    return waits


def execute(made: dict[str, str], name: str, **request: Any) -> dict[str, Any]:
    states = boto3.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=made["EveryName"], name=name, input=json.dumps(request))
    while (about := states.describe_execution(executionArn=arn["executionArn"]))["status"] == "RUNNING":
        threading.Event().wait(0.05)
    return dict(about)


def test_every_name_though_two_chunks_fail_once_and_one_for_good(
    made: dict[str, str], running: Lambda, kept: Kept, pokeapi: PokeAPI, waits: list[float]
) -> None:
    once = answers.first(answers.status(400), then=answers.json(f'{{"name": "{NAMES[150]}"}}'))
    pokeapi.answers[150] = once
    running.deaths = {"runs/all/4.json": 1, "runs/all/7.json": 99}
    about = execute(made, "all", range=EVERYTHING)
    assert about["status"] == "SUCCEEDED", about
    report = kept()["results/states/all.json"]
    lost = list(NAMES)[700:800]
    assert report["names"] == [name for number, name in NAMES.items() if number not in lost]
    assert [failure["number"] for failure in report["failures"]] == lost
    assert {failure["reason"] for failure in report["failures"]} == {"chunk"}
    assert (report["range"], report["strategy"]) == (EVERYTHING, "gather")
    assert (report["complete"], report["count"]) == (False, 1251)
    assert list(report["timing"]) == TIMING
    assert {key: calls for key, calls in running.calls.items() if calls > 1} == {
        "": 2,  # plan and gather
        "runs/all/1.json": 2,
        "runs/all/4.json": 2,
        "runs/all/7.json": 4,
    }
    assert len(waits) == 5
    output = json.loads(about["output"])
    assert (output["key"], output["count"], output["failures"]) == ("results/states/all.json", 1251, {"chunk": 100})


def test_when_too_many_chunks_fail_what_came_is_gathered_and_the_execution_fails(
    made: dict[str, str], running: Lambda, kept: Kept, waits: list[float]
) -> None:
    """Moto tolerates any failure; in its place nothing at all is fetched, for the list of chunks is not found."""
    states = boto3.client("stepfunctions")
    definition = states.describe_state_machine(stateMachineArn=made["EveryName"])["definition"]
    for ours, its in (("$.chunks.key", "$.request.range"), ("States.ExceedToleratedFailureThreshold", "States.ALL")):
        assert ours in definition
        definition = definition.replace(ours, its)
    states.update_state_machine(stateMachineArn=made["EveryName"], definition=definition)
    about = execute(made, "few", range="1-3")
    assert (about["status"], about["error"]) == ("FAILED", "TooManyFailed")
    assert json.loads(about["cause"])["failures"] == {"chunk": 3}
    assert [failure["number"] for failure in kept()["results/states/few.json"]["failures"]] == [1, 2, 3]
    assert (running.calls[""], waits) == (2, [])


def test_a_bad_request_fails_the_execution_by_its_name(
    made: dict[str, str], running: Lambda, waits: list[float]
) -> None:
    about = execute(made, "bad", range="1-x")
    assert (about["status"], about["error"]) == ("FAILED", "InvalidRequest")
    assert "range: got '1-x', allowed: " in about["cause"]
    assert (running.calls[""], waits) == (1, [])
