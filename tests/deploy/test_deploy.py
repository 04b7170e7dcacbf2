"""`make deploy`, with a stand-in for SAM that prints how it is called."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, add_program, add_programs

DEVELOPMENT = "Architecture=x86_64"
PRODUCTION = (
    "Architecture=arm64 LogRetentionDays=90 SharedCache=true Rollout=Canary10Percent15Minutes"
)
# Neither make nor the shell may interpret this.
ODD = 'A=it\'s B="x y" C=$(shell x)$$(x)`x`$1 D=1;2&#*'


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder with all the programs that the target needs."""
    add_programs(tmp_path, "make", "grep")
    add_program(tmp_path, "sam", 'if [ "$1" != --version ]; then echo "sam $*"; fi')
    add_program(tmp_path, "python3.14", f'exec "{sys.executable}" "$@"')
    return tmp_path


def make(programs: Path, target: str, *variables: str, **environment: str) -> list[str]:
    """Return the calls of SAM, or the one line printed if the target fails before the first."""
    done = subprocess.run(
        ["make", "--silent", target, *variables],
        cwd=ROOT,
        env={"PATH": str(programs), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        assert done.stdout == ""
        line, _of_make = done.stderr.splitlines()
        return [line]
    return [line for line in done.stdout.splitlines() if line.startswith("sam ")]


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ([], "--config-env default"),
        (["CONFIG=prod"], "--config-env prod"),
        (
            ["PARAMETERS=Authorization=AWS_IAM"],
            f"--config-env default --parameter-overrides {DEVELOPMENT} Authorization=AWS_IAM",
        ),
        (
            ["CONFIG=prod", "PARAMETERS=RateLimit=5 Rollout=AllAtOnce"],
            f"--config-env prod --parameter-overrides {PRODUCTION} RateLimit=5 Rollout=AllAtOnce",
        ),
        (
            [f"PARAMETERS={ODD} "],
            f"--config-env default --parameter-overrides {DEVELOPMENT} {ODD}",
        ),
    ],
)
def test_build_and_deployment_use_the_same_configuration(
    programs: Path, variables: list[str], options: str
) -> None:
    commands = make(programs, "deploy", *variables)
    assert commands == [f"sam build {options}", f"sam deploy {options}"]


@pytest.mark.parametrize(
    ("value", "option"),
    [("true", " --no-confirm-changeset"), ("1", " --no-confirm-changeset"), ("false", "")],
)
def test_in_ci_nobody_has_to_confirm_the_change_set(
    programs: Path, value: str, option: str
) -> None:
    """Elsewhere, somebody confirms production's change set."""
    *_, deployment = make(programs, "deploy", "CONFIG=prod", CI=value)
    assert deployment == f"sam deploy --config-env prod{option}"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("python3.14", "Python 3.14 is needed, as the program python3.14, because "),
        ("sam", "The AWS SAM CLI is needed, as the program sam"),
    ],
)
def test_a_missing_program_is_named(programs: Path, missing: str, message: str) -> None:
    (programs / missing).unlink()
    (line,) = make(programs, "deploy")
    assert line.startswith(message)


def test_a_program_that_does_not_run_is_missing(programs: Path) -> None:
    """A version manager can leave a program on the PATH that does not run."""
    add_program(programs, "python3.14", "exit 127")
    (line,) = make(programs, "deploy")
    assert line.startswith("Python 3.14 is needed")


@pytest.mark.parametrize(
    "given",
    ["pord", "", ".*", "version", "it's", '"', "$(shell x)", "$$(x)", "`x`", "prod;x", "%s"],
)
@pytest.mark.parametrize("target", ["deploy", "smoke"])
def test_a_mistyped_configuration_is_refused(programs: Path, target: str, given: str) -> None:
    """SAM would silently use the default parameters."""
    (line,) = make(programs, target, f"CONFIG={given}")
    assert line.startswith(f"CONFIG: got {given}, allowed: default, prod")
