"""The GitHub workflow agrees with the rest of the project."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.test_documents import targets


@pytest.fixture
def jobs() -> dict[str, Any]:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    return dict(workflow["jobs"])


def test_every_make_target_that_the_workflow_runs_exists(jobs: dict[str, Any]) -> None:
    assert set(jobs["make"]["strategy"]["matrix"]["target"]) <= targets()


def test_the_workflow_uses_the_oldest_supported_python_and_lambdas(jobs: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    oldest = project["tool"]["mypy"]["python_version"]
    template = (ROOT / "template.yaml").read_text("utf-8")
    (runtime,) = set(re.findall(r"Runtime: python(.+)", template))
    assert jobs["make"]["strategy"]["matrix"]["python"] == [oldest, runtime]
    assert project["project"]["requires-python"] == f">={oldest}"


def test_the_deployment_needs_all_other_jobs(jobs: dict[str, Any]) -> None:
    deploy = jobs.pop("deploy")
    assert deploy["needs"] == list(jobs)
