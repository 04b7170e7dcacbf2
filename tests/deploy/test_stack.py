"""The stack in moto, with the real handler, which fetches from the local PokeAPI.

The tests replace what moto lacks: Lambda, with one environment and its queue of asynchronous
events, and the poller of an event source mapping. Moto's own poller would delete the messages that
a reply reports as failed.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pokemon_names.fetching.policy import Policy
from pokemon_names.model import Fetched
from pokemon_names.report import Report
from pokemon_names.stores import s3 as store
from tests.conftest import NAMES, REGION, LoadApp, ReadReports, account, make_request, reports_in
from tests.tools.pokeapi import PokeAPI, answers

if TYPE_CHECKING:
    from moto.core.config import DefaultConfig

    from tests.deploy.aws import Lambda

pytestmark = [
    pytest.mark.filterwarnings("ignore:Tried to parse AWS"),  # what is in stack.NOT_IN_MOTO
    pytest.mark.xdist_group("moto"),
]

ACCOUNT = "123456789012"
MOTO: "DefaultConfig" = {
    "stepfunctions": {"execute_state_machine": True},
    "lambda": {"use_docker": False},
}

Deployed = Mapping[str, str]


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """Deploy the stack once, and yield the names of its resources."""
    from moto.stepfunctions.models import stepfunctions_backends  # noqa: PLC0415  late, like stack

    from tests.deploy import stack  # noqa: PLC0415  its docstring says why

    with account(MOTO):
        deployed = stack.deploy()
        boto3.client("sns").subscribe(
            TopicArn=deployed["Topic"],
            Protocol="lambda",
            Endpoint=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{deployed['PokemonNames']}",
        )
        boto3.client("s3").put_bucket_notification_configuration(
            Bucket=deployed["Bucket"], NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        # CloudFormation creates state machines in another backend of moto, which cannot run them.
        backend = stepfunctions_backends[ACCOUNT][REGION]
        machine = backend.describe_state_machine(deployed["EveryName"])
        boto3.client("stepfunctions").create_state_machine(
            name=machine.name, definition=machine.definition, roleArn=machine.roleArn
        )
        client = boto3.client("lambda")
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield deployed


@pytest.fixture
def running(
    deployed: Deployed, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> Iterator["Lambda"]:
    """Route moto's calls to the handler; afterwards, empty the bucket."""
    from tests.deploy import aws  # noqa: PLC0415  its docstring says why

    app = load_app(RESULTS_BUCKET=deployed["Bucket"])
    monkeypatch.setattr(store, "STORE_TIMEOUT", 60.0)  # the machine may be busy
    running = aws.Lambda(app, deployed["Failures"])
    aws.route_calls_to(running, monkeypatch)
    yield running
    boto3.resource("s3").Bucket(deployed["Bucket"]).objects.delete()


@pytest.fixture
def read_reports(deployed: Deployed) -> ReadReports:
    return lambda: reports_in(boto3.resource("s3").Bucket(deployed["Bucket"]))


def receive(queue: str) -> list[dict[str, Any]]:
    received = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    messages: list[dict[str, Any]] = received.get("Messages", [])
    return messages


def queue_length(queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    reply = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    return int(reply["Attributes"][name])


def send(queue: str, body: str) -> str:
    """Send a message, and return its id."""
    id_: str = boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=body)["MessageId"]
    return id_


