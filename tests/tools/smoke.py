"""Use a deployed stack as its callers do, and check the replies: `make smoke`.

It runs in SAM's virtual environment, so it imports only boto3 and the standard library.
"""

import argparse
import json
import sys
import time
import tomllib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from tests.tools import output

# Names from a cache would not show that the function can fetch them.
REQUEST = json.dumps({"range": "1-3", "fresh": True})
QUERY = "range=1-3&fresh=true"
COUNT = 3
SECONDS = 300.0  # for each check: a queue may have other messages to deliver first
INTERVAL = 2.0


class CheckError(Exception):
    """Why a check failed."""


class NotYetError(Exception):
    """What a check is still waiting for."""


class Stack(NamedTuple):
    """A deployed stack."""

    session: boto3.Session
    outputs: dict[str, str]
    needs_signature: bool

    def client(self, service: str) -> Any:
        return self.session.client(service)


def main() -> None:
    """Check the stack of a configuration; print a line for each check, or for what went wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True, help="a configuration in samconfig.toml")
    name = stack_name(parser.parse_args().config)
    try:
        check(describe(name, boto3.Session()))
    except (BotoCoreError, ClientError, CheckError) as error:
        sys.exit(f"stack {name}: {error}")


def stack_name(config: str) -> str:
    settings = tomllib.loads(Path("samconfig.toml").read_text(encoding="utf-8"))
    name: str = settings[config]["global"]["parameters"]["stack_name"]
    return name


def describe(name: str, session: boto3.Session) -> Stack:
    (stack,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    if not stack.get("Outputs"):
        raise CheckError(f"it has no outputs, and its status is {stack['StackStatus']}")
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    return Stack(session, outputs, parameters.get("Authorization") == "AWS_IAM")


def check(stack: Stack) -> None:
    """Run all checks, and stop at the first one that fails."""
    checks: dict[str, Callable[[Stack], Any]] = {
        "URL": call_url,
        "alias": invoke_alias,
        "queue": send_message,
        "state machine": start_execution,
    }
    for name, run in checks.items():
        started = time.monotonic()
        try:
            names = names_in(run(stack))
        except (BotoCoreError, ClientError, CheckError, json.JSONDecodeError) as error:
            raise CheckError(f"the {name} check failed: {error}") from None
        print(f"{name}: {', '.join(names)} ({time.monotonic() - started:.1f} s)", flush=True)


def call_url(stack: Stack) -> Any:
    """Return the report that the API replies with.

    A new API may need a moment, and others may use up its rate limit.
    """
    url = f"{stack.outputs['Url']}/pokemon?{QUERY}"
    http = URLLib3Session(proxies=get_environ_proxies(url), timeout=35)

    def call() -> Any:
        request = AWSRequest("GET", url)
        if stack.needs_signature:
            region = stack.session.region_name
            SigV4Auth(stack.session.get_credentials(), "execute-api", region).add_auth(request)
        try:
            response = http.send(request.prepare())
        except BotoCoreError as error:
            raise NotYetError(error) from None
        if response.status_code != 200:
            raise NotYetError(f"status {response.status_code} and {response.text[:500]}")
        return json.loads(response.content)

    return wait_for(call)


def invoke_alias(stack: Stack) -> Any:
    """Return the report that the function replies with."""
    function = stack.client("lambda")
    reply = function.invoke(FunctionName=stack.outputs["FunctionName"], Payload=REQUEST)
    report = json.load(reply["Payload"])
    if "FunctionError" in reply:
        raise CheckError(f"{report.get('errorType')}: {report.get('errorMessage')}")
    return report


def send_message(stack: Stack) -> Any:
    """Send a message to the queue, and return its report."""
    url = stack.outputs["QueueUrl"]
    sent = stack.client("sqs").send_message(QueueUrl=url, MessageBody=REQUEST)
    return wait_for(lambda: read_report(stack, f"results/sqs/{sent['MessageId']}.json"))


def start_execution(stack: Stack) -> Any:
    """Run the state machine to its end, and return the report of the execution."""
    states = stack.client("stepfunctions")
    name = f"smoke-{uuid.uuid4()}"
    started = states.start_execution(
        stateMachineArn=stack.outputs["StateMachineArn"], name=name, input=REQUEST
    )

    def end() -> None:
        execution = states.describe_execution(executionArn=started["executionArn"])
        if execution["status"] == "RUNNING":
            raise NotYetError(f"the execution {name} is still running")
        if execution["status"] != "SUCCEEDED":
            reason = f"{execution.get('error')}: {execution.get('cause')}"
            raise CheckError(f"the execution {name} is {execution['status']}: {reason}")

    wait_for(end)
    return wait_for(lambda: read_report(stack, f"results/states/{name}.json"))


def read_report(stack: Stack, key: str) -> Any:
    s3 = stack.client("s3")
    bucket = stack.outputs["BucketName"]
    try:
        return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    except s3.exceptions.NoSuchKey:
        raise NotYetError(f"no report at s3://{bucket}/{key}") from None


def names_in(report: Any) -> list[str]:
    """Return the names in a report, after checking that none is missing."""
    if not isinstance(report, dict) or not report.get("complete") or report["count"] != COUNT:
        raise CheckError(f"names are missing in the report {json.dumps(report)[:500]}")
    names: list[str] = report["names"]
    return names


def wait_for(look: Callable[[], Any]) -> Any:
    """Return what `look` returns as soon as it no longer raises NotYetError."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return look()
        except NotYetError as missing:
            if time.monotonic() >= deadline:
                raise CheckError(f"after {SECONDS:.0f} s, {missing}") from None
        time.sleep(INTERVAL)


if __name__ == "__main__":
    output.run(main)
