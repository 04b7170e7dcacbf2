"""Mistakes on make's command line, and missing programs: a single line says what to do."""

import importlib
import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import chromium
from tests.conftest import ROOT, Capture, add_program, add_programs

Mistake = Callable[..., str]

MODULES = {"simulate": "simulation"}  # of targets with another name


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return a virtual environment in which everything is installed.

    Its programs print their arguments, one per line.
    """
    folder = tmp_path / "venv"
    for part in ("bin", "mutmut/bin", "sam-cli/bin", "uv/bin"):
        (folder / part).mkdir(parents=True)
        add_program(folder / part, "python", 'printf "%s\\n" "$@"')
    for name in ("bin/pip", "run", "test", "mutants", "sam", "lock"):
        (folder / name).touch()
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder to use as the whole PATH, with the programs that every machine has."""
    folder = tmp_path / "programs"
    folder.mkdir()
    add_programs(folder, "make", "awk", "touch")
    return folder


def seen_by_make(path: Path) -> str:
    """Return a path relative to the clone, whose own path may contain spaces; VENV may not."""
    return os.path.relpath(path, ROOT)


def make(
    environment: Path, *arguments: str, **variables: object
) -> subprocess.CompletedProcess[str]:
    """Run make with these environment variables."""
    return subprocess.run(
        ["make", *arguments, f"VENV={seen_by_make(environment)}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def options_of(environment: Path, target: str, *variables: str, **exported: object) -> list[str]:
    """Return the options that the program of a target gets."""
    done = make(environment, target, *variables, **exported)
    assert done.stderr == ""
    assert done.returncode == 0
    option, module, *options = done.stdout.removesuffix("\n").split("\n")
    assert (option, module) == ("-m", f"tests.tools.{MODULES.get(target, target)}")
    return options


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("range=1-3", "range=1-3: no such variable; write RANGE=1-3."),
        ("faults=$(x)", "faults=$(x): no such variable; write FAULTS=$(x)."),
        ("mew=name", "mew=name: no such variable; the variables are ARGS BODIES CONFIG "),
        ("known=", ": no such variable; the variables are "),  # make's version decides which
        (
            "STRATEGIE=index",
            "STRATEGIE=index: no such variable; the variables are ARGS BODIES CONFIG ",
        ),
    ],
)
def test_an_unknown_variable_is_refused(environment: Path, variable: str, line: str) -> None:
    done = make(environment, "clean", variable)
    assert done.stdout == ""
    (error,) = done.stderr.splitlines()
    assert line in error
    assert done.returncode == 2
    assert environment.exists()


ODD = "it's *"  # the shell must not interpret it
SERVICE = ["--delay=0.05", "--faults=500=0.1 429=0.1", "--seed=7", "--weather=once=1 cut=9"]
SERVICE_VARIABLES = ["FAULTS=500=0.1 429=0.1", "SEED=7", "WEATHER=once=1 cut=9"]