def take(queue: str) -> list[Any]:
    """Receive and delete messages, and return their contents."""
    messages = receive(queue)
    for message in messages:
        boto3.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def poll(running: "Lambda", queue: str) -> list[str]:
    """Poll once, as an event source mapping does, and return the ids of the messages that failed.

    These messages can be received again at once.
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
    deployed: Deployed, running: "Lambda", read_reports: ReadReports
) -> None:
    queue = deployed["Requests"]
    first = send(queue, '{"range": "1"}')
    second = send(queue, '{"range": "2"}')
    bad = send(queue, '{"range": "x"}')
    assert [poll(running, queue) for _ in range(6)] == [*[[bad]] * 5, []]
    reports = read_reports()
    assert reports[f"results/sqs/{first}.json"]["names"] == ["bulbasaur"]
    assert reports[f"results/sqs/{second}.json"]["names"] == ["ivysaur"]
    assert reports[f"results/sqs/{bad}.json"]["field"] == "body.range"
    assert take(deployed["DeadRequests"]) == [{"range": "x"}]


def test_only_a_message_with_a_retryable_failure_is_received_again(
    deployed: Deployed, running: "Lambda", read_reports: ReadReports, pokeapi: PokeAPI
) -> None:
    ivysaur = answers.json('{"name": "ivysaur"}')
    pokeapi.answers[2] = answers.first(answers.status(400), answers.status(400), then=ivysaur)
    pokeapi.answers[PokeAPI.LIST] = answers.status(400)
    queue = deployed["Requests"]
    send(queue, '{"range": "1-3"}')
    send(queue, '{"range": "4-6"}')
    assert [len(poll(running, queue)) for _ in range(3)] == [1, 0, 0]
    assert [report["complete"] for report in read_reports().values()] == [True, True]
    # Number 2 is requested with both spellings of its path, and then once more.
    assert pokeapi.requests == 7 + 1 + Policy().max_list_attempts
    assert take(deployed["DeadRequests"]) == []


def test_a_published_notification_becomes_a_report(
    deployed: Deployed, running: "Lambda", read_reports: ReadReports
) -> None:
    boto3.client("sns").publish(TopicArn=deployed["Topic"], Message='{"range": "151"}')
    running.run()
    assert [report["names"] for report in read_reports().values()] == [["mew"]]


def test_only_an_event_whose_source_is_the_stack_becomes_a_report(
    running: "Lambda", read_reports: ReadReports
) -> None:
    event = {"DetailType": "NamesWanted", "Detail": '{"range": "151"}'}
    entries = [{**event, "Source": source} for source in ("pokemon-names", "somebody-else")]
    boto3.client("events").put_events(Entries=entries)
    running.run()
    assert [report["names"] for report in read_reports().values()] == [["mew"]]


def test_only_an_object_in_requests_becomes_reports(
    deployed: Deployed, running: "Lambda", read_reports: ReadReports
) -> None:
    s3 = boto3.client("s3")
    for key in ("requests/two.jsonl", "elsewhere/two.jsonl"):
        s3.put_object(Bucket=deployed["Bucket"], Key=key, Body='{"range": "151"}\n{"range": "1"}\n')
    running.run()
    assert [report["names"] for report in read_reports().values()] == [["mew"], ["bulbasaur"]]


def test_events_whose_attempts_all_fail_wait_until_somebody_retries_them(
    deployed: Deployed, running: "Lambda", read_reports: ReadReports, pokeapi: PokeAPI
) -> None:
    pokeapi.answers = {PokeAPI.LIST: answers.status(400), 2: answers.status(400)}
    boto3.client("sns").publish(TopicArn=deployed["Topic"], Message='{"range": "1-3"}')
    running.run()
    (report,) = read_reports().values()
    assert report["names"] == ["bulbasaur", "venusaur"]
    assert queue_length(deployed["Failures"]) == 1
    assert len(poll(running, deployed["Failures"])) == 1
    pokeapi.answers = {}
    assert poll(running, deployed["Failures"]) == []
    (report,) = [one for key, one in read_reports().items() if key.startswith("results/sqs/")]
    assert report["names"] == ["bulbasaur", "ivysaur", "venusaur"]
    assert queue_length(deployed["Failures"]) == 0


def test_a_bad_event_is_refused_at_its_first_attempt(
    deployed: Deployed, running: "Lambda", read_reports: ReadReports
) -> None:
    boto3.client("sns").publish(TopicArn=deployed["Topic"], Message="no request")
    running.run()
    (refusal,) = read_reports().values()
    assert (refusal["error"], refusal["field"]) == ("InvalidRequest", "Message")
    assert running.calls.total() == 1
    assert queue_length(deployed["Failures"]) == 0


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let moto retry without waiting, and return how long each wait would have been."""
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl  # noqa: PLC0415

    waits: list[float] = []
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=waits.append))
    return waits


def execute(machine: str, name: str, **request: Any) -> dict[str, Any]:
    """Run a state machine to its end, and return the description of its execution."""
    states = boto3.client("stepfunctions")
    started = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(request))
    return dict(states.describe_execution(executionArn=started["executionArn"]))


def items_of_map(execution: dict[str, Any]) -> tuple[int, int]:
    """Return how many chunks succeeded, and how many failed."""
    states = boto3.client("stepfunctions")
    (run,) = states.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    counts = states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
    return counts["succeeded"], counts["failed"]


def cause_of(execution: dict[str, Any]) -> dict[str, Any]:
    """Return the summary at the end of the cause, after its advice to start a new execution."""
    advice, brace, summary = execution["cause"].partition("{")
    assert "start a new execution" in advice
    report: dict[str, Any] = json.loads(brace + summary)
    return report


def test_failed_chunks_are_retried_and_one_that_always_fails_is_tolerated(
    deployed: Deployed,
    running: "Lambda",
    read_reports: ReadReports,
    pokeapi: PokeAPI,
    waits: list[float],
) -> None:
    venusaur = answers.json('{"name": "venusaur"}')
    pokeapi.answers[3] = answers.first(answers.status(400), answers.status(400), then=venusaur)
    pokeapi.answers[PokeAPI.LIST] = answers.status(400)
    running.deaths = {"4.json": 1, "7.json": 99}
    execution = execute(deployed["EveryName"], "all", range="1-8,10001-10002")
    assert execution["status"] == "SUCCEEDED", execution
    assert items_of_map(execution) == (9, 1)
    report = read_reports()["results/states/all.json"]
    assert report["names"] == [NAMES[number] for number in (*range(1, 8), 10001, 10002)]
    (failure,) = report["failures"]
    assert (failure["number"], failure["reason"]) == (8, "chunk")
    assert report["range"] == "1-8,10001-10002"
    assert report["strategy"] == "gather"
    assert report["complete"] is False
    assert report["count"] == 9
    assert list(report["timing"]) == list(Report(make_request(), Fetched([], [], 1.0)).timing)
    assert {key: calls for key, calls in running.calls.items() if calls > 1} == {
        "2.json": 2,
        "4.json": 2,
        "7.json": 4,
    }
    assert len(waits) == 5
    output = json.loads(execution["output"])
    assert output["key"] == "results/states/all.json"
    assert output["count"] == 9
    assert output["failures"] == {"chunk": 1}


