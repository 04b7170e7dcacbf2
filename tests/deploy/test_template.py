"""The template, as plain CloudFormation and as a stack in moto."""

import json
import logging
import re
import tomllib
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from types import ModuleType
from typing import Any

import boto3
import msgspec
import pytest

from pokemon_names.app import MARGIN_SECONDS
from pokemon_names.model import CachedName
from pokemon_names.settings import Settings
from pokemon_names.sources.http import CALLER_TIMEOUT
from pokemon_names.sources.stepfunctions import TOLERATED_PERCENT
from pokemon_names.stores.dynamodb import Table
from pokemon_names.stores.s3 import STORE_TIMEOUT
from tests.conftest import EVENTS, REGION, ROOT, account, load, make_request, sample
from tests.deploy import stack
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

SOURCE_URL = "https://example.com/pokemon-names/"
RUNBOOK = ".github/OPERATING.md"
ROLLBACK_ALARMS = {"ErrorsAlarm", "ThrottlesAlarm", "SlowAlarm", "LostAlarm", "ServerErrorsAlarm"}

Template = Mapping[str, Any]
Deployed = Mapping[str, str]
pytestmark = [
    pytest.mark.filterwarnings("ignore:Tried to parse AWS"),  # what is in stack.NOT_IN_MOTO
    pytest.mark.xdist_group("moto"),
]
CHOSEN = {
    "AlarmEmail": "ash@example.com",
    "Architecture": "arm64",
    "ChunksAtOnce": "3",
    "MaxConcurrency": "50",
    "MaxRequestsPerSecond": "0.5",
    "ReservedConcurrency": "10",
    "SharedCache": "true",
    "Tracing": "Active",
}
with_chosen_parameters = pytest.mark.parametrize(
    "deployed", [CHOSEN], indirect=True, ids=["chosen"]
)


