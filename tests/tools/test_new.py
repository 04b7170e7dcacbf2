"""The new project that `make new` makes."""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Capture
from tests.tools import new

NAME = "zoo-".ljust(new.MAX_LENGTH, "z")  # the longest, and imports of it come last
_, PACKAGE, _, CLASS = new.spellings(NAME)
AUTHOR = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in {"NAME": "test", "EMAIL": "test@example.org"}.items()
}
ENVIRONMENT = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.devnull}

pytestmark = pytest.mark.skipif("-" not in new.OWN, reason="the name has only one spelling")
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def run(*command: str, cwd: Path) -> str:
    """Return what a command prints, after checking that it succeeded."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT | AUTHOR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def make(*arguments: str, cwd: Path) -> str:
    """Run make with the virtual environment of these tests, in which everything is installed."""
    venv = os.path.relpath(sys.prefix, cwd)  # the path of the clone may contain spaces
    return run("make", *arguments, f"VENV={venv}", f"--assume-old={venv}/test", cwd=cwd)


@pytest.fixture(scope="module")
def outside() -> Iterator[Path]:
    """Create a folder outside the clone. The temporary folders of pytest may be in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def project(outside: Path) -> Path:
    folder = outside / "projects" / NAME
    printed = make("--silent", "new", f"NAME={NAME}", f"TO={folder}", cwd=ROOT)
    assert printed.startswith(f"{NAME} is in ")
    assert printed.endswith(" && make run\n")
    return folder


def test_the_new_project_passes_make_check(project: Path) -> None:
    """Without mypy, which takes longer than all these tests together, and which `.ci/run` runs."""
    commands = make("--dry-run", "check", cwd=project).splitlines()
    checked = [command for command in commands if not command.endswith("/mypy")]
    assert len(checked) == len(commands) - 1 > 3
    for command in checked:
        run("sh", "-c", command, cwd=project)


def test_the_new_projects_tests_pass(project: Path) -> None:
    tests = ("sources/test_direct", "test_documents")
    files = [f"tests/{name}.py" for name in tests]
    run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *files, cwd=project)


def test_the_name_changes_in_every_spelling_and_nothing_else_does(project: Path) -> None:
    assert (project / "README.md").read_text(encoding="utf-8").startswith(f"# {NAME}\n")
    samconfig = tomllib.loads((project / "samconfig.toml").read_text(encoding="utf-8"))
    assert samconfig["prod"]["global"]["parameters"]["stack_name"] == f"{NAME}-prod"
    template = (project / "template.yaml").read_text(encoding="utf-8")
    assert f"\n  {CLASS}:\n" in template
    assert f" Handler: {PACKAGE}.app.handler\n" in template
    assert f" POWERTOOLS_METRICS_NAMESPACE: {CLASS}\n" in template
    event = (project / "events" / "eventbridge.json").read_text(encoding="utf-8")
    assert f'"source": "{NAME}"' in event
    old = [spelling.encode() for spelling in new.spellings(new.OWN)]
    for path in new.files():
        copied = project / str(path).replace(new.spellings(new.OWN)[1], PACKAGE)
        if path.name not in {"CHANGELOG.md", "LICENSE"}:
            assert not any(spelling in copied.read_bytes() for spelling in old), path
    for same in ("LICENSE", "tests/tools/pokeapi/names.csv", "tests/tools/race.svg"):
        assert (project / same).read_bytes() == (ROOT / same).read_bytes()
    assert os.access(project / ".ci" / "run", os.X_OK)


def test_the_changelog_and_the_versions_start_again(project: Path) -> None:
    changelog = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    assert changelog.startswith("# Changelog\n\nThe format follows ")
    assert changelog.count("\n## ") == changelog.count("\n- ") == 1
    init = (project / "src" / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert init.endswith('__version__ = "0.1.0"\n')


@needs_git
def test_the_history_has_one_commit(project: Path) -> None:
    assert run("git", "log", "--format=%an %s", cwd=project).splitlines() == [
        f"test Begin as a copy of {new.OWN}"
    ]
    assert run("git", "branch", "--show-current", cwd=project) == "main\n"
    assert run("git", "status", "--porcelain", cwd=project) == ""
    assert ".vscode/launch.json" in run("git", "ls-files", cwd=project).splitlines()


def printed_by_main(capsys: Capture, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["new", f"--name={NAME}", f"--to={folder}"])
    new.main()
    return capsys.readouterr().out.splitlines()


TO_RUN = (
    "git init --initial-branch=main && git add --all --force "
    f"&& git commit -m 'Begin as a copy of {new.OWN}'"
)


def test_without_git_the_project_is_copied_and_what_to_run_is_said(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, outside: Path
) -> None:
    tracked = set(new.files())
    monkeypatch.setenv("PATH", "")
    folder = outside / "without git"
    _, hint = printed_by_main(capsys, monkeypatch, folder)
    assert hint == f"It has no commit (git is not installed). Run there: {TO_RUN}"
    assert tracked <= set(new.files())
    names = {path.name for path in folder.iterdir()}
    assert {"src", "tests", ".github", ".vscode", ".gitignore"} <= names
    assert not names & {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    assert not list(folder.rglob("__pycache__"))


@needs_git
def test_without_an_identity_nothing_is_committed(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, outside: Path
) -> None:
    for variable in AUTHOR:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    folder = outside / "without an identity"
    next_, hint = printed_by_main(capsys, monkeypatch, folder)
    assert next_.endswith("/without an identity' && make run")
    assert hint.startswith("It has no commit (fatal: no ")
    assert hint.endswith(f"). Run there: {TO_RUN}")


@needs_git
def test_in_a_hook_the_clone_of_the_hook_is_left_alone(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, outside: Path
) -> None:
    """Git tells its hooks which clone and which index to use."""
    for variable in new.GITS_VARIABLES:
        monkeypatch.setenv(variable, str(outside / "clone of the hook"))
    for variable, value in AUTHOR.items():
        monkeypatch.setenv(variable, value)
    folder = outside / "from a hook"
    assert len(printed_by_main(capsys, monkeypatch, folder)) == 1
    assert (folder / ".git").is_dir()
    assert not (outside / "clone of the hook").exists()