@pytest.mark.parametrize(
    ("target", "variables", "options"),
    [
        ("run", [], ["--delay=0.05", "--", "events/direct.json"]),
        (
            "run",
            [*SERVICE_VARIABLES, "LIVE=1", "LOGS=1", "RANGE=1-3", "STRATEGY=index", "EVENT=a b"],
            [*SERVICE, "--live", "--logs", "--range=1-3", "--strategy=index", "--", "a b"],
        ),
        ("race", [], ["--delay=0.05", "--", "{venv}/race.html"]),
        (
            "race",
            ["DELAY=1", "LIVE=1", "RANGE=1", f"STRATEGIES={ODD}", "OPEN=1", f"TO={ODD}"],
            ["--delay=1", "--live", "--range=1", f"--strategies={ODD}", "--open", "--", ODD],
        ),
        ("serve", [], ["--delay=0.05"]),
        (
            "serve",
            ["HOST=-h", f"PORT={ODD}", *SERVICE_VARIABLES, "LOGS=1"],
            ["--host=-h", f"--port={ODD}", *SERVICE, "--logs"],
        ),
        (
            "pokeapi",
            ["HOST=::", "PORT=9000", *SERVICE_VARIABLES, f"BODIES={ODD}"],
            ["--host=::", "--port=9000", *SERVICE, f"--bodies={ODD}"],
        ),
        ("soak", [], ["--", "{venv}/soak.svg"]),
        (
            "soak",
            [f"MINUTES={ODD}", f"SEED={ODD}", f"TO={ODD}"],
            [f"--minutes={ODD}", f"--seed={ODD}", "--", ODD],
        ),
        ("simulate", [f"SEED={ODD}"], [f"--seed={ODD}"]),
        ("new", [], ["--name=", "--to="]),
        ("new", [f"NAME={ODD}", f"TO={ODD}"], [f"--name={ODD}", f"--to={ODD}"]),
        ("run", ["DEBUG=1"], ["--delay=0.05", "--debug", "--", "events/direct.json"]),
        ("run", ["DEBUG=0"], ["--delay=0.05", "--", "events/direct.json"]),
        ("mutants", [f"MODULE={ODD}"], [f"--module={ODD}"]),
        ("smoke", [], ["--config=default"]),
        ("smoke", ["CONFIG=prod"], ["--config=prod"]),
    ],
)
def test_variables_become_options_of_the_program(
    environment: Path, target: str, variables: list[str], options: list[str]
) -> None:
    expected = [option.format(venv=seen_by_make(environment)) for option in options]
    assert options_of(environment, target, *variables) == expected


@pytest.mark.parametrize(
    "given",
    [
        "1'3",
        '1"3',
        "1`3`",
        "1;3 # *",
        "-1",
        "1\\3",
        "1\n3 ",
        "1$3",
        "1$$3",
        "$(RANGE)",
        "$(shell x)",
    ],
)
@pytest.mark.parametrize("is_exported", [False, True])
def test_whatever_a_variable_contains_reaches_the_program(
    environment: Path, given: str, *, is_exported: bool
) -> None:
    names = ("DELAY", "FAULTS", "SEED", "WEATHER", "RANGE", "STRATEGY", "EVENT")
    values = dict.fromkeys(names, given)
    if is_exported:
        options = options_of(environment, "run", **values)
    else:
        options = options_of(environment, "run", *map("=".join, values.items()))
    expected = [*(f"--{name.lower()}={given}" for name in names[:-1]), "--", given]
    assert options == "\n".join(expected).split("\n")


def variables_of(target: str) -> list[str]:
    """Return the variables that make says the target takes."""
    other = "MODULE" if target != "mutants" else "RANGE"
    (error,) = make(ROOT / ".venv", target, f"{other}=x").stderr.splitlines()
    _, taken = error.split(f"; make {target} takes ")
    return re.findall(r"(\S+)=", taken)


COMMANDS = ("$(shell {})", "$$({})", "$({})", "`{}`", "';{};'", '";{};"', ";{};", "& {} #")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("target", ["run", "soak", "test", "new", "lock"])
def test_no_variable_is_run_as_a_command(
    environment: Path, tmp_path: Path, target: str, command: str
) -> None:
    add_program(environment / "uv" / "bin", "uv", "exit 0")
    marker = tmp_path / "marker"
    given = command.format(f"touch {marker}")
    variables = [f"{name}={given}" for name in variables_of(target) if name != "VENV"]
    assert len(variables) > 1
    done = make(environment, target, *variables)
    assert done.returncode == 0
    assert not marker.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistyped_python_is_not_run_as_a_command(tmp_path: Path, command: str) -> None:
    marker = tmp_path / "marker"
    given = command.format(f"touch {marker}")
    line = failure(make(tmp_path / "venv", "run", f"PYTHON={given}"))
    assert line.startswith(f"Python 3.11 or later is needed, but {given} is not: ")
    assert not marker.exists()


