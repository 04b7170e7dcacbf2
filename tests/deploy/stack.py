"""The template, translated as CloudFormation would translate it, and deployed into moto.

Importing this module takes two seconds, so tests import it late if most of their file can do
without it.
"""

import copy
import io
import json
import re
import zipfile
from collections.abc import Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
from moto.cloudformation.models import Stack
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from tests.conftest import EVENTS, REGION

# Resources that moto's CloudFormation does not create, and what tests do instead. If the remark is
# empty, they read the translated template. Moto does not create the function's version either, so
# `deploy` replaces the alias with the function.
NOT_IN_MOTO = {
    "Api": "`sam local start-api` shows that it works",
    "ApiApiGatewayDefaultStage": "like the API",
    "CostAlarm": "a test puts its properties into moto's CloudWatch",
    "DeadLettersAlarm": "a test puts its properties into moto's CloudWatch",
    "ErrorsAlarm": "a test puts its properties into moto's CloudWatch",
    "ExecutionsAlarm": "a test puts its properties into moto's CloudWatch",
    "FailedInvocations": "a test looks for its fields in the app's log",
    "LostAlarm": "a test puts its properties into moto's CloudWatch",
    "LostNumbers": "a test looks for its fields in the app's log",
    "OverTls": "",
    "PokemonNamesAliaslive": "",
    "PokemonNamesDeploymentGroup": "",
    "PokemonNamesEventInvokeConfig": "",
    "PokemonNamesHttpPermission": "it refers to the API",
    "PokemonNamesRefresh": "",
    "PokemonNamesRulePermission": "created, but without a name",
    "PokemonNamesTopic": "",
    "PokemonNamesTopicPermission": "created, but without a name",
    "PokemonNamesUploadPermission": "created, but without a name",
    "SendFailures": "",
    "ServerErrorsAlarm": "a test puts its properties into moto's CloudWatch",
    "ServerlessDeploymentApplication": "it has no properties of its own",
    "SlowAlarm": "a test puts its properties into moto's CloudWatch",
    "SlowInvocations": "a test looks for its fields in the app's log",
    "ThrottlesAlarm": "a test puts its properties into moto's CloudWatch",
    "UndeliveredAlarm": "a test puts its properties into moto's CloudWatch",
}
DEFINITION = EVENTS.parent / "src" / "every_name.asl.json"
FUNCTION = '{"Fn::GetAtt": ["PokemonNames", "Arn"]}'


class NoManagedPolicies:
    """No managed policies for the translator, because the template uses none."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def translate(**parameters: str) -> Mapping[str, Any]:
    """Return the template as plain CloudFormation, with these parameters."""
    source = yaml_parse((EVENTS.parent / "template.yaml").read_text(encoding="utf-8"))
    resources = source["Resources"]
    for function in ("PokemonNames", "PreTraffic"):
        resources[function]["Properties"]["CodeUri"] = "s3://code/function.zip"
    resources["EveryName"]["Properties"]["DefinitionUri"] = "s3://code/every_name.asl.json"
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
    # Moto reads a definition only from the template, and substitutes nothing in it. Its Fn::Sub
    # would turn `$$` into `$`. It also refuses this percentage without a decimal point.
    definition = DEFINITION.read_text(encoding="utf-8")
    definition = re.sub(r'("ToleratedFailurePercentage": \d+)', r"\1.0", definition)
    parts = re.split(r"\$\{(\w+)\}", definition)
    parts[1::2] = [substitutions[name] for name in parts[1::2]]
    machine["DefinitionString"] = {"Fn::Join": ["", parts]}
    cloudformation = boto3.client("cloudformation")
    # Moto would parse the template as YAML, which takes half a second.
    with patch.object(Stack, "parse_template", staticmethod(json.loads)):
        cloudformation.create_stack(
            StackName="pokemon-names",
            TemplateBody=json.dumps(template).replace('{"Ref": "PokemonNamesAliaslive"}', FUNCTION),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
    found = cloudformation.describe_stack_resources(StackName="pokemon-names")["StackResources"]
    named = [one for one in found if "PhysicalResourceId" in one]
    deployed = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in named}
    resources = template["Resources"].items()
    wanted = {name for name, one in resources if one.get("Condition") != "HasSharedCache"}
    missing = {one for one in wanted - deployed.keys() if not one.startswith("PokemonNamesVersion")}
    assert missing == NOT_IN_MOTO.keys(), missing ^ NOT_IN_MOTO.keys()
    return deployed
