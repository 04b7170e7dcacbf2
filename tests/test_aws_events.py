"""An event from each AWS service that invokes functions: served, or refused with a useful message.

The files in aws_events/ have the shapes that AWS documents, with values of this project.
"""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from tests import conftest
from tests.conftest import NAMES, ReadReports, header_of
from tests.sources.conftest import environment_with_bucket
from tests.tools.invoke import Context

AWS_EVENTS = Path(__file__).parent / "aws_events"
ARN = re.compile(r"\barn:aws:[a-z0-9-]*:[a-z0-9-]*:([^:\"]*):")
ACCOUNTS = {"123456789012", ""}  # S3 buckets and AWS's own products have none
REQUEST_FIELDS = "only the fields range, strategy, fresh, trace"
SERVED = "the fields range, strategy, fresh, trace, or an HTTP, SQS, SNS or EventBridge event"
MAX_SHOWN = 80  # characters of the given value
MAX_REFUSAL = 1000  # characters of the whole message

FIRST_THREE = ["bulbasaur", "ivysaur", "venusaur"]
CHARMANDERS = ["charmander", "charmeleon", "charizard"]
SQUIRTLES = ["squirtle", "wartortle", "blastoise"]
EEVEES = ["eevee", "vaporeon", "jolteon", "flareon"]
BIRDS = ["articuno", "zapdos", "moltres"]
PIDGEYS = ["pidgey", "pidgeotto", "pidgeot"]
FIRST_150 = [NAMES[number] for number in range(1, 151)]