NAMES = [
    *("known", "given", "one", "advice", "upper", "letters", "capitals", "bin", "it';>{};'"),
    *(
        "names",
        "targets",
        "target",
        "goals",
        "taken",
        "users",
        "for-help",
        "for-run",
        "MAKECMDGOALS",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_a_variable_is_run_as_a_command(
    environment: Path, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "marker"
    done = make(environment, "help", f"{name.format(marker)}=$(shell touch {marker})")
    assert not marker.exists()
    assert (done.returncode == 0) == (name == "one")  # the Makefile has a variable of that name


def test_pytest_interprets_quotes_but_no_commands(environment: Path) -> None:
    add_program(environment / "bin", "python", 'printf "%s\\n" "$PYTEST_ADDOPTS" "$@"')
    given = """-n 0 -k 'a or b' "$(x)" `y`"""
    done = make(environment, "test", f"ARGS={given}")
    *_, options, option, module = done.stdout.splitlines()
    assert options.endswith(f" --no-loadscope-reorder  {given}")
    assert (option, module) == ("-m", "pytest")


def test_a_mistake_prints_the_programs_line_and_is_an_error_of_make(environment: Path) -> None:
    add_program(environment / "bin", "python", f'exec "{sys.executable}" "$@"')
    done = make(environment, "run", "EVENT=no such.json")
    assert done.stdout == ""
    error, makes = done.stderr.splitlines()
    assert error.startswith("EVENT: got 'no such.json', allowed: a file that contains ")
    assert makes.endswith("Error 2")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["race", "STRATEGY=sync"], "STRATEGY is for make run; make race takes STRATEGIES="),
        (["run", "STRATEGIES=sync"], "STRATEGIES is for make race; make run takes STRATEGY=index "),
        (["serve", "RANGE=1-3"], "RANGE is for make run or race; make serve takes HOST=0.0.0.0 "),
        (["RANGE=1-3"], "RANGE is for make run or race; make help takes PYTHON=python3.14 VENV="),
        (["deploy", "SEED=$(x)"], "SEED is for make run or race or serve or pokeapi or soak or "),
    ],
)
def test_a_variable_of_another_target_is_refused(
    environment: Path, arguments: list[str], line: str
) -> None:
    done = make(environment, *arguments)
    (error,) = done.stderr.splitlines()
    assert f"*** {line}" in error
    assert done.stdout == ""


def test_a_variable_of_any_of_several_targets_is_taken(environment: Path) -> None:
    done = make(environment, "--dry-run", "simulate", "run", "RANGE=1-3", "SEED=7")
    assert done.stderr == ""
    assert '--range="$RANGE"' in done.stdout


def test_every_target_with_a_row_of_variables_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rows = re.findall(r"^override for-(\S+) :=", makefile, re.MULTILINE)
    targets = re.findall(r"^([a-z0-9-]+):.*  ## ", makefile, re.MULTILINE)
    assert set(rows) - {"service", "function", "all"} < set(targets)


@pytest.mark.parametrize("off", ["0", "no", "false", ""])
def test_a_switch_can_be_off(environment: Path, off: str) -> None:
    switches = [f"{name}={off}" for name in ("LIVE", "LOGS", "OPEN")]
    assert options_of(environment, "race", *switches) == options_of(environment, "race")


def test_variables_can_come_from_the_environment_except_a_shells_own_host(
    environment: Path,
) -> None:
    options = options_of(environment, "pokeapi", BODIES="b", HOST="laptop")
    assert options == ["--delay=0.05", "--bodies=b"]


def test_what_other_programs_export_as_name_or_debug_is_not_taken(environment: Path) -> None:
    """WSL exports NAME, the name of the machine."""
    assert options_of(environment, "new", NAME="laptop") == ["--name=", "--to="]
    assert options_of(environment, "run", DEBUG="*") == options_of(environment, "run")


