"""`make smoke`, against the stack in moto and the real handler."""

import ast
import inspect
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest

from tests.conftest import Capture, http_event
from tests.deploy.test_stack import (  # the fixtures are used by their names
    Deployed,
    deployed,  # noqa: F401
    poll,
    running,  # noqa: F401
    waits,  # noqa: F401
)
from tests.tools import output, smoke
from tests.tools.pokeapi import PokeAPI, answers

if TYPE_CHECKING:
    from tests.deploy.aws import Lambda

pytestmark = [
    pytest.mark.filterwarnings("ignore:Tried to parse AWS"),
    pytest.mark.xdist_group("moto"),
]

NAMES = "bulbasaur, ivysaur, venusaur"


class Api(BaseHTTPRequestHandler):
    """The HTTP API in front of the function, which refuses the first requests."""

    function: ClassVar["Lambda"]
    refusals: ClassVar[list[int]]
    authorizations: ClassVar[list[str | None]]

    def do_GET(self) -> None:
        self.authorizations.append(self.headers["Authorization"])
        if self.refusals:
            self._reply(self.refusals.pop(), '{"message":"No"}')
            return
        url = urlsplit(self.path)
        reply = self.function.handle(http_event(url.path, **dict(parse_qsl(url.query))))
        self._reply(reply["statusCode"], reply["body"])

    def _reply(self, status: int, body: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stack(
    deployed: Deployed,  # noqa: F811
    running: "Lambda",  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[smoke.Stack]:
    """Yield the stack, whose queue is polled and whose clock advances while the program sleeps."""
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds
        poll(running, deployed["Requests"])

    timing = SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep)
    monkeypatch.setattr(smoke, "time", timing)
    monkeypatch.setattr(smoke, "INTERVAL", 50.0)
    Api.function, Api.refusals, Api.authorizations = running, [], []
    assert boto3.DEFAULT_SESSION
    found = smoke.describe("pokemon-names", boto3.DEFAULT_SESSION)
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        outputs = {**found.outputs, "Url": f"http://127.0.0.1:{server.server_port}"}
        yield found._replace(outputs=outputs)
        server.shutdown()


def failure(stack: smoke.Stack) -> str:
    with pytest.raises(smoke.CheckError) as raised:
        smoke.check(stack)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_line_for_each_way_to_call_the_function(stack: smoke.Stack, capsys: Capture) -> None:
    smoke.check(stack)
    assert [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")] == [
        f"URL: {NAMES} (0.0 s)",
        f"alias: {NAMES} (0.0 s)",
        f"queue: {NAMES} (50.0 s)",
        f"state machine: {NAMES} (0.0 s)",
    ]
    assert Api.authorizations == [None]


def test_names_in_the_cache_are_fetched_again(
    stack: smoke.Stack,
    running: "Lambda",  # noqa: F811
    pokeapi: PokeAPI,
) -> None:
    smoke.check(stack)
    assert pokeapi.requests == 4 * 3
    assert running.calls.total() == 8


def test_with_iam_the_request_is_signed(stack: smoke.Stack) -> None:
    smoke.check(stack._replace(needs_signature=True))
    (signature,) = Api.authorizations
    assert signature
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=")
    assert "/eu-central-1/execute-api/aws4_request, " in signature


def test_the_stacks_parameter_says_whether_to_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    described: dict[str, Any] = {
        "Outputs": [{"OutputKey": "Url", "OutputValue": "https://x"}],
        "Parameters": [{"ParameterKey": "Authorization", "ParameterValue": "AWS_IAM"}],
    }
    client = SimpleNamespace(describe_stacks=lambda **_: {"Stacks": [described]})
    session: Any = SimpleNamespace(client=lambda _: client)
    assert smoke.describe("pokemon-names", session).needs_signature
    monkeypatch.setitem(described["Parameters"][0], "ParameterValue", "NONE")
    assert not smoke.describe("pokemon-names", session).needs_signature


def test_an_api_that_is_not_ready_is_called_again(stack: smoke.Stack) -> None:
    Api.refusals = [404, 429]
    smoke.check(stack)
    assert len(Api.authorizations) == 3


def test_an_api_that_refuses_every_call(stack: smoke.Stack) -> None:
    Api.refusals = [403] * 1000
    refusal = 'status 403 and {"message":"No"}'
    assert failure(stack) == f"the URL check failed: after 300 s, {refusal}"


def test_an_api_that_cannot_be_reached(stack: smoke.Stack) -> None:
    outputs = {**stack.outputs, "Url": "http://127.0.0.1:1"}
    message = failure(stack._replace(outputs=outputs))
    assert message.startswith("the URL check failed: after 300 s, Could not connect to ")


def test_names_that_cannot_be_fetched(stack: smoke.Stack, pokeapi: PokeAPI) -> None:
    pokeapi.answers = {2: answers.status(403), PokeAPI.LIST: answers.status(403)}
    message = failure(stack)
    assert message.startswith("the URL check failed: names are missing in the report {")
    assert '"reason": "bad_status"' in message


def test_a_function_that_raises(stack: smoke.Stack, running: "Lambda") -> None:  # noqa: F811
    running.deaths = {"": 99}
    with pytest.raises(smoke.CheckError, match=r"^MemoryError: $"):
        smoke.invoke_alias(stack)


def test_a_message_without_a_report(stack: smoke.Stack, deployed: Deployed) -> None:  # noqa: F811
    nobodys = boto3.client("sqs").create_queue(QueueName="without-a-consumer")["QueueUrl"]
    message = failure(stack._replace(outputs={**stack.outputs, "QueueUrl": nobodys}))
    report = f"s3://{deployed['Bucket']}/results/sqs/"
    assert message.startswith(f"the queue check failed: after 300 s, no report at {report}")


@pytest.mark.usefixtures("waits")
def test_an_execution_that_fails(stack: smoke.Stack, running: "Lambda") -> None:  # noqa: F811
    running.deaths = {"plan": 99}
    message = failure(stack)
    assert message.startswith("the state machine check failed: the execution smoke-")
    assert " is FAILED: " in message


def test_a_stack_without_outputs() -> None:
    described = {"StackStatus": "ROLLBACK_COMPLETE", "Parameters": []}
    client = SimpleNamespace(describe_stacks=lambda **_: {"Stacks": [described]})
    session: Any = SimpleNamespace(client=lambda _: client)
    with pytest.raises(smoke.CheckError, match="no outputs, and its status is ROLLBACK_COMPLETE"):
        smoke.describe("pokemon-names", session)


@pytest.mark.usefixtures("aws")
def test_a_stack_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["smoke", "--config=prod"])
    with pytest.raises(SystemExit) as ended:
        smoke.main()
    message = str(ended.value.code)
    assert message.startswith("stack pokemon-names-prod: An error occurred (ValidationError) ")
    assert "\n" not in message


def test_it_imports_only_what_sams_environment_has() -> None:
    imported = set()
    for module in (smoke, output):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    packages = {str(name).partition(".")[0] for name in imported}
    assert packages - sys.stdlib_module_names == {"boto3", "botocore", "tests"}
