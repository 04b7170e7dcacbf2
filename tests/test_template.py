"""The template, translated as CloudFormation does it and deployed into moto."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from tests.conftest import EVENTS

# Moto's CloudFormation makes no HTTP API, and so nothing that refers to it; `sam local start-api` shows that it works.
NOT_IN_MOTO = {"Api", "ApiApiGatewayDefaultStage", "PokemonNamesHttpPermission"}
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..ApiGatewayV2..")
REGION = "eu-central-1"


class NoManagedPolicies:
    """The translator asks for AWS's managed policies; the template uses none."""

    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def template(aws: None) -> dict[str, Any]:  # noqa: ARG001
    """Translate the template to plain CloudFormation."""
    source = yaml_parse((EVENTS.parent / "template.yaml").read_text(encoding="utf-8"))
    source["Resources"]["PokemonNames"]["Properties"]["CodeUri"] = "s3://code/function.zip"
    translated: dict[str, Any] = transform(source, {}, NoManagedPolicies())
    return translated


@pytest.fixture
def deploy(template: dict[str, Any]) -> Any:
    def deploy(**parameters: str) -> dict[str, str]:
        """Create the stack; gives the physical name of each resource."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("pokemon_names/app.py", "")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="code", Key="function.zip", Body=code.getvalue())
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(
            StackName="pokemon-names",
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        resources = cloudformation.describe_stack_resources(StackName="pokemon-names")["StackResources"]
        made = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources if "PhysicalResourceId" in one}
        assert template["Resources"].keys() - made.keys() == NOT_IN_MOTO
        return made

    return deploy


def test_the_function(deploy: Any) -> None:
    function = boto3.client("lambda").get_function_configuration(FunctionName=deploy()["PokemonNames"])
    assert (function["Runtime"], function["Handler"]) == ("python3.13", "pokemon_names.app.handler")
    assert (function["MemorySize"], function["Timeout"]) == (1769, 30)
    variables = function["Environment"]["Variables"]
    assert {name: str(value) for name, value in variables.items()} == {
        "POKEAPI_URL": "https://pokeapi.co/api/v2",
        "MAX_CONCURRENCY": "100",
        "MAX_NUMBERS": "1500",
        "POWERTOOLS_SERVICE_NAME": "pokemon-names",
        "POWERTOOLS_METRICS_NAMESPACE": "PokemonNames",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def test_its_parameters(deploy: Any) -> None:
    name = deploy(ReservedConcurrency="10", MaxConcurrency="50")["PokemonNames"]
    client = boto3.client("lambda")
    function = client.get_function_configuration(FunctionName=name)
    assert str(function["Environment"]["Variables"]["MAX_CONCURRENCY"]) == "50"
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 10


def test_logs_do_not_stay_for_ever(deploy: Any) -> None:
    deploy(LogRetentionDays="30")
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    assert [group["retentionInDays"] for group in groups] == [30, 30]


def test_the_role_may_write_its_own_log_and_nothing_else(template: dict[str, Any]) -> None:
    role = template["Resources"]["Role"]["Properties"]
    assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == {"Fn::GetAtt": ["Logs", "Arn"]}


def test_every_path_goes_to_the_function_and_is_throttled(template: dict[str, Any]) -> None:
    resources = template["Resources"]
    assert list(resources["Api"]["Properties"]["Body"]["paths"]) == ["$default"]
    settings = resources["ApiApiGatewayDefaultStage"]["Properties"]["DefaultRouteSettings"]
    assert settings == {"ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 20}


def test_what_moto_does_not_make_of_the_function(template: dict[str, Any]) -> None:
    function = template["Resources"]["PokemonNames"]["Properties"]
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": {"Ref": "LogLevel"},
        "LogGroup": {"Ref": "Logs"},
    }
