"""The template, translated as CloudFormation does it and deployed into moto."""

import copy
import io
import json
import re
import zipfile
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from tests.conftest import EVENTS, REGION

# What moto's CloudFormation does not make, nor a version: there, who takes the alias gets the function. Where nothing
# else is said the tests look at the translated template alone.
NOT_IN_MOTO = {
    "Api": "`sam local start-api` shows that it works",
    "ApiApiGatewayDefaultStage": "as the API",
    "DeadLettersAlarm": "its properties are put through moto's CloudWatch",
    "ErrorsAlarm": "its properties are put through moto's CloudWatch",
    "FailedInvocations": "its fields are looked up in the app's own log",
    "LostAlarm": "its properties are put through moto's CloudWatch",
    "LostNumbers": "its fields are looked up in the app's own log",
    "OverTls": "",
    "PokemonNamesAliaslive": "",
    "PokemonNamesDeploymentGroup": "",
    "PokemonNamesEventInvokeConfig": "",
    "PokemonNamesHttpPermission": "it refers to the API",
    "PokemonNamesRefresh": "",
    "PokemonNamesRulePermission": "made, but without a name",
    "PokemonNamesTopic": "",
    "PokemonNamesTopicPermission": "made, but without a name",
    "PokemonNamesUploadPermission": "made, but without a name",
    "ServerlessDeploymentApplication": "it has no properties of its own",
    "SlowAlarm": "its properties are put through moto's CloudWatch",
    "SlowInvocations": "its fields are looked up in the app's own log",
    "ThrottlesAlarm": "its properties are put through moto's CloudWatch",
}
DEFINITION = EVENTS.parent / "src" / "every_name.asl.json"
FUNCTION = '{"Fn::GetAtt": ["PokemonNames", "Arn"]}'
IGNORED = (
    "ignore:Tried to parse AWS.."
    "(ApiGatewayV2|CloudWatch..Alarm|CodeDeploy|Lambda..Alias|Lambda..EventInvokeConfig|Logs..QueryDefinition"
    "|S3..BucketPolicy|Scheduler|SNS..Subscription)"
)


class NoManagedPolicies:
    """The translator asks for AWS's managed policies; the template uses none."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def translate(**parameters: str) -> Mapping[str, Any]:
    """Return the plain CloudFormation that a deployment with these parameters makes of the template."""
    source = yaml_parse((EVENTS.parent / "template.yaml").read_text(encoding="utf-8"))
    source["Resources"]["PokemonNames"]["Properties"]["CodeUri"] = "s3://code/function.zip"
    source["Resources"]["EveryName"]["Properties"]["DefinitionUri"] = "s3://code/every_name.asl.json"
    translated: Mapping[str, Any] = transform(source, parameters, NoManagedPolicies())
    return translated


def deploy(**parameters: str) -> dict[str, str]:
    """Create the stack, and return the physical name of each resource."""
    template = copy.deepcopy(translate())
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("pokemon_names/app.py", "")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="code", Key="function.zip", Body=code.getvalue())
    machine = template["Resources"]["EveryName"]["Properties"]
    del machine["DefinitionS3Location"]
    substitutions = machine.pop("DefinitionSubstitutions")
    # Moto takes a definition in the template alone, has no substitutions, and its Fn::Sub would make `$` of `$$`.
    parts = re.split(r"\$\{(\w+)\}", DEFINITION.read_text(encoding="utf-8"))
    parts[1::2] = [substitutions[name] for name in parts[1::2]]
    machine["DefinitionString"] = {"Fn::Join": ["", parts]}
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName="pokemon-names",
        TemplateBody=json.dumps(template).replace('{"Ref": "PokemonNamesAliaslive"}', FUNCTION),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    resources = cloudformation.describe_stack_resources(StackName="pokemon-names")["StackResources"]
    made = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources if "PhysicalResourceId" in one}
    wanted = {name for name, one in template["Resources"].items() if one.get("Condition") != "HasSharedCache"}
    missing = {name for name in wanted - made.keys() if not name.startswith("PokemonNamesVersion")}
    assert missing == NOT_IN_MOTO.keys(), missing ^ NOT_IN_MOTO.keys()
    return made