# event: the status, and the names
HTTP = {
    "alb": (200, [*FIRST_THREE, "pikachu"]),
    "alb-health-check": (200, None),
    "alb-multi-value": (200, EEVEES),
    "alb-oidc": (200, [*FIRST_THREE, "pikachu"]),
    "function-url": (200, SQUIRTLES),
    "function-url-iam": (200, ["bulbasaur", "ivysaur", "mew"]),
    "http-api": (200, SQUIRTLES),
    "http-api-base64-body": (405, None),
    "http-api-client-certificate": (200, SQUIRTLES),
    "http-api-iam": (200, SQUIRTLES),
    "http-api-jwt": (200, SQUIRTLES),
    "http-api-lambda-authorizer": (200, ["gyarados"]),
    "http-api-payload-1": (200, CHARMANDERS),
    "rest-api": (200, CHARMANDERS),
    "rest-api-base64-body": (405, None),
    "rest-api-cognito-authorizer": (200, CHARMANDERS),
    "rest-api-iam": (200, CHARMANDERS),
    "rest-api-key-and-client-certificate": (200, CHARMANDERS),
    "rest-api-lambda-authorizer": (200, CHARMANDERS),
    "rest-api-multi-value": (200, ["pikachu", "mewtwo", "mew"]),
    "rest-api-null-fields": (200, ["pikachu"]),
    "rest-api-proxy": (200, ["pikachu"]),
}
# event: the names; Lambda's record of a failed invocation is handled like the event in it
DIRECT = {
    "destination-failure-direct": PIDGEYS,
    "eventbridge-scheduler-input": FIRST_THREE,
    "iot-rule": FIRST_THREE,
    "rds-postgresql-invoke": ["charmander", "squirtle"],
    "step-functions-task": ["mewtwo", "mew"],
}
# event: the stored names, the refused fields, and the last four characters of the failed ids
QUEUES: dict[str, tuple[list[list[str]], list[str], list[str]]] = {
    "sqs": ([FIRST_THREE, ["pikachu"]], ["body"], ["0003"]),
    "sqs-destination-failure": ([["pidgeot"]], [], []),
    "sqs-eventbridge": ([["rattata", "raticate"]], [], []),
    "sqs-eventbridge-ec2": ([], ["detail.instance-id"], []),
    "sqs-fifo": ([["chikorita", "bayleef", "meganium"], ["treecko"]], ["body.range"], ["0012"]),
    "sqs-s3-put": ([], ["body.Records"], ["0032"]),
    "sqs-s3-test-event": ([], ["body.Service"], ["0031"]),
    "sqs-sns-raw": ([BIRDS], [], []),
    "sqs-sns-wrapped": ([BIRDS], [], []),
}
# event: the stored names
ASYNCHRONOUS = {
    "destination-event-age-exceeded": [["pidgeotto"]],
    "destination-failure-sns": [["pidgey"]],
    "eventbridge-custom": [["chikorita", "cyndaquil", "totodile"]],
    "eventbridge-s3-created": [FIRST_THREE, ["mew"]],
    "eventbridge-s3-created-versioned": [FIRST_THREE, ["mew"]],
    "eventbridge-scheduled-rule": [FIRST_150],  # the default range
    "eventbridge-scheduler": [FIRST_150],
    "sns": [["snorlax"]],
}
# event: the refused field; the invocation succeeds, because a retry would not help
ASYNCHRONOUS_REFUSED = {
    "eventbridge-autoscaling": "detail.StatusCode",
    "eventbridge-cloudtrail": "detail.eventVersion",
    "eventbridge-codepipeline": "detail.pipeline",
    "eventbridge-destination-success": "detail.version",
    "eventbridge-ec2": "detail.instance-id",
    "eventbridge-ecr": "detail.result",
    "eventbridge-guardduty": "detail.schemaVersion",
    "eventbridge-mediaconvert": "detail.timestamp",
    "eventbridge-s3-created-elsewhere": "key",
    "eventbridge-s3-deleted": "detail.version",
    "eventbridge-security-hub": "detail.findings",
    "eventbridge-step-functions": "detail.executionArn",
    "eventbridge-trusted-advisor": "detail.check-name",
    "eventbridge-xray-insight": "detail.InsightId",
    "sns-cloudwatch-alarm": "Message.AlarmName",
    "sns-rds": "Message.Event Source",
    "sns-ses-delivery": "Message.notificationType",
    "sns-text": "Message",
}
# event: the refused field, which is the first unknown one; the invocation raises
REFUSED = {
    "alexa-smart-home": "directive",
    "cloudwatch-logs": "awslogs",
    "codepipeline": "CodePipeline.job",
    "iot-rule-with-topic": "topic",
}
# event: the service that its records name, or None; the records are refused
RECORDS = {
    "cloudfront-origin-response": None,
    "cloudfront-viewer-request": None,
    "codecommit": "aws:codecommit",
    "dynamodb-stream": "aws:dynamodb",
    "kinesis": "aws:kinesis",
    "kinesis-tumbling-window": "aws:kinesis",
    "kinesis-tumbling-window-final": None,
    "s3-delete": "aws:s3",
    "s3-put": "aws:s3",
    "s3-put-versioned": "aws:s3",
    "s3-restore-completed": "aws:s3",
    "ses-receipt": "aws:ses",
}
# The refusal of these events lists the names of their fields.
FOREIGN = [
    "alexa-skill",
    "appsync-authorizer",
    "appsync-events-publish",
    "appsync-events-subscribe",
    "appsync-resolver",
    "bedrock-agent-api",
    "bedrock-agent-function",
    "client-vpn-connect",
    "cloudformation-create",
    "cloudformation-delete",
    "cloudformation-update",
    "cloudwatch-alarm",
    "cloudwatch-alarm-composite",
    "cloudwatch-dashboard-widget",
    "codedeploy-hook",
    "cognito-create-auth-challenge",
    "cognito-custom-email-sender",
    "cognito-custom-message",
    "cognito-define-auth-challenge",
    "cognito-post-authentication",
    "cognito-post-confirmation",
    "cognito-pre-authentication",
    "cognito-pre-sign-up",
    "cognito-pre-token-generation-1",
    "cognito-pre-token-generation-2",
    "cognito-sync",
    "cognito-user-migration",
    "cognito-verify-auth-challenge",
    "config-rule-changed",
    "config-rule-scheduled",
    "connect",
    "destination-stream-failure",
    "destination-success",
    "documentdb",
    "firehose-direct-put",
    "firehose-kinesis",
    "http-api-authorizer-1",
    "http-api-authorizer-2",
    "iot-1-click",
    "iot-authorizer",
    "iot-button",
    "iot-events",
    "kafka-msk",
    "kafka-self-managed",
    "lex-1",
    "lex-2",
    "mq-activemq",
    "mq-rabbitmq",
    "rest-api-authorizer-request",
    "rest-api-authorizer-token",
    "s3-batch-1",
    "s3-batch-2",
    "s3-object-lambda",
    "s3-test-event",
    "secrets-manager-rotation",
    "step-functions-callback",
    "step-functions-context",
    "transfer-family-authorizer",
    "vpc-lattice-1",
    "vpc-lattice-2",
    "websocket-connect",
    "websocket-disconnect",
    "websocket-message",
]
LISTS = ["appsync-batch", "pipes-kinesis-batch", "pipes-sqs-batch"]


