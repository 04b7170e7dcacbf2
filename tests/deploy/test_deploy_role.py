"""The role that deploys from GitHub may do what the stack, SAM and `make smoke` need."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.conftest import ROOT

MAX_POLICIES = 10_240  # characters of all inline policies of a role, without white space

# What CloudFormation needs only for properties that the stack does not set, such as keys, a VPC,
# replicas, imports and streams.
UNUSED = (
    "ec2:* elasticfilesystem:* firehose:* iam:*GroupPolicy iam:*UserPolicy iam:AttachRolePolicy "
    "iam:CreateServiceLinkedRole iam:DetachRolePolicy iam:*PermissionsBoundary kinesis:* kms:* "
    "s3files:* s3tables:* "
    # The stage's schema names these two, but IAM does not know them.
    "apigateway:TagResource apigateway:UntagResource "
    "codedeploy:RegisterOnPremisesInstance "
    "dynamodb:*Item dynamodb:*Replica dynamodb:*Kinesis* dynamodb:*ContributorInsights "
    "dynamodb:ImportTable dynamodb:DeleteResourcePolicy dynamodb:PutResourcePolicy "
    "dynamodb:Query dynamodb:Scan "
    "lambda:AssociateRuntimeAlias lambda:*CodeSigningConfig lambda:PassCapacityProvider "
    "lambda:PutFunctionScalingConfig lambda:*ProvisionedConcurrencyConfig "
    "logs:*KmsKey logs:DeleteDataProtectionPolicy logs:PutDataProtectionPolicy "
    "logs:DeleteIndexPolicy logs:PutIndexPolicy logs:PutBearerTokenAuthentication "
    "logs:PutLogGroupDeletionProtection logs:DeleteResourcePolicy logs:CreateLogStream "
    "logs:DescribeLogStreams logs:PutLogEvents "
    "s3:*Abac s3:*Acl s3:*Accelerate* s3:*Analytics* s3:*CORS s3:*Cors s3:*IntelligentTiering* "
    "s3:*Inventory* s3:*Logging s3:*Metadata* s3:*Metrics* s3:*ObjectLock* s3:*Replication* "
    "s3:*Website s3:REST.PUT.OBJECT s3:DeleteObject s3:DeleteBucketLifecycle "
    "s3:DeleteBucketEncryption "
    # The bucket holds reports, so CloudFormation keeps it.
    "s3:DeleteBucket "
    "sns:PutDataProtectionPolicy"
)
SMOKE = {
    "cloudformation:DescribeStacks",
    "execute-api:Invoke",
    "lambda:InvokeFunction",
    "s3:GetObject",
    "s3:ListBucket",  # without it, S3 reports a missing object as forbidden
    "sqs:SendMessage",
    "states:DescribeExecution",
    "states:StartExecution",
}


@pytest.fixture(scope="module")
def role() -> dict[str, Any]:
    from samtranslator.yaml_helper import yaml_parse  # noqa: PLC0415  late, like stack

    text = (ROOT / ".github" / "deploy-role.yaml").read_text("utf-8")
    properties: dict[str, Any] = yaml_parse(text)["Resources"]["Role"]["Properties"]
    return properties


@pytest.fixture(scope="module")
def allowed(role: dict[str, Any]) -> list[str]:
    """Return the actions that the role allows, some of them with a wildcard."""
    actions: list[str] = []
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            given = statement["Action"]
            actions += [given] if isinstance(given, str) else given
    return actions


def matches(action: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def test_only_the_repositorys_environment_may_assume_it(role: dict[str, Any]) -> None:
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {
                "Fn::Sub": "repo:${Repository}:environment:aws"
            },
        }
    }


def test_it_may_do_what_cloudformation_needs_for_each_resource(allowed: list[str]) -> None:
    """Cfn-lint has the resource types' schemas, which list the actions of each operation."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # noqa: PLC0415  late, like stack

    from tests.deploy import stack  # noqa: PLC0415  its docstring says why

    known = [*allowed, *UNUSED.split()]
    for type_ in {resource["Type"] for resource in stack.translate()["Resources"].values()}:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
        for operation in ("create", "read", "update", "delete"):
            for action in schema["handlers"].get(operation, {}).get("permissions", []):
                assert matches(action, known), f"{type_} needs {action} to {operation}"


def test_it_may_do_what_make_smoke_does(allowed: list[str]) -> None:
    assert {action for action in SMOKE if not matches(action, allowed)} == set()


def test_it_may_do_nothing_to_all_resources_of_a_service(allowed: list[str]) -> None:
    assert [action for action in allowed if action.endswith(":*")] == []


def test_the_policies_fit_into_a_role(role: dict[str, Any]) -> None:
    assert len(json.dumps(role["Policies"], separators=(",", ":"))) <= MAX_POLICIES