def test_make_without_a_target_lists_all_in_the_order_of_the_makefile(programs: Path) -> None:
    done = make(programs, PATH=programs)
    assert done.stderr == ""
    *lines, empty, variables = done.stdout.splitlines()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z0-9-]+):.*  ## ", makefile, re.MULTILINE)
    assert [line.split()[1] for line in lines] == targets
    assert all(re.fullmatch(r"make .{12}  \S.*", line) for line in lines)
    assert empty == ""
    assert variables.startswith("Variables follow the target: make run RANGE=")
    assert make(programs, "help", PATH=programs).stdout == done.stdout


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that is printed besides make's own."""
    line, makes = done.stderr.splitlines()
    assert re.fullmatch(r"make: \*\*\* .* Error \d+", makes)
    assert done.stdout == ""
    return line


# Statements with which one Python pretends to be another.
OLD = "sys.version_info = (3, 10, 13, 'final', 0)"
WITHOUT_ENSUREPIP = "sys.modules['ensurepip'] = None"


def pretending(statement: str) -> str:
    return f'exec "{sys.executable}" -c "import sys; {statement}; exec(sys.argv[2])" "$@"'


@pytest.mark.parametrize(
    ("target", "script"), [("run", None), ("test", "exit 127"), ("run", pretending(OLD))]
)
def test_without_a_suitable_python_nothing_is_created(
    programs: Path, tmp_path: Path, target: str, script: str | None
) -> None:
    if script:
        add_program(programs, "python3", script)
    line = failure(make(tmp_path / "venv", target, PATH=programs))
    assert line == (
        "Python 3.11 or later is needed, but python3 is not: "
        "choose one, as in make run PYTHON=python3.14"
    )
    assert not (tmp_path / "venv").exists()


def test_a_mistyped_python_is_shown(tmp_path: Path) -> None:
    line = failure(make(tmp_path / "venv", "run", "PYTHON=pyhton3"))
    assert line.startswith("Python 3.11 or later is needed, but pyhton3 is not: ")


def test_without_venv_one_line_says_what_to_install(programs: Path, tmp_path: Path) -> None:
    """On Debian and Ubuntu, venv is a separate package."""
    add_program(programs, "python3", pretending(WITHOUT_ENSUREPIP))
    line = failure(make(tmp_path / "venv", "run", PATH=programs))
    assert line == "python3 has no venv: on Debian and Ubuntu, apt install python3-venv"
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    "name",
    [
        "my environment",
        "it's",
        'a"b',
        "a`b`",
        "a;b",
        "a&b",
        "a|b",
        "$(shell echo b)",
        "a:b",
        "a\\b",
        "a%b",
        "a#b",
    ],
)
def test_a_venv_that_make_or_the_shell_would_interpret_is_refused(
    tmp_path: Path, name: str
) -> None:
    """Make would end the path at a space, and `make clean` would remove several folders."""
    other = tmp_path / "my"
    other.mkdir()
    done = make(tmp_path / name, "clean")
    (error,) = done.stderr.splitlines()
    got = f"VENV: got '{seen_by_make(tmp_path)}/{name}'"
    assert f"{got}, allowed: a path without spaces and without ' \" ` $ ; " in error
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == [other]


