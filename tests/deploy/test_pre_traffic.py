"""The hook that calls a new version before traffic moves to it."""

import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

import pre_traffic
from tests.conftest import Handle, LoadApp
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

VERSION = "arn:aws:lambda:eu-central-1:123456789012:function:pokemon-names:7"
EVENT = {"DeploymentId": "d-151", "LifecycleEventHookExecutionId": "hook-151"}
TOLD = {"deploymentId": "d-151", "lifecycleEventHookExecutionId": "hook-151"}


class Version:
    """A published version: Lambda's `invoke`, with the code that a test gives it."""

    def __init__(self, handler: Callable[[Any], Any]) -> None:
        self._handler = handler

    def invoke(self, **call: Any) -> dict[str, Any]:
        assert call["FunctionName"] == VERSION
        reply = self._handler(json.loads(call["Payload"]))
        return {"Payload": io.BytesIO(json.dumps(reply).encode())}


def deploy(monkeypatch: pytest.MonkeyPatch, handler: Callable[[Any], Any], expected: str) -> None:
    """Run the hook; CodeDeploy must be told what is expected. Moto has no such call."""
    codedeploy = boto3.client("codedeploy")
    clients = {"lambda": Version(handler), "codedeploy": codedeploy}
    monkeypatch.setattr(boto3, "client", clients.__getitem__)
    monkeypatch.setenv("NEW_VERSION", VERSION)
    with Stubber(codedeploy) as stub:
        told = {**TOLD, "status": expected}
        stub.add_response("put_lifecycle_event_hook_execution_status", {}, told)
        try:
            pre_traffic.handler(EVENT, Context())
        finally:
            stub.assert_no_pending_responses()


def test_a_version_that_replies_gets_traffic(
    monkeypatch: pytest.MonkeyPatch, handle: Handle
) -> None:
    deploy(monkeypatch, handle, "Succeeded")


def test_a_version_gets_traffic_even_while_pokeapi_is_down(
    monkeypatch: pytest.MonkeyPatch, pokeapi: PokeAPI, load_app: LoadApp
) -> None:
    pokeapi.answers = dict.fromkeys([1, 2, 3, PokeAPI.LIST], answers.status(403))
    app = load_app()
    deploy(monkeypatch, lambda event: app.handler(event, Context()), "Succeeded")


def test_a_version_that_raises_fails_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = {"errorMessage": "No module named 'httpx'", "errorType": "Runtime.ImportModuleError"}
    deploy(monkeypatch, lambda _: reply, "Failed")


def test_a_version_that_cannot_be_called_fails_the_deployment_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_: Any) -> Any:
        raise PermissionError("not authorized to perform lambda:InvokeFunction")

    with pytest.raises(PermissionError):
        deploy(monkeypatch, forbidden, "Failed")