def test_if_too_many_names_are_missing_the_report_is_stored_and_the_execution_fails(
    deployed: Deployed,
    running: "Lambda",
    read_reports: ReadReports,
    pokeapi: PokeAPI,
    waits: list[float],
) -> None:
    """A chunk that is always throttled fails; one whose last attempt lacks a name does not."""
    running.throttles = Counter({"0.json": 9})
    for number in (PokeAPI.LIST, 3):
        pokeapi.answers[number] = answers.status(403)
    execution = execute(deployed["EveryName"], "many", range="1-3")
    assert execution["status"] == "FAILED"
    assert execution["error"] == "TooManyFailed"
    assert items_of_map(execution) == (2, 1)
    assert len(waits) == 8 + 3
    assert running.calls == {"plan": 1, "1.json": 1, "2.json": 4, "merge": 1}
    assert cause_of(execution)["failures"] == {"chunk": 1, "bad_status": 1}
    assert cause_of(execution)["key"] == "results/states/many.json"
    report = read_reports()["results/states/many.json"]
    assert report["names"] == ["ivysaur"]
    failures = [(failure["number"], failure["reason"]) for failure in report["failures"]]
    assert failures == [(1, "chunk"), (3, "bad_status")]


def test_throttled_attempts_of_a_task_do_not_count_as_failed(
    deployed: Deployed, running: "Lambda", waits: list[float]
) -> None:
    running.throttles = Counter({"plan": 8, "0.json": 8, "merge": 8})
    running.deaths = {"plan": 3, "0.json": 3, "merge": 3}
    execution = execute(deployed["EveryName"], "busy", range="1-2")
    assert execution["status"] == "SUCCEEDED", execution
    assert running.calls == {"plan": 4, "0.json": 4, "1.json": 1, "merge": 4}
    assert len(waits) == 3 * (8 + 3)


@pytest.mark.usefixtures("running")
def test_an_execution_stores_everything_except_its_report_in_one_folder(deployed: Deployed) -> None:
    execution = execute(deployed["EveryName"], "x", range="1-2")
    started = execution["startDate"].astimezone(UTC)
    bucket = boto3.resource("s3").Bucket(deployed["Bucket"])
    keys = [listed.key.split("/") for listed in bucket.objects.filter(Prefix="runs/")]
    ((_, name, folder),) = {tuple(key[:3]) for key in keys}
    assert name == "x"
    assert folder.startswith(f"{started:%Y%m%dT%H%M%S}.")
    files = sorted(key[-1] for key in keys)
    assert files == ["0.json", "1.json", "chunks.json", "manifest.json"]


def test_if_too_many_chunks_fail_the_others_are_merged_and_the_execution_fails(
    deployed: Deployed, running: "Lambda", read_reports: ReadReports, waits: list[float]
) -> None:
    """Moto tolerates all failures of chunks, so in this test the list of chunks is missing."""
    states = boto3.client("stepfunctions")
    machine = states.describe_state_machine(stateMachineArn=deployed["EveryName"])
    definition = machine["definition"]
    replacements = {
        "$.chunks.key": "$.request.range",
        "States.ExceedToleratedFailureThreshold": "States.ALL",
    }
    for old, new in replacements.items():
        assert old in definition
        definition = definition.replace(old, new)
    changed = states.create_state_machine(
        name="without-chunks", definition=definition, roleArn=machine["roleArn"]
    )
    execution = execute(changed["stateMachineArn"], "few", range="1-3")
    assert execution["status"] == "FAILED"
    assert execution["error"] == "TooManyFailed"
    assert cause_of(execution)["failures"] == {"chunk": 3}
    report = read_reports()["results/states/few.json"]
    assert [failure["number"] for failure in report["failures"]] == [1, 2, 3]
    assert running.calls == {"plan": 1, "merge": 1}
    assert waits == []


def test_a_bad_request_fails_the_execution_with_its_own_error(
    deployed: Deployed, running: "Lambda", waits: list[float]
) -> None:
    execution = execute(deployed["EveryName"], "bad", range="1-x")
    assert execution["status"] == "FAILED"
    assert execution["error"] == "InvalidRequest"
    assert "range: got '1-x', allowed: " in execution["cause"]
    assert running.calls == {"plan": 1}
    assert waits == []