def test_an_empty_venv_is_refused() -> None:
    done = subprocess.run(
        ["make", "clean", "VENV="],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "VENV: got '', allowed: a path" in done.stderr
    assert done.stdout == ""


def test_after_an_interrupted_installation_the_environment_is_created_again(
    programs: Path, tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").touch()
    left = venv / "half of pip"
    left.touch()
    create = 'case "$1 $2" in "-m venv") echo "$@" >&2; exit 1;; *) exit 0;; esac'
    add_program(programs, "python3", create)
    assert failure(make(venv, "run", PATH=programs)) == f"-m venv --clear {seen_by_make(venv)}"


def test_an_installation_that_failed_is_repeated_the_next_time(environment: Path) -> None:
    (environment / "run").unlink()
    add_program(environment / "bin", "pip", "echo no route to PyPI; exit 1")
    done = make(environment, "run")
    installing, line, makes = done.stderr.splitlines()
    assert installing == f"Installing into {seen_by_make(environment)}, once …"
    log = environment / "pip.log"
    assert line.startswith(
        f"Installation failed; see {seen_by_make(log)}. It needs PyPI, Python 3."
    )
    assert makes.endswith("Error 1")
    assert done.stdout == ""
    assert log.read_text(encoding="utf-8") == "no route to PyPI\n"

    add_program(environment / "bin", "pip", "echo Successfully installed")
    done = make(environment, "run")
    assert done.stderr.splitlines() == [installing]
    assert done.stdout.startswith("-m\ntests.tools.run\n")
    assert options_of(environment, "run")  # and nothing about the installation


def lock_files() -> dict[str, str]:
    """Return the files that `make lock` writes, and the groups of dependencies in them."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^\t\$\(compile\) (.*)$", makefile, re.MULTILINE)
    return {command.split()[-1]: command for command in commands}


def test_each_group_of_dependencies_is_pinned() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = re.findall(r"--group (\w+)", " ".join(lock_files().values()))
    assert sorted(pinned) == sorted(groups["dependency-groups"])


def test_each_pinned_package_has_hashes() -> None:
    for name in lock_files():
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        packages = [line for line in lines if not line.startswith(("#", " "))]
        assert packages
        assert all(re.fullmatch(r".+==.+ \\", package) for package in packages), name
        hashes = [line for line in lines if line.startswith("    --hash=sha256:")]
        assert len(hashes) + len(packages) + 2 == len(lines), name


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (None, "Docker is needed but not installed: there is no program docker"),
        ("exit 1", "Docker is needed but cannot be reached: start it; `docker info` says more"),
    ],
)
def test_without_docker_nothing_is_installed(
    programs: Path, tmp_path: Path, script: str | None, line: str
) -> None:
    if script:
        add_program(programs, "docker", script)
    assert failure(make(tmp_path / "venv", "test-sam", PATH=programs)) == line
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("target", ["test-browser", "test-sam"])
def test_without_chromium_no_test_starts(environment: Path, programs: Path, target: str) -> None:
    add_program(programs, "docker", "exit 0")
    add_program(environment / "bin", "python", 'echo "$@" >&2; exit 1')
    done = make(environment, target, PATH=programs)
    assert failure(done) == "-m tests.chromium"


def test_the_browser_tests_need_chromium(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_program(programs, "pgrep", "exit 1")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(programs))
    with pytest.raises(SystemExit) as ended:
        chromium.main()
    line = "the browser tests need Chromium: `apt-get install chromium`, or "
    assert str(ended.value).startswith(line)


def test_the_browser_tests_need_pgrep(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(SystemExit) as ended:
        chromium.main()
    assert str(ended.value) == "the browser tests need pgrep: `apt-get install procps`"


@pytest.mark.parametrize("missing", ["taskset", "curl", "h2load"])
def test_without_a_program_of_the_bench_nothing_is_installed(
    programs: Path, tmp_path: Path, missing: str
) -> None:
    for name in {"nginx", "taskset", "curl", "h2load"} - {missing}:
        add_program(programs, name, "exit 0")
    line = failure(make(tmp_path / "venv", "bench", PATH=programs))
    packages = "nginx util-linux curl nghttp2-client"
    assert line == f"make bench needs {missing}; on Debian: apt install {packages}"
    assert not (tmp_path / "venv").exists()


def test_the_variables_of_the_bench_become_options(environment: Path, programs: Path) -> None:
    for name in ("nginx", "taskset", "curl", "h2load"):
        add_program(programs, name, "exit 0")
    variables = ["SMALL=1", f"PAIRS={ODD}", f"BODIES={ODD}"]
    options = options_of(environment, "bench", *variables, PATH=programs)
    assert options == ["--small", f"--pairs={ODD}", f"--bodies={ODD}"]


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def mistake(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Mistake:
    """Return a function that runs a program and returns the one line that it prints."""

    def mistake(module: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        program = importlib.import_module(f"tests.tools.{module}")
        with pytest.raises(SystemExit) as ended:
            program.main()
        printed = capsys.readouterr()
        assert ended.value.code == 2
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        return str(line)

    return mistake


RATES = "; the rates add up to at most 1, such as 'reset=0.1 429=0.2'"


@pytest.mark.parametrize(
    ("option", "given", "allowed"),
    [
        ("faults", "typo", RATES),
        ("faults", "flood=1", RATES),
        ("faults", "500=x", RATES),
        ("faults", "500=0.6 429=0.6", RATES),
        ("weather", "fog=1", "NAME=NUMBER, with a name of refuse, outage, "),
        ("weather", "outage=-2", "NAME=NUMBER, with a name of refuse, outage, "),
        ("seed", "1.5", "a whole number, such as 7"),
        ("delay", "-1", "0 or more seconds, such as 0.05"),
        ("delay", "nan", "0 or more seconds, such as 0.05"),
        ("delay", "inf", "0 or more seconds, such as 0.05"),
        ("delay", "", "0 or more seconds, such as 0.05"),
        ("port", "x", "0 to 65535, such as "),
        ("port", "-1", "0 to 65535, such as "),
        ("port", "65536", "0 to 65535, such as "),
        ("host", "-h", "an address of this machine, "),
        ("host", f"{'a' * 64}.test", "an address of this machine, "),
        ("host", "192.0.2.1", "an address of this machine, "),
    ],
)
def test_a_mistyped_option_is_refused(
    mistake: Mistake, option: str, given: str, allowed: str
) -> None:
    line = mistake("serve", f"--{option}={given}")
    assert line.startswith(f"{option.upper()}: got {given!r}, allowed: ")
    assert allowed in line


def test_of_several_faults_the_mistyped_one_is_shown(mistake: Mistake) -> None:
    line = mistake("serve", "--faults=500=0.1 429=-0.1")
    assert line.startswith("FAULTS: got '429=-0.1', allowed: ")


@pytest.mark.parametrize("module", ["pokeapi.__main__", "serve"])
def test_a_busy_port_is_refused(mistake: Mistake, busy_port: int, module: str) -> None:
    line = mistake(module, f"--port={busy_port}")
    assert line.startswith(f"PORT: got '{busy_port}', allowed: a free port, or 0 for any ")


def test_a_folder_without_bodies_is_refused(mistake: Mistake, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        line = mistake("pokeapi.__main__", f"--bodies={folder}")
        assert line.startswith(f"BODIES: got '{folder}', allowed: a folder of recorded bodies, ")


@pytest.mark.parametrize("given", ["x", "0"])
def test_the_bench_needs_at_least_one_pair(mistake: Mistake, given: str) -> None:
    line = mistake("bench.__main__", f"--pairs={given}")
    assert line == f"PAIRS: got '{given}', allowed: a whole number of at least 1, such as 5"


@pytest.mark.parametrize("given", ["x", "-1", "60.1"])
def test_the_soak_takes_at_most_an_hour(mistake: Mistake, given: str) -> None:
    line = mistake("soak", f"--minutes={given}", "soak.svg")
    assert line == f"MINUTES: got '{given}', allowed: minutes from 0 to 60, such as 10"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("", "words of lower-case letters and digits, joined by hyphens, "),
        ("Titles", "words of lower-case letters and digits, joined by hyphens, "),
        ("2-titles", "words of lower-case letters and digits, joined by hyphens, "),
        ("post-titles-", "words of lower-case letters and digits, joined by hyphens, "),
        ("post titles", "words of lower-case letters and digits, joined by hyphens, "),
        ("t" * 31, "words of lower-case letters and digits, joined by hyphens, "),
        ("lambda", "a name that is neither a Python keyword nor a module"),
        ("tests", "a name that is neither a Python keyword nor a module"),
        ("json", "a name that is neither a Python keyword nor a module"),
        ("aws-lambda-powertools", "a name that is neither a Python keyword nor a module"),
        ("pokemon-names", "a name that is neither a Python keyword nor a module"),
        ("every-name", "a name that is not used yet: "),
        ("names", "a name that is not used yet: "),
    ],
)
def test_a_name_that_the_new_project_cannot_have_is_refused(
    mistake: Mistake, name: str, allowed: str
) -> None:
    line = mistake("new", f"--name={name}", "--to=../elsewhere")
    assert line.startswith(f"NAME: got '{name}', allowed: {allowed}")
    assert not (ROOT.parent / "elsewhere").exists()


@pytest.mark.parametrize("folder", ["", "src", "inside", "README.md", "..", "~no such user/new"])
def test_a_folder_that_the_new_project_cannot_have_is_refused(
    mistake: Mistake, folder: str
) -> None:
    line = mistake("new", "--name=zoo-zzz", f"--to={folder}")
    allowed = "a new or empty folder outside this project, such as ../post-titles"
    assert line.startswith(f"TO: got '{folder}', allowed: {allowed}")


def test_a_folder_that_cannot_be_made_is_refused(
    mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.tools.new.OWN", "of-two-words")
    line = mistake("new", "--name=zoo-zzz", f"--to={os.devnull}/new")
    assert line.startswith(f"TO: got '{os.devnull}/new', allowed: a ")


def test_a_name_of_one_spelling_cannot_be_replaced(
    mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.tools.new.OWN", "titles")
    line = mistake("new", "--name=zoo-zzz", "--to=../elsewhere")
    assert line == "NAME: titles cannot be replaced, because stack and package share its spelling"


def test_the_module_of_the_mutants_must_exist(mistake: Mistake) -> None:
    line = mistake("mutants", "--module=retry")
    allowed = "a module or a folder in src/pokemon_names, such as fetching/fetcher"
    assert line == f"MODULE: got 'retry', allowed: {allowed}"


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"a":' * 100_000])
def test_a_file_that_contains_no_event_is_refused(
    mistake: Mistake, tmp_path: Path, content: str | None
) -> None:
    event = tmp_path / "event.json"
    if content is not None:
        event.write_text(content, encoding="utf-8")
    line = mistake("run", str(event))
    assert line.startswith(f"EVENT: got '{event}', allowed: a file that contains a JSON object, ")
    assert "`ls events`" in line


def test_a_folder_is_not_an_event(mistake: Mistake) -> None:
    line = mistake("run", "events")
    assert line.startswith("EVENT: got 'events', allowed: a file that contains a JSON object, ")


@pytest.mark.parametrize("name", ["race.pdf", "missing/race.html", "folder.html"])
def test_a_file_that_cannot_be_written_is_refused(
    mistake: Mistake, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.html").mkdir()
    line = mistake("race", str(tmp_path / name))
    assert line.startswith(f"TO: got '{tmp_path / name}', allowed: a file that can be written, ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_a_mistyped_strategy_of_the_race(mistake: Mistake, tmp_path: Path) -> None:
    line = mistake("race", str(tmp_path / "race.html"), "--strategies=gather,fast")
    allowed = "some of gather, sequential, sync, index, separated by commas"
    assert line == f"STRATEGIES: got 'gather,fast', allowed: {allowed}"


def test_the_file_of_the_soak_must_be_a_picture(mistake: Mistake) -> None:
    line = mistake("soak", "soak.html")
    assert line.startswith("TO: got 'soak.html', allowed: a file that can be written, ")


def test_an_option_that_does_not_exist_is_refused(mistake: Mistake) -> None:
    line = mistake("run", "events/direct.json", "--fast")
    assert line == "unrecognized arguments: --fast"
