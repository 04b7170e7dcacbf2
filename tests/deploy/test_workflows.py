"""The GitHub workflows agree with the rest of the project."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, add_program
from tests.test_documents import targets

WORKFLOWS = ROOT / ".github" / "workflows"
RUNNERS = {"x86_64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"}


@pytest.fixture
def jobs() -> dict[str, Any]:
    return dict(yaml.safe_load((WORKFLOWS / "ci.yml").read_text("utf-8"))["jobs"])


@pytest.fixture
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def runtime() -> str:
    """Return the version of Python that Lambda runs."""
    template = (ROOT / "template.yaml").read_text("utf-8")
    (version,) = set(re.findall(r"Runtime: python(.+)", template))
    return str(version)


def test_every_make_target_that_a_workflow_runs_exists(jobs: dict[str, Any]) -> None:
    matrix = jobs["make"]["strategy"]["matrix"]
    assert {*matrix["target"], *(job["target"] for job in matrix["include"])} <= targets()
    for workflow in WORKFLOWS.iterdir():
        run = re.findall(r"run: make ([a-z-]+)", workflow.read_text("utf-8"))
        assert set(run) <= targets(), workflow.name


def test_the_workflow_uses_the_oldest_supported_python_and_lambdas(
    jobs: dict[str, Any], project: dict[str, Any]
) -> None:
    oldest = project["tool"]["mypy"]["python_version"]
    matrix = jobs["make"]["strategy"]["matrix"]
    assert matrix["python"] == [oldest, runtime()]
    assert {job["python"] for job in matrix["include"]} == {runtime()}
    assert project["project"]["requires-python"] == f">={oldest}"


def test_the_tests_and_the_package_run_on_both_processors(jobs: dict[str, Any]) -> None:
    matrix = jobs["make"]["strategy"]["matrix"]
    assert matrix["runner"] == [RUNNERS["x86_64"]]
    on_arm = {job["target"] for job in matrix["include"] if job["runner"] == RUNNERS["arm64"]}
    assert on_arm == {"test", "test-sam"}


def test_the_deployment_needs_all_other_jobs(jobs: dict[str, Any]) -> None:
    deploy = jobs.pop("deploy")
    assert deploy["needs"] == list(jobs)


def test_the_deployments_runner_has_the_processor_it_deploys_to(jobs: dict[str, Any]) -> None:
    """An unknown configuration has no runner, so it fails instead of being built for another."""
    expression = jobs["deploy"]["runs-on"]
    (runners,) = re.findall(r"fromJSON\('(.*)'\)\[ *vars\.DEPLOY_CONFIG \|\|", expression)
    configured = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    expected = {}
    for name, config in configured.items():
        if isinstance(config, dict) and "deploy" in config:
            parameters = config["global"]["parameters"]["parameter_overrides"].split()
            (processor,) = [one for one in parameters if one.startswith("Architecture=")]
            expected[name] = RUNNERS[processor.removeprefix("Architecture=")]
    assert json.loads(runners) == expected


@pytest.mark.parametrize(
    ("email", "parameters"),
    [("", "SourceUrl=https://x/"), ("a@b.c", "SourceUrl=https://x/ AlarmEmail=a@b.c")],
)
def test_the_deployment_passes_on_the_email_address_if_there_is_one(
    jobs: dict[str, Any], tmp_path: Path, email: str, parameters: str
) -> None:
    (step,) = [one for one in jobs["deploy"]["steps"] if "make deploy" in one.get("run", "")]
    assert step["env"].keys() == {"SOURCE_URL", "ALARM_EMAIL"}
    add_program(tmp_path, "make", 'printf "%s\\n" "$@"')
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SOURCE_URL": "https://x/",
            "ALARM_EMAIL": email,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["deploy", f"PARAMETERS={parameters}"]


def test_after_the_deployment_the_stack_is_tried(jobs: dict[str, Any]) -> None:
    *_, deploy, smoke = [step["run"] for step in jobs["deploy"]["steps"] if "run" in step]
    assert deploy.startswith("make deploy ")
    assert smoke == "make smoke"


def test_the_audit_runs_every_week() -> None:
    workflow = yaml.safe_load((WORKFLOWS / "audit.yml").read_text("utf-8"))
    (schedule,) = workflow[True]["schedule"]  # YAML 1.1 reads `on` as true
    minute, hour, *days = schedule["cron"].split()
    assert minute.isdigit()
    assert hour.isdigit()
    assert days == ["*", "*", "1"]
    assert workflow["jobs"]["audit"]["steps"][-1] == {"run": "make audit"}
    assert workflow["jobs"]["audit"]["steps"][-2]["with"] == {"python-version": runtime()}