@pytest.fixture(scope="module")
def deployed(request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """Deploy the stack once for all tests with the same parameters; yield its resources' names."""
    with account():
        yield stack.deploy(**getattr(request, "param", {}))


def translate(**parameters: str) -> Template:
    return stack.translate(**parameters)


@pytest.fixture
def template() -> Template:
    return translate()


def properties_of(template: Template, name: str) -> dict[str, Any]:
    properties: dict[str, Any] = template["Resources"][name]["Properties"]
    return properties


def function(deployed: Deployed) -> dict[str, Any]:
    client = boto3.client("lambda")
    return dict(client.get_function_configuration(FunctionName=deployed["PokemonNames"]))


def variables(deployed: Deployed) -> dict[str, str]:
    items = function(deployed)["Environment"]["Variables"].items()
    return {name: str(value) for name, value in items}


class Recording(dict[str, str]):
    """An environment that records which of its variables were read."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


def test_the_app_reads_every_variable_and_has_the_same_defaults(deployed: Deployed) -> None:
    environment = Recording(variables(deployed))
    in_the_stack = Settings.from_environment(environment)
    defaults = Settings.from_environment({})
    assert environment.keys() <= environment.read
    assert in_the_stack.results_bucket == deployed["Bucket"]
    assert msgspec.structs.replace(in_the_stack, results_bucket=None) == defaults


def test_the_log_level_reaches_the_apps_logger(
    template: Template,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logging_config = properties_of(template, "PokemonNames")["LoggingConfig"]
    assert logging_config["LogFormat"] == "JSON"
    assert logging_config["ApplicationLogLevel"] == {"Ref": "LogLevel"}
    app = load(monkeypatch, AWS_LAMBDA_LOG_LEVEL="DEBUG")  # as Lambda then sets it
    assert app.telemetry.logger.log_level == logging.DEBUG


@with_chosen_parameters
def test_the_function_gets_the_chosen_parameters(deployed: Deployed) -> None:
    assert variables(deployed)["MAX_CONCURRENCY"] == "50"
    assert Settings.from_environment(variables(deployed)).max_requests_per_second == 0.5
    client = boto3.client("lambda")
    concurrency = client.get_function_concurrency(FunctionName=deployed["PokemonNames"])
    assert concurrency["ReservedConcurrentExecutions"] == 10


def test_the_app_accepts_every_rate_that_the_template_accepts(template: Template) -> None:
    pattern = template["Parameters"]["MaxRequestsPerSecond"]["AllowedPattern"]
    for given in ("", "1", "50", "007", "12.5", "10.0", "0.5", "0.50", "00.05"):
        assert re.fullmatch(pattern, given), given
        Settings.from_environment({"MAX_REQUESTS_PER_SECOND": given})


def test_any_other_rate_is_refused_before_the_deployment(template: Template) -> None:
    pattern = template["Parameters"]["MaxRequestsPerSecond"]["AllowedPattern"]
    for given in ("0", "00", "0.0", "-1", "+1", "5.", ".5", "1e3", "1,5", "50/s"):
        assert not re.fullmatch(pattern, given), given


WHOLE_NUMBERS = ("MaxConcurrency", "ChunksAtOnce", "ReservedConcurrency")


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
def test_a_number_that_is_not_whole_is_refused_before_the_deployment(
    template: Template, name: str
) -> None:
    parameter = template["Parameters"][name]
    assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])
    assert re.fullmatch(parameter["AllowedPattern"], "25")
    for given in ("2.5", "", "-2", "1e3", " 1", "x"):
        assert not re.fullmatch(parameter["AllowedPattern"], given), given


def test_calls_are_traced_only_if_the_parameter_says_so(template: Template) -> None:
    assert template["Parameters"]["Tracing"]["Default"] == "PassThrough"
    mode = properties_of(template, "PokemonNames")["TracingConfig"]["Mode"]
    assert mode == {"Ref": "Tracing"}


@with_chosen_parameters
def test_with_tracing_the_role_may_send_traces(deployed: Deployed) -> None:
    used = allowed(deployed["Role"])
    assert used["xray:PutTraceSegments"] == used["xray:PutTelemetryRecords"] == "*"


def test_the_stack_also_deploys_outside_the_commercial_regions() -> None:
    for path in ("template.yaml", "src/every_name.asl.json"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "arn:aws" not in text
        assert "console.aws" not in text


def test_logs_expire(template: Template) -> None:
    groups = _of_type(template, "AWS::Logs::LogGroup").values()
    assert [group["RetentionInDays"] for group in groups] == [{"Ref": "LogRetentionDays"}] * 2


def allowed(role: str) -> dict[str, str | list[str]]:
    """Return what a role's policies allow: the resources for each action."""
    iam = boto3.client("iam")
    found: dict[str, str | list[str]] = {}
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        # Moto stores the policies of a role in the template as Python writes them. CloudFormation
        # removes a statement that is AWS::NoValue, moto leaves None.
        policy = literal_eval(policy) if isinstance(policy, str) else policy
        for statement in filter(None, policy["Statement"]):
            actions = listed(statement["Action"])
            assert statement["Effect"] == "Allow"
            assert not found.keys() & set(actions)
            found |= dict.fromkeys(actions, statement["Resource"])
    return found


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _statements(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Effect" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _statements(item)


def test_every_permission_names_its_resource_if_one_can_be_named(template: Template) -> None:
    statements = _statements(template["Resources"])
    unnamed = [one["Action"] for one in statements if one.get("Resource") == "*"]
    assert unnamed == [["xray:PutTraceSegments", "xray:PutTelemetryRecords"]]


def test_the_role_may_do_only_what_the_function_does(
    deployed: Deployed, template: Template
) -> None:
    bucket = f"arn:aws:s3:::{deployed['Bucket']}"
    here = f"{REGION}:123456789012"
    logs = f"arn:aws:logs:{here}:log-group:{deployed['Logs']}"
    requests = f"arn:aws:sqs:{here}:{deployed['Requests'].rpartition('/')[2]}"
    failures = f"arn:aws:sqs:{here}:{deployed['Failures'].rpartition('/')[2]}"
    assert allowed(deployed["Role"]) == {
        "logs:CreateLogStream": logs,
        "logs:PutLogEvents": logs,
        "sqs:ReceiveMessage": [requests, failures],
        "sqs:DeleteMessage": [requests, failures],
        "sqs:GetQueueAttributes": [requests, failures],
        "sqs:SendMessage": failures,
        "s3:GetObject": [f"{bucket}/requests/*", f"{bucket}/runs/*"],
        "s3:ListBucket": bucket,
        "s3:PutObject": [f"{bucket}/results/*", f"{bucket}/runs/*"],
    }
    assert "ManagedPolicyArns" not in properties_of(template, "Role")


def queue(url: str) -> dict[str, str]:
    reply = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return dict(reply["Attributes"])


def test_a_message_that_fails_is_received_again_and_ends_in_the_dead_letter_queue(
    deployed: Deployed,
) -> None:
    requests = queue(deployed["Requests"])
    dead = queue(deployed["DeadRequests"])
    redrive = json.loads(requests["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) >= 5  # deliveries that Lambda throttles count as well
    assert int(dead["MessageRetentionPeriod"]) > int(requests["MessageRetentionPeriod"])
    # AWS recommends six times the function's timeout:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert int(requests["VisibilityTimeout"]) >= 6 * function(deployed)["Timeout"]
    client = boto3.client("lambda")
    mappings = client.list_event_source_mappings(EventSourceArn=requests["QueueArn"])
    (mapping,) = mappings["EventSourceMappings"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_failures_wait_until_somebody_enables_the_retry(deployed: Deployed) -> None:
    failures = queue(deployed["Failures"])
    client = boto3.client("lambda")
    mappings = client.list_event_source_mappings(EventSourceArn=failures["QueueArn"])
    (mapping,) = mappings["EventSourceMappings"]
    assert mapping["UUID"] == deployed["PokemonNamesRedrive"]
    assert mapping["State"] == "Disabled"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 1
    assert json.loads(failures["RedrivePolicy"])["maxReceiveCount"] == 5
    assert int(failures["VisibilityTimeout"]) >= 6 * function(deployed)["Timeout"]


def test_a_failed_event_is_kept_for_seven_days_in_each_queue(deployed: Deployed) -> None:
    """A message that moves to the dead-letter queue keeps the age it has."""
    failures = int(queue(deployed["Failures"])["MessageRetentionPeriod"])
    dead = int(queue(deployed["DeadRequests"])["MessageRetentionPeriod"])
    assert (failures, dead - failures) == (7 * 86_400, 7 * 86_400)


def test_what_cannot_be_delivered_goes_to_the_failure_queue(template: Template) -> None:
    failures = {"Fn::GetAtt": ["Failures", "Arn"]}
    topic = properties_of(template, "PokemonNamesTopic")
    assert topic["RedrivePolicy"] == {"deadLetterTargetArn": failures}
    (rule,) = properties_of(template, "PokemonNamesRule")["Targets"]
    (upload,) = properties_of(template, "PokemonNamesUpload")["Targets"]
    refresh = properties_of(template, "PokemonNamesRefresh")["Target"]
    for target in (rule, upload, refresh):
        assert target["DeadLetterConfig"] == {"Arn": failures}
    (from_rules_and_topic,) = _statements(properties_of(template, "SendFailures"))
    assert from_rules_and_topic["Action"] == "sqs:SendMessage"
    assert from_rules_and_topic["Condition"]["ArnEquals"]["aws:SourceArn"] == [
        {"Fn::GetAtt": ["PokemonNamesRule", "Arn"]},
        {"Fn::GetAtt": ["PokemonNamesUpload", "Arn"]},
        {"Ref": "Topic"},
    ]
    invoke, send = _statements(properties_of(template, "ScheduleRole")["Policies"])
    assert refresh["RoleArn"] == {"Fn::GetAtt": ["ScheduleRole", "Arn"]}
    assert (invoke["Action"], send["Action"]) == ("lambda:InvokeFunction", "sqs:SendMessage")
    assert send["Resource"] == failures


def test_a_service_assumes_a_role_only_for_this_account(template: Template) -> None:
    roles = _of_type(template, "AWS::IAM::Role")
    assert roles.keys() == {"Deployer", "PreTrafficRole", "Role", "ScheduleRole", "StatesRole"}
    for role in roles.values():
        (trust,) = _statements(role["AssumeRolePolicyDocument"])
        account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert trust["Condition"] == {"StringEquals": account}


def test_events_of_other_stacks_are_ignored(template: Template) -> None:
    pattern = properties_of(template, "PokemonNamesRule")["EventPattern"]
    assert pattern["source"] == [{"Ref": "AWS::StackName"}]


def _holds(condition: Any, parameters: Mapping[str, str]) -> bool:
    if "Fn::Not" in condition:
        (negated,) = condition["Fn::Not"]
        return not _holds(negated, parameters)
    parameter, wanted = condition["Fn::Equals"]
    return bool(parameters[parameter["Ref"]] == wanted)


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ({}, []),
        ({"SharedCache": "true", "RefreshCache": "ENABLED"}, []),
        ({"MaxNumbers": "150"}, []),
        ({"RefreshCache": "ENABLED"}, ["RefreshCache=ENABLED needs SharedCache=true"]),
        (
            {"SharedCache": "true", "RefreshCache": "ENABLED", "MaxNumbers": "500"},
            ["RefreshCache=ENABLED needs MaxNumbers=1500"],
        ),
        ({"Rollout": "Canary10Percent15Minutes"}, ["A gradual Rollout needs an AlarmEmail"]),
        ({"Rollout": "Canary10Percent15Minutes", "AlarmEmail": "ash@example.com"}, []),
    ],
)
def test_parameters_that_could_not_work_together_are_refused(
    template: Template, parameters: dict[str, str], refused: list[str]
) -> None:
    defaults = {name: str(one.get("Default")) for name, one in template["Parameters"].items()}
    chosen = {**defaults, **parameters}
    failed = []
    for rule in template["Rules"].values():
        if _holds(rule["RuleCondition"], chosen):
            failed += [one for one in rule["Assertions"] if not _holds(one["Assert"], chosen)]
    assert [one["AssertDescription"].partition(",")[0] for one in failed] == refused


def test_the_refresh_asks_for_what_the_rule_says(template: Template) -> None:
    _, large_enough = template["Rules"]["RefreshNeeds"]["Assertions"][1]["Assert"]["Fn::Equals"]
    target = properties_of(template, "PokemonNamesRefresh")["Target"]
    wanted = len(make_request(**json.loads(target["Input"])["detail"]).numbers)
    allowed = template["Parameters"]["MaxNumbers"]["AllowedValues"]
    assert [int(large_enough)] == [value for value in allowed if value >= wanted]


@with_chosen_parameters
def test_the_state_machine_bounds_what_pokeapi_sees(deployed: Deployed) -> None:
    client = boto3.client("stepfunctions")
    definition = client.describe_state_machine(stateMachineArn=deployed["EveryName"])["definition"]
    assert "${" not in definition
    states = json.loads(definition)["States"]
    fetch = states["Fetch"]
    assert fetch["MaxConcurrency"] == 3
    assert fetch["ToleratedFailurePercentage"] == TOLERATED_PERCENT
    assert fetch["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert fetch["ItemReader"]["Parameters"]["Bucket"] == deployed["Bucket"]
    tasks = [states["Plan"], fetch["ItemProcessor"]["States"]["FetchChunk"], states["Merge"]]
    retriers = [task["Retry"][-2:] for task in tasks]
    assert retriers[0] == retriers[1] == retriers[2]  # JSON cannot define them once and reuse them
    called = [task["Parameters"]["FunctionName"] for task in tasks]
    assert called == [function(deployed)["FunctionArn"]] * 3


def test_the_state_machines_role_may_do_only_what_it_needs(deployed: Deployed) -> None:
    here = f"{REGION}:123456789012"
    runs = f"arn:aws:s3:::{deployed['Bucket']}/runs/*"
    machine = f"arn:aws:states:{here}"
    name = deployed["EveryName"].rpartition(":")[2]
    function_name = deployed["PokemonNames"]
    assert allowed(deployed["StatesRole"]) == {
        "lambda:InvokeFunction": f"arn:aws:lambda:{here}:function:{function_name}",
        "s3:GetObject": runs,
        "s3:PutObject": runs,
        "s3:ListMultipartUploadParts": runs,
        "s3:AbortMultipartUpload": runs,
        "states:StartExecution": f"{machine}:stateMachine:{name}",
        "states:DescribeExecution": f"{machine}:execution:{name}:*",
        "states:StopExecution": f"{machine}:execution:{name}:*",
        "states:RedriveExecution": f"{machine}:execution:{name}/*",
    }


def test_the_rules_lead_to_the_function(deployed: Deployed, template: Template) -> None:
    events = boto3.client("events")
    for name in ("PokemonNamesRule", "PokemonNamesUpload"):
        (target,) = events.list_targets_by_rule(Rule=deployed[name])["Targets"]
        assert target["Arn"] == function(deployed)["FunctionArn"]
    notified = properties_of(template, "Bucket")["NotificationConfiguration"]
    assert notified == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    pattern = json.loads(events.describe_rule(Name=deployed["PokemonNamesUpload"])["EventPattern"])
    assert pattern["detail"] == {
        "bucket": {"name": [deployed["Bucket"]]},
        "object": {"key": [{"prefix": "requests/"}], "size": [{"numeric": [">", 0]}]},
    }


def test_everything_in_the_bucket_expires(template: Template) -> None:
    rules = properties_of(template, "Bucket")["LifecycleConfiguration"]["Rules"]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    (expiry,) = (rule for rule in rules if "ExpirationInDays" in rule)
    assert expiry["Status"] == "Enabled"
    assert "Prefix" not in expiry


def test_the_bucket_is_private(template: Template) -> None:
    blocked = properties_of(template, "Bucket")["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(blocked.values())


def test_the_schedule_sends_the_sample_event(template: Template) -> None:
    target = properties_of(template, "PokemonNamesRefresh")["Target"]
    event = {**sample("scheduler"), "id": "<aws.scheduler.execution-id>"}
    assert json.loads(target["Input"]) == event


@with_chosen_parameters
def test_the_function_may_use_the_shared_caches_table(
    deployed: Deployed, template: Template
) -> None:
    assert variables(deployed)["NAMES_TABLE"] == deployed["Names"]
    errors: list[Exception] = []
    Table(deployed["Names"]).save({1: CachedName("bulbasaur", 0.0)}, errors.append)
    assert errors == []
    table = boto3.resource("dynamodb").Table(deployed["Names"])
    (item,) = table.scan()["Items"]
    assert properties_of(template, "Names")["TimeToLiveSpecification"]["AttributeName"] in item
    used = allowed(deployed["Role"])
    assert used["dynamodb:BatchGetItem"] == used["dynamodb:BatchWriteItem"] == table.table_arn


def test_without_shared_cache_there_is_no_table_and_no_permission(deployed: Deployed) -> None:
    assert "Names" not in deployed
    assert not [action for action in allowed(deployed["Role"]) if action.startswith("dynamodb")]


def test_every_path_goes_to_the_function(template: Template) -> None:
    assert list(properties_of(template, "Api")["Body"]["paths"]) == ["$default"]


def _parameters_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        named = {value["Ref"]} if "Ref" in value else set()
        return named.union(*map(_parameters_in, value.values()))
    return set().union(*map(_parameters_in, value)) if isinstance(value, list) else set()


def test_every_parameter_of_the_function_publishes_a_version(template: Template) -> None:
    (version,) = _of_type(template, "AWS::Lambda::Version").values()
    unversioned = {"ReservedConcurrentExecutions", "Code", "Tags"}
    items = properties_of(template, "PokemonNames").items()
    versioned = [value for name, value in items if name not in unversioned]
    wanted = _parameters_in(versioned) & template["Parameters"].keys()
    wanted |= {"SharedCache"}  # by its condition
    assert set(re.findall(r"\$\{(\w+)\}", version["Description"]["Fn::Sub"])) == wanted


def test_every_source_calls_the_published_version(template: Template) -> None:
    default = properties_of(template, "Api")["Body"]["paths"]["$default"]
    integration = default["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    assert "${PokemonNamesAliaslive}" in integration["uri"]["Fn::Sub"]
    for name in ("Requests", "Redrive", "Topic", "Rule", "Upload", "Refresh"):
        source = json.dumps(properties_of(template, f"PokemonNames{name}"))
        assert '{"Ref": "PokemonNamesAliaslive"}' in source
    assert template["Outputs"]["FunctionArn"]["Value"] == {"Ref": "PokemonNamesAliaslive"}
    assert template["Outputs"]["FunctionName"]["Value"] == {"Fn::Sub": "${PokemonNames}:live"}


def test_an_old_version_is_deleted(template: Template) -> None:
    (version,) = [
        resource
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Version"
    ]
    assert version["DeletionPolicy"] == "Delete"


def test_the_api_accepts_as_many_requests_as_the_parameter_says(template: Template) -> None:
    stage = properties_of(template, "ApiApiGatewayDefaultStage")
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "RateLimit"}
    assert template["Parameters"]["RateLimit"]["Default"] == 1


def test_an_access_log_line_is_json_whatever_went_wrong(template: Template) -> None:
    settings = properties_of(template, "ApiApiGatewayDefaultStage")["AccessLogSettings"]
    logged = json.loads(settings["Format"])
    assert all(re.fullmatch(r"\$context[.\w]+", value) for value in logged.values())
    may_hold_quotes = {"path", "message", "messageString", "integrationErrorMessage"}
    assert not {value.rpartition(".")[2] for value in logged.values()} & may_hold_quotes
    name = properties_of(template, "ApiLogs")["LogGroupName"]
    assert name["Fn::Sub"].startswith("/aws/vendedlogs/")


def test_an_event_whose_attempts_all_fail_goes_to_the_failure_queue(template: Template) -> None:
    (alias,) = _of_type(template, "AWS::Lambda::Alias").values()
    (failing,) = _of_type(template, "AWS::Lambda::EventInvokeConfig").values()
    assert failing["Qualifier"] == alias["Name"]
    assert failing["DestinationConfig"] == {
        "OnFailure": {"Destination": {"Fn::GetAtt": ["Failures", "Arn"]}},
    }


def test_callers_of_the_api_must_sign_if_the_parameter_says_so(template: Template) -> None:
    body = properties_of(template, "Api")["Body"]
    assert list(body["components"]["securitySchemes"]) == ["AWS_IAM"]
    security = body["paths"]["$default"]["x-amazon-apigateway-any-method"]["security"]
    assert security == {"Fn::If": ["HasAuthorization", [{"AWS_IAM": []}], []]}


def _of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    resources = template["Resources"].items()
    return {name: one["Properties"] for name, one in resources if one["Type"] == kind}


def test_production_moves_to_a_new_version_in_steps_and_an_alarm_rolls_it_back() -> None:
    samconfig = tomllib.loads((EVENTS.parent / "samconfig.toml").read_text(encoding="utf-8"))
    overrides = samconfig["prod"]["global"]["parameters"]["parameter_overrides"].split()
    template = translate(**dict(one.split("=") for one in overrides))
    (group,) = _of_type(template, "AWS::CodeDeploy::DeploymentGroup").values()
    assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "Canary10Percent15Minutes"}
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert group["AlarmConfiguration"]["Enabled"] is True
    assert {one["Name"]["Ref"] for one in group["AlarmConfiguration"]["Alarms"]} == ROLLBACK_ALARMS


def test_no_rollout_ends_before_an_alarm_can_go_off(template: Template) -> None:
    """An alarm needs several bad minutes out of five, and their metrics arrive minutes later."""
    rollouts = template["Parameters"]["Rollout"]["AllowedValues"]
    minutes = [int(found) for found in re.findall(r"Percent(\d+)Minutes", " ".join(rollouts))]
    assert min(minutes) >= 15
    alarms = _of_type(template, "AWS::CloudWatch::Alarm")
    for name in ROLLBACK_ALARMS:
        assert alarms[name]["EvaluationPeriods"] == 5
        assert alarms[name]["DatapointsToAlarm"] >= 2


def test_one_event_whose_attempts_all_fail_rolls_nothing_back(template: Template) -> None:
    """Lambda retries it after one minute, and again after two more."""
    assert properties_of(template, "ErrorsAlarm")["DatapointsToAlarm"] > 3


def test_a_new_version_is_called_before_traffic_moves_to_it(template: Template) -> None:
    aliases = [
        resource
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Alias"
    ]
    (alias,) = aliases
    update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["BeforeAllowTrafficHook"] == {"Ref": "PreTraffic"}
    (version,) = (
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Version"
    )
    hook = properties_of(template, "PreTraffic")
    assert hook["Environment"]["Variables"] == {"NEW_VERSION": {"Ref": version}}
    assert hook["Timeout"] > properties_of(template, "PokemonNames")["Timeout"]
    _, call, report = _statements(properties_of(template, "PreTrafficRole")["Policies"])
    assert (call["Action"], call["Resource"]) == ("lambda:InvokeFunction", {"Ref": version})
    assert report["Action"] == "codedeploy:PutLifecycleEventHookExecutionStatus"


def test_the_dashboard_names_the_stack(template: Template) -> None:
    """CloudFormation does not substitute variables in values that Fn::Sub inserts; moto does."""
    _, values = properties_of(template, "Dashboard")["DashboardBody"]["Fn::Sub"]
    assert not [value for value in values.values() if "${" in value]


def test_codedeploy_may_move_only_this_functions_alias(template: Template) -> None:
    move, call, watch = _statements(properties_of(template, "Deployer")["Policies"])
    assert call["Action"] == "lambda:InvokeFunction"
    assert call["Resource"] == {"Fn::GetAtt": ["PreTraffic", "Arn"]}
    assert move["Resource"] == [
        {"Fn::GetAtt": ["PokemonNames", "Arn"]},
        {"Fn::Sub": "${PokemonNames.Arn}:*"},
    ]
    assert watch["Resource"]["Fn::Sub"].endswith(":alarm:${AWS::StackName}-*")


def receivers(deployed: Deployed) -> list[tuple[str, str]]:
    topic = boto3.client("sns").list_subscriptions_by_topic(TopicArn=deployed["Alarms"])
    return [(one["Protocol"], one["Endpoint"]) for one in topic["Subscriptions"]]


@with_chosen_parameters
def test_alarms_go_to_the_address_in_the_parameter(deployed: Deployed) -> None:
    assert receivers(deployed) == [("email", "ash@example.com")]


def test_without_an_address_alarms_go_to_nobody(deployed: Deployed) -> None:
    assert receivers(deployed) == []


@pytest.fixture
def output(
    deployed: Deployed,  # noqa: ARG001  its account has no table of this name
    load_app: Callable[..., ModuleType],
    pokeapi: PokeAPI,
    capsys: pytest.CaptureFixture[str],
) -> list[dict[str, Any]]:
    """Return what the app prints when everything that a metric counts goes wrong."""
    forbidden = answers.text(403, "Forbidden")
    pokeapi.answers = {PokeAPI.LIST: forbidden, 2: forbidden}
    app = load_app(NAMES_TABLE="nowhere", POWERTOOLS_SERVICE_NAME="pokemon-names")
    app.handler({"range": "1-2,1026"}, Context())
    app.handler(sample("http-api-bad-range"), Context())
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def measured(output: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    """Return each metric of the app: its namespace, its name and the names of its dimensions."""
    lines = [line["_aws"] for line in output if "_aws" in line]
    directives = [one for line in lines for one in line["CloudWatchMetrics"]]
    return {
        (one["Namespace"], metric["Name"], *sorted(dimensions))
        for one in directives
        for metric in one["Metrics"]
        for dimensions in one["Dimensions"]
    }


LAMBDA = {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"}
QUEUE_METRICS = {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}
QUEUES = ("Requests", "DeadRequests", "Failures")
ALARMING = {"DestinationDeliveryFailures", "Duration", "Errors", "Invocations", "Throttles"}


def _resolved(properties: dict[str, Any], deployed: Deployed) -> dict[str, Any]:
    text = json.dumps(properties).replace('{"Ref": "AWS::StackName"}', '"pokemon-names"')
    text = text.replace('{"Ref": "MaxCostPerHour"}', "0.25")
    named = {**deployed, "Api": "a1b2c3d4e5"}  # moto creates no API
    text = re.sub(r'\{"Ref": "(\w+)"\}', lambda found: json.dumps(named[found[1]]), text)
    queue_name = r'\{"Fn::GetAtt": \["(\w+)", "QueueName"\]\}'
    text = text.replace('{"Fn::GetAtt": ["Topic", "TopicName"]}', '"topic"')
    text = re.sub(queue_name, lambda found: json.dumps(deployed[found[1]].rpartition("/")[2]), text)
    text = re.sub(r'\{"Fn::Sub": ("[^"]*")\}', r"\1", text)
    text = text.replace("${AWS::StackName}", "pokemon-names").replace("${SourceUrl}", SOURCE_URL)
    resolved: dict[str, Any] = json.loads(text)
    for metric in resolved.get("Metrics", []):
        if isinstance(metric.get("Expression"), dict):
            metric["Expression"] = _cost_formula(metric["Expression"], "x86_64")
    return resolved


def _cost_formula(expression: Any, architecture: str) -> str:
    """Return the expression of the alarm on cost, as CloudFormation resolves it."""
    formula, values = expression["Fn::Sub"]
    condition, *prices = values["GbSecond"]["Fn::If"]
    assert condition == "IsArm"
    return str(formula).replace("${GbSecond}", prices[architecture == "x86_64"])


def _metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    metrics = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
    return metrics or [alarm]


def test_alarms_watch_what_is_measured_and_go_to_the_topic(
    template: Template, deployed: Deployed, measured: set[tuple[str, ...]]
) -> None:
    cloudwatch = boto3.client("cloudwatch")
    for properties in _of_type(template, "AWS::CloudWatch::Alarm").values():
        cloudwatch.put_metric_alarm(**_resolved(properties, deployed))
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    assert {alarm["AlarmName"].removeprefix("pokemon-names-") for alarm in alarms} == {
        "errors",
        "throttles",
        "slow",
        "lost",
        "dead-letters",
        "executions",
        "cost",
        "undelivered",
        "server-errors",
    }
    queues = {deployed[queue].rpartition("/")[2] for queue in ("DeadRequests", "Failures")}
    runbook = (ROOT / RUNBOOK).read_text(encoding="utf-8")
    for alarm in alarms:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [deployed["Alarms"]]
        section = alarm["AlarmName"].removeprefix("pokemon-names-")
        # Without data, a queue still holds what it held when the last data came.
        missing = "ignore" if section == "dead-letters" else "notBreaching"
        assert alarm["TreatMissingData"] == missing
        assert alarm["AlarmDescription"].endswith(f": {SOURCE_URL}{RUNBOOK}#{section}")
        assert f"\n### {section}\n" in runbook
        for metric in _metrics_of(alarm):
            dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
            match metric["Namespace"]:
                case "AWS/Lambda":
                    assert metric["MetricName"] in ALARMING
                    assert dimensions == {"FunctionName": deployed["PokemonNames"]}
                case "AWS/SQS":
                    assert metric["MetricName"] == "ApproximateNumberOfMessagesVisible"
                    assert dimensions["QueueName"] in queues
                case "AWS/Events" | "AWS/SNS":
                    (value,) = dimensions.values()
                    assert value in {
                        deployed["PokemonNamesRule"],
                        deployed["PokemonNamesUpload"],
                        "topic",
                    }
                case "AWS/States":
                    assert metric["MetricName"] == "ExecutionsFailed"
                    assert dimensions == {"StateMachineArn": deployed["EveryName"]}
                case "AWS/ApiGateway":
                    assert (metric["MetricName"], *dimensions) == ("5xx", "ApiId")
                case namespace:
                    assert (namespace, metric["MetricName"], *sorted(dimensions)) in measured
                    assert dimensions["service"] == "pokemon-names"


def test_the_slow_alarm_goes_off_before_a_deadline_but_not_for_a_full_batch(
    template: Template,
) -> None:
    threshold = properties_of(template, "SlowAlarm")["Threshold"] / 1000
    timeout = properties_of(template, "PokemonNames")["Timeout"]
    assert threshold < min(CALLER_TIMEOUT, timeout) - MARGIN_SECONDS - STORE_TIMEOUT
    largest_batch = 10 * max(template["Parameters"]["MaxNumbers"]["AllowedValues"])
    assert threshold > largest_batch / 100 * 0.1  # 100 at once, 100 ms each


def _watched(template: Template, name: str) -> dict[str, tuple[str, str]]:
    """Return the metric and the strategy for each id in an alarm's expression."""
    watched = {}
    for one in properties_of(template, name)["Metrics"]:
        if "MetricStat" in one:
            metric = one["MetricStat"]["Metric"]
            watched[one["Id"]] = (metric["MetricName"], metric["Dimensions"][1]["Value"])
    return watched


def test_no_alarm_watches_strategies_that_are_slow_by_design(template: Template) -> None:
    lost = _watched(template, "LostAlarm")
    assert sorted(lost.values()) == sorted(product(["Lost", "Names"], ["gather", "index"]))
    slow = _watched(template, "SlowAlarm")
    assert sorted(slow.values()) == sorted(product(["FetchTime"], ["gather", "index"]))


def test_an_idle_queue_or_strategy_hides_no_other(template: Template) -> None:
    """An arithmetic operator yields nothing if one of its metrics has no value; SUM does."""
    for name in ("DeadLettersAlarm", "LostAlarm", "SlowAlarm", "UndeliveredAlarm"):
        expression, *others = properties_of(template, name)["Metrics"]
        lists = re.findall(r"(?:SUM|MAX)\(\[(.*?)\]\)", expression["Expression"])
        summed = {id_ for ids in lists for id_ in ids.split(", ")}
        assert summed == {one["Id"] for one in others}


def _widgets() -> list[dict[str, Any]]:
    body = boto3.client("cloudwatch").get_dashboard(DashboardName=f"pokemon-names-{REGION}")[
        "DashboardBody"
    ]
    return [widget["properties"] for widget in json.loads(body)["widgets"]]


def test_the_dashboard_shows_what_is_measured(
    deployed: Deployed, measured: set[tuple[str, ...]]
) -> None:
    rows = [row for widget in _widgets() for row in widget["metrics"]]
    expressions = "\n".join(row[0]["expression"] for row in rows if isinstance(row[0], dict))
    search = r"""SEARCH\('\{(.*?)\} service="(.*?)" MetricName="(\w+)"'"""
    searched = re.findall(search, expressions)
    for schema, service, name in searched:
        namespace, *dimensions = schema.split(",")
        assert service == "pokemon-names"
        assert (namespace, name, *sorted(dimensions)) in measured
    assert len(searched) == expressions.count("SEARCH")
    named = [row for row in rows if isinstance(row[0], str) and row[0] != "..."]
    for namespace, name, dimension, value, *_ in named:
        match namespace:
            case "AWS/SQS":
                assert name in QUEUE_METRICS
                assert value in {deployed[one].rpartition("/")[2] for one in QUEUES}
            case "AWS/Lambda":
                assert name in LAMBDA
                assert (dimension, value) == ("FunctionName", deployed["PokemonNames"])
            case _:
                assert (namespace, name, dimension) in measured
                assert value == "pokemon-names"


@pytest.mark.usefixtures("deployed")
def test_the_dashboard_shows_every_metric(measured: set[tuple[str, ...]]) -> None:
    widgets = json.dumps(_widgets()).replace('\\"', '"')
    shown = set(re.findall(r'MetricName="(\w+)"|"PokemonNames", "(\w+)"', widgets))
    names = {searched or named for searched, named in shown}
    assert names == {name for _, name, *_ in measured}


def assert_cost(deployed: Deployed, architecture: str, price: str) -> None:
    (cost,) = (widget for widget in _widgets() if "USD" in widget["title"])
    memory = function(deployed)["MemorySize"]
    formula = f"ms / 1000 * {memory} / 1024 * {price} + calls * 0.0000002"
    assert cost["metrics"][-1][0]["expression"] == formula
    alarm, *_ = properties_of(translate(), "CostAlarm")["Metrics"]
    assert _cost_formula(alarm["Expression"], architecture) == formula


def test_the_cost_depends_on_the_functions_memory_and_architecture(deployed: Deployed) -> None:
    assert_cost(deployed, "x86_64", "0.0000166667")


@with_chosen_parameters
def test_the_cost_on_arm64_is_lower(deployed: Deployed) -> None:
    assert_cost(deployed, "arm64", "0.0000133334")


def test_the_alarm_on_cost_covers_an_hour(template: Template) -> None:
    alarm = properties_of(template, "CostAlarm")
    periods = [one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert periods == [3600, 3600]
    assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"] == 1
    assert alarm["Threshold"] == {"Ref": "MaxCostPerHour"}
    assert template["Parameters"]["MaxCostPerHour"]["Default"] == 0.25


# Fields that Lambda itself logs: when an invocation raises, and in the invocation's report.
LAMBDAS_FIELDS = {"requestId", "errorType", "errorMessage", "AWSRequestId"}
LAMBDAS_FIELDS |= {"record.requestId", "record.status", "record.errorType"}
REFUSED = {"error"}  # in the line "invalid request"


def _flat(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    yield name
    for key, item in value.items() if isinstance(value, dict) else ():
        yield from _flat(item, f"{name}.{key}".lstrip("."))


def _read_by(query: str) -> set[str]:
    """Return the fields of log lines that a query reads."""
    aliases = set(re.findall(r"\b(?:as|into) (\w+)", query)) | {"line", "failure"}
    text = re.sub(r'"[^"]*"', "", query)
    words = set(re.findall(r"(?<![@\w.])[a-zA-Z_]\w*(?:\.\w+)*(?![\w(])", text))
    syntax = {"fields", "filter", "display", "sort", "desc", "limit", "stats", "by", "unnest"}
    syntax |= {"as", "into", "in", "or", "and"}
    read = (word.removeprefix("line.") for word in words - aliases - syntax)
    return {re.sub(r"^failure\.", "lost.0.", word) for word in read}


def test_the_saved_queries_read_fields_that_are_logged(
    template: Template, output: list[dict[str, Any]]
) -> None:
    (line,) = (one for one in output if one.get("message") == "fetched")
    logged = set(_flat(line)) | LAMBDAS_FIELDS | REFUSED
    queries = _of_type(template, "AWS::Logs::QueryDefinition")
    assert queries.keys() == {"FailedInvocations", "SlowInvocations", "LostNumbers"}
    for query in queries.values():
        assert query["LogGroupNames"] == [{"Ref": "Logs"}]
        assert _read_by(query["QueryString"]) <= logged