NAMES_OF_EVENTS = sorted(path.stem for path in AWS_EVENTS.glob("*.json"))


def aws_event(name: str) -> Any:
    return json.loads(text_of(name))


def text_of(name: str) -> str:
    return (AWS_EVENTS / f"{name}.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[ModuleType, Any]]:
    """Yield one environment for all events, with the first 150 names cached, and its bucket."""
    with environment_with_bucket() as (app, bucket):
        app.handler({"range": "1-150", "strategy": "index"}, Context())
        yield app, bucket


@pytest.fixture
def app(shared: tuple[ModuleType, Any]) -> ModuleType:
    return shared[0]


@pytest.fixture
def bucket(shared: tuple[ModuleType, Any]) -> Any:
    """Empty the shared bucket and return it."""
    _, bucket = shared
    bucket.objects.delete()
    return bucket


@pytest.fixture(autouse=True)
def _no_log_line_with_a_stack_trace(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO)
    yield
    for record in caplog.get_records("call"):
        assert len(getattr(record, "error", "")) < MAX_REFUSAL
        assert record.levelno <= logging.WARNING
        assert not record.exc_info
        assert not record.stack_info
        assert "Traceback" not in record.getMessage()


def test_every_event_is_in_one_table() -> None:
    tested = [
        *HTTP,
        *DIRECT,
        *QUEUES,
        *ASYNCHRONOUS,
        *ASYNCHRONOUS_REFUSED,
        *REFUSED,
        *RECORDS,
        *FOREIGN,
        *LISTS,
    ]
    assert sorted(tested) == NAMES_OF_EVENTS


def test_every_file_is_pretty_printed() -> None:
    for name in NAMES_OF_EVENTS:
        text = text_of(name)
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n", name


def test_every_arn_has_the_same_account() -> None:
    for name in NAMES_OF_EVENTS:
        assert set(ARN.findall(text_of(name))) <= ACCOUNTS, name


@pytest.mark.parametrize("name", HTTP)
def test_an_http_request_gets_the_right_response(app: ModuleType, name: str) -> None:
    status, names = HTTP[name]
    reply = invoke(app, name)
    assert reply["statusCode"] == status
    assert ("multiValueHeaders" in reply) == (name == "alb-multi-value")
    content_type = header_of(reply, "Content-Type").partition(";")[0]
    if content_type == "text/html":
        assert name == "alb-health-check"
    elif content_type == "text/plain":
        assert reply["body"].split() == names
    elif status == 200:
        assert json.loads(reply["body"])["names"] == names
    else:
        check_refusal(json.loads(reply["body"]), "method", "POST", "GET, HEAD")


@pytest.mark.parametrize("name", DIRECT)
def test_a_direct_call_gets_the_right_report(app: ModuleType, name: str) -> None:
    report = invoke(app, name)
    assert report["names"] == DIRECT[name]
    assert report["complete"] is True


@pytest.mark.parametrize("name", QUEUES)
def test_the_reports_of_a_batch_are_stored_and_bad_messages_fail(
    app: ModuleType, read_reports: ReadReports, name: str
) -> None:
    names, fields, failed = QUEUES[name]
    reply = invoke(app, name)
    ids = [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]
    assert [id_[-4:] for id_ in ids] == failed
    stored = list(read_reports().values())
    assert [report["names"] for report in stored if "names" in report] == names
    refusals = [report for report in stored if "error" in report]
    assert [refusal["field"] for refusal in refusals] == fields
    for refusal in refusals:
        check_useful(refusal)


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_the_reports_of_an_asynchronous_event_are_stored(
    app: ModuleType, read_reports: ReadReports, bucket: Any, name: str
) -> None:
    bucket.put_object(Key="requests/kanto.jsonl", Body='{"range": "1-3"}\n{"range": "151"}\n')
    reply = invoke(app, name)
    assert reply["refused"] == []
    assert [report["complete"] for report in reply["reports"]] == [True] * len(ASYNCHRONOUS[name])
    assert [report["names"] for report in read_reports().values()] == ASYNCHRONOUS[name]


@pytest.mark.parametrize("name", ASYNCHRONOUS_REFUSED)
def test_a_bad_asynchronous_event_is_refused_without_an_error(app: ModuleType, name: str) -> None:
    reply = invoke(app, name)
    assert reply["reports"] == []
    (refusal,) = reply["refused"]
    assert refusal["field"] == ASYNCHRONOUS_REFUSED[name]
    check_useful(refusal)


def test_a_refusal_is_stored_where_the_report_would_be(
    app: ModuleType, read_reports: ReadReports
) -> None:
    event = aws_event("eventbridge-ec2")
    (refusal,) = app.handler(event, Context())["refused"]
    key = f"results/eventbridge/{event['id']}.json"
    assert read_reports() == {key: {"error": "InvalidRequest", **refusal}}


@pytest.mark.parametrize("name", REFUSED)
def test_an_event_with_an_unknown_field_is_refused(app: ModuleType, name: str) -> None:
    field = REFUSED[name]
    assert field in aws_event(name)
    with pytest.raises(InvalidRequest) as caught:
        invoke(app, name)
    check_refusal(caught.value.as_dict(), field, "…", REQUEST_FIELDS)


@pytest.mark.parametrize("name", RECORDS)
def test_records_from_another_service_are_refused(app: ModuleType, name: str) -> None:
    given = RECORDS[name] or "…"
    with pytest.raises(InvalidRequest) as caught:
        invoke(app, name)
    check_refusal(
        caught.value.as_dict(), "Records", given, "messages from aws:sqs, or one from aws:sns"
    )


@pytest.mark.parametrize("name", FOREIGN)
def test_another_services_event_is_refused_without_its_values(app: ModuleType, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        invoke(app, name)
    check_refusal(caught.value.as_dict(), "event", ", ".join(aws_event(name)), SERVED)


def test_refusing_an_object_outside_requests_stores_nothing(
    app: ModuleType, read_reports: ReadReports
) -> None:
    """If an EventBridge rule had no prefix, each stored refusal would cause another one."""
    invoke(app, "eventbridge-s3-created-elsewhere")
    assert read_reports() == {}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_events_is_not_an_event(app: ModuleType, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        invoke(app, name)
    check_refusal(caught.value.as_dict(), "event", aws_event(name), "a JSON object")


def invoke(app: ModuleType, name: str) -> Any:
    return conftest.invoke(app, aws_event(name))


def check_refusal(refusal: dict[str, Any], field: str, given: Any, allowed: str) -> None:
    """Check that a refusal names the field, its value and what is allowed."""
    text = given if isinstance(given, str) else json.dumps(given)
    assert refusal["field"] == field
    assert refusal["given"] == (text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")
    assert refusal["allowed"] == allowed
    check_useful(refusal)


def check_useful(refusal: dict[str, Any]) -> None:
    """Check that a refusal is short and that its message includes its fields."""
    said = f"{refusal['field']}: got {refusal['given']!r}, allowed: {refusal['allowed']}"
    assert refusal["detail"].startswith(said)
    assert refusal["field"]
    assert refusal["allowed"]
    assert len(refusal["detail"]) < MAX_REFUSAL
