"""What is mistyped on make's command line, or missing on the machine: one line says what to do."""

import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Capture, add_program, add_programs

Mistake = Callable[..., str]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment in which nothing is to be installed."""
    folder = tmp_path_factory.mktemp("venv")
    (folder / "bin").mkdir()
    add_program(folder / "bin", "python", f'exec {sys.executable} "$@"')
    for name in ("bin/pip", "run", "test"):
        (folder / name).touch()
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder of programs, to be the whole PATH, with what no machine is without."""
    folder = tmp_path / "programs"
    folder.mkdir()
    add_programs(folder, "make", "awk", "touch")
    return folder


def make(
    environment: Path, *arguments: str, **variables: object
) -> subprocess.CompletedProcess[str]:
    """Run make; the variables are those of the environment."""
    return subprocess.run(
        ["make", *arguments, f"VENV={environment}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("range=1-3", "range=1-3: no such variable, write RANGE=1-3."),
        ("faults=$(x)", "faults=$(x): no such variable, write FAULTS=$(x)."),
        ("name=mew", "name=mew: no such variable, only ARGS BODIES CONFIG "),
        ("known=", ": no such variable, only "),  # which one is named depends on make's version
        ("STRATEGIE=index", "STRATEGIE=index: no such variable, only ARGS BODIES CONFIG "),
    ],
)
@pytest.mark.parametrize("target", ["run", "clean"])
def test_an_unknown_variable_is_refused(
    environment: Path, target: str, variable: str, line: str
) -> None:
    done = make(environment, target, variable)
    assert done.stdout == ""
    (error,) = done.stderr.splitlines()
    assert line in error
    assert done.returncode == 2
    assert environment.exists()


@pytest.mark.parametrize("given", ["1'3", '1"3', "1`3`", "1;3 # *", "-1", "1\\3"])
@pytest.mark.parametrize("variable", ["RANGE", "STRATEGY"])
def test_whatever_a_variable_contains_reaches_the_function(
    environment: Path, variable: str, given: str
) -> None:
    done = make(environment, "run", f"{variable}={given}", "EVENT=events/direct-one.json")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"InvalidRequest: {variable.lower()}: got {given!r}, allowed: ")
    assert "Traceback" not in done.stderr


def test_a_dollar_is_written_twice_as_always_in_make(environment: Path) -> None:
    done = make(environment, "run", "RANGE=1$$3")
    assert done.stdout.startswith("InvalidRequest: range: got '1$3', allowed: ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "FAULTS=it's"], 'FAULTS: got "it\'s", allowed: NAME=RATE of 429, 500, '),
        (["run", "EVENT=no such.json"], "EVENT: got 'no such.json', allowed: a file that holds "),
        (["run", "DELAY=-1"], "DELAY: got '-1', allowed: seconds from 0 on, such as 0.05"),
        (["race", "TO=race.pdf"], "TO: got 'race.pdf', allowed: a file that can be written, "),
        (["soak", "MINUTES=61"], "MINUTES: got '61', allowed: minutes from 0 to 60, such as 10"),
        (["soak", "TO=soak.html"], "TO: got 'soak.html', allowed: a file that can be written, "),
        (["pokeapi", "HOST=-h"], "HOST: got '-h', allowed: an address of this machine"),
        (["serve", "PORT=x"], "PORT: got 'x', allowed: 0 to 65535, such as 3000"),
    ],
)
def test_the_line_names_the_variable(environment: Path, arguments: list[str], line: str) -> None:
    done = make(environment, *arguments)
    assert done.stdout == ""
    error, makes = done.stderr.splitlines()
    assert error.startswith(line)
    assert makes.endswith("Error 2")
    assert done.returncode == 2


def test_several_faults_and_kinds_of_weather_are_one_variable(environment: Path) -> None:
    weather = "WEATHER=once=1 cut=9"
    done = make(environment, "run", "RANGE=1-3", "FAULTS=500=0.1 429=0.1", "SEED=7", weather)
    assert "\n3 names in " in done.stdout
    assert "(0 retried," not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["race", "STRATEGY=sync"], "STRATEGY is for make run, make race takes STRATEGIES="),
        (["run", "STRATEGIES=sync"], "STRATEGIES is for make race, make run takes one STRATEGY"),
    ],
)
def test_a_variable_of_another_target_is_refused(
    environment: Path, arguments: list[str], line: str
) -> None:
    done = make(environment, *arguments)
    (error,) = done.stderr.splitlines()
    assert f"*** {line}" in error
    assert done.stdout == ""


@pytest.mark.parametrize("off", ["0", "no", "false", ""])
def test_a_switch_can_be_off(environment: Path, off: str) -> None:
    done = make(environment, "run", "EVENT=events/direct-one.json", f"LIVE={off}", f"LOGS={off}")
    assert done.stdout.startswith("mew\n")
    assert done.stderr == ""


def test_without_variables_it_is_the_direct_event(environment: Path) -> None:
    assert "\n150 names in " in make(environment, "run").stdout


def test_the_page_is_in_the_virtual_environment(environment: Path) -> None:
    done = make(environment, "race", "RANGE=1", "STRATEGIES=index")
    assert done.returncode == 0
    assert (environment / "race.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_soak_is_drawn_in_the_virtual_environment(environment: Path) -> None:
    done = make(environment, "soak", "MINUTES=0", "SEED=127")
    assert "\nviolations   0\n" in done.stdout
    assert (environment / "soak.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_bodies_can_come_from_the_environment(environment: Path, tmp_path: Path) -> None:
    line = f"BODIES: got '{tmp_path}', allowed: a folder of recorded bodies, "
    assert make(environment, "pokeapi", f"BODIES={tmp_path}").stderr.startswith(line)
    assert make(environment, "pokeapi", BODIES=tmp_path).stderr.startswith(line)


def test_make_alone_lists_every_target_in_the_order_of_the_makefile(programs: Path) -> None:
    done = make(programs, PATH=programs)
    assert done.stderr == ""
    *lines, empty, variables = done.stdout.splitlines()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*  ## ", makefile, re.MULTILINE)
    assert [line.split()[1] for line in lines] == targets
    assert all(re.fullmatch(r"make .{12}  \S.*", line) for line in lines)
    assert empty == ""
    assert variables.startswith("Variables follow, as in: make run RANGE=")
    assert make(programs, "help", PATH=programs).stdout == done.stdout


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that is printed beside make's own."""
    line, makes = done.stderr.splitlines()
    assert re.fullmatch(r"make: \*\*\* .* Error \d+", makes)
    assert done.stdout == ""
    return line


# Each is a Python that runs the check as if it was another one.
OLD = "sys.version_info = (3, 10, 13, 'final', 0)"
WITHOUT_ENSUREPIP = "sys.modules['ensurepip'] = None"


def pretending(statement: str) -> str:
    return f'exec {sys.executable} -c "import sys; {statement}; exec(sys.argv[2])" "$@"'


@pytest.mark.parametrize("script", [None, "exit 127", pretending(OLD)])
@pytest.mark.parametrize("target", ["run", "test"])
def test_without_a_python_that_will_do(
    programs: Path, tmp_path: Path, target: str, script: str | None
) -> None:
    if script:
        add_program(programs, "python3", script)
    line = failure(make(tmp_path / "venv", target, PATH=programs))
    assert line == (
        "Python 3.11 or later is needed, which python3 is not: "
        "name one, as in make run PYTHON=python3.13"
    )
    assert not (tmp_path / "venv").exists()


def test_a_mistyped_python(tmp_path: Path) -> None:
    line = failure(make(tmp_path / "venv", "run", "PYTHON=pyhton3"))
    assert line.startswith("Python 3.11 or later is needed, which pyhton3 is not: ")


def test_a_python_without_venv(programs: Path, tmp_path: Path) -> None:
    """On Debian and Ubuntu it is a package of its own."""
    add_program(programs, "python3", pretending(WITHOUT_ENSUREPIP))
    line = failure(make(tmp_path / "venv", "run", PATH=programs))
    assert line == "python3 has no venv: on Debian and Ubuntu, apt install python3-venv"
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("target", ["run", "clean"])
def test_a_virtual_environment_in_a_path_with_a_space(tmp_path: Path, target: str) -> None:
    """Make would take it for several folders, and clean would remove them."""
    other = tmp_path / "my"
    other.mkdir()
    done = make(tmp_path / "my environment", target)
    (error,) = done.stderr.splitlines()
    assert f"VENV: got '{tmp_path}/my environment', allowed: a path without a space" in error
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == [other]


def test_what_an_interrupted_installation_left_is_made_anew(programs: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").touch()
    left = venv / "half of pip"
    left.touch()
    anew = 'case "$1 $2" in "-m venv") echo "$@" >&2; exit 1;; *) exit 0;; esac'
    add_program(programs, "python3", anew)
    assert failure(make(venv, "run", PATH=programs)) == f"-m venv --clear {venv}"


def test_what_cannot_be_installed_is_installed_the_next_time(
    environment: Path, tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    shutil.copytree(environment, venv, ignore=shutil.ignore_patterns("run", "test"))
    event = "EVENT=events/direct-one.json"

    add_program(venv / "bin", "pip", "echo no route to PyPI; exit 1")
    done = make(venv, "run", event)
    installing, line, makes = done.stderr.splitlines()
    assert installing == f"Installing into {venv}, once …"
    assert line.startswith(f"Installing failed, {venv}/pip.log says why. It needs PyPI, Python 3.")
    assert makes.endswith("Error 1")
    assert done.stdout == ""
    assert (venv / "pip.log").read_text(encoding="utf-8") == "no route to PyPI\n"

    add_program(venv / "bin", "pip", "echo Successfully installed")
    done = make(venv, "run", event)
    assert done.stderr.splitlines() == [installing]
    assert done.stdout.startswith("mew\n")
    assert make(venv, "run", event).stderr == ""


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (None, "Docker is needed, and is not installed: there is no program docker"),
        ("exit 1", "Docker is needed, and cannot be reached: start it; `docker info` says more"),
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
def test_without_chromium_no_test_begins(environment: Path, programs: Path, target: str) -> None:
    add_program(programs, "docker", "exit 0")
    add_program(programs, "pgrep", "exit 1")
    done = make(environment, target, PATH=programs, PLAYWRIGHT_BROWSERS_PATH=programs)
    line = failure(done)
    assert line.startswith("the browser tests need Chromium: `apt-get install chromium`, or ")


def test_the_browser_tests_need_pgrep(environment: Path, programs: Path) -> None:
    line = failure(make(environment, "test-browser", PATH=programs))
    assert line == "the browser tests need pgrep: `apt-get install procps`"


@pytest.mark.parametrize("missing", ["taskset", "curl", "h2load"])
def test_without_a_program_of_the_bench_nothing_is_installed(
    programs: Path, tmp_path: Path, missing: str
) -> None:
    for name in {"nginx", "taskset", "curl", "h2load"} - {missing}:
        add_program(programs, name, "exit 0")
    line = failure(make(tmp_path / "venv", "bench", PATH=programs))
    packages = "nginx util-linux curl nghttp2-client"
    assert line == f"make bench needs {missing}; Debian: apt install {packages}"
    assert not (tmp_path / "venv").exists()


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def mistake(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Mistake:
    """Return a function that returns the one line that a program prints before it ends."""

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


RATES = "rates of at most 1 in all, such as 'reset=0.1 429=0.2'"


@pytest.mark.parametrize(
    ("option", "given", "allowed"),
    [
        ("faults", "typo", RATES),
        ("faults", "reset", RATES),
        ("faults", "flood=1", RATES),
        ("faults", "500=x", RATES),
        ("faults", "500=1.1", RATES),
        ("faults", "500=0.6 429=0.6", RATES),
        ("weather", "fog=1", "NAME=NUMBER of refuse, outage, "),
        ("weather", "outage", "NAME=NUMBER of refuse, outage, "),
        ("weather", "outage=-2", "NAME=NUMBER of refuse, outage, "),
        ("weather", "outage=nan", "NAME=NUMBER of refuse, outage, "),
        ("seed", "x", "a whole number, such as 7"),
        ("seed", "1.5", "a whole number, such as 7"),
        ("delay", "-1", "seconds from 0 on, such as 0.05"),
        ("delay", "x", "seconds from 0 on, such as 0.05"),
        ("delay", "nan", "seconds from 0 on, such as 0.05"),
        ("delay", "inf", "seconds from 0 on, such as 0.05"),
        ("delay", "", "seconds from 0 on, such as 0.05"),
        ("port", "x", "0 to 65535, such as "),
        ("port", "-1", "0 to 65535, such as "),
        ("port", "65536", "0 to 65535, such as "),
        ("host", "nowhere.invalid", "an address of this machine, "),
        ("host", f"{'a' * 64}.test", "an address of this machine, "),
        ("host", "192.0.2.1", "an address of this machine, "),
    ],
)
@pytest.mark.parametrize("module", ["pokeapi.__main__", "serve"])
def test_a_mistyped_option(
    mistake: Mistake,
    module: str,
    option: str,
    given: str,
    allowed: str,
) -> None:
    line = mistake(module, f"--{option}={given}")
    assert line.startswith(f"{option.upper()}: got {given!r}, allowed: ")
    assert allowed in line


def test_of_several_faults_the_mistyped_one_is_shown(mistake: Mistake) -> None:
    line = mistake("serve", "--faults=500=0.1 429=-0.1")
    assert line.startswith("FAULTS: got '429=-0.1', allowed: ")


@pytest.mark.parametrize("module", ["pokeapi.__main__", "serve"])
def test_a_busy_port(mistake: Mistake, busy_port: int, module: str) -> None:
    line = mistake(module, f"--port={busy_port}")
    assert line.startswith(f"PORT: got '{busy_port}', allowed: a port that is free, or 0 for any ")


@pytest.mark.parametrize("module", ["pokeapi.__main__", "bench.__main__"])
def test_a_folder_without_bodies(mistake: Mistake, tmp_path: Path, module: str) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        line = mistake(module, f"--bodies={folder}")
        assert line.startswith(f"BODIES: got '{folder}', allowed: a folder of recorded bodies, ")


@pytest.mark.parametrize("given", ["x", "0", "1.5"])
def test_the_benchs_pairs(mistake: Mistake, given: str) -> None:
    line = mistake("bench.__main__", f"--pairs={given}")
    assert line == f"PAIRS: got '{given}', allowed: a whole number from 1 on, such as 5"


@pytest.mark.parametrize("given", ["x", "-1", "60.1", "nan"])
def test_the_minutes_of_the_soak(mistake: Mistake, given: str) -> None:
    line = mistake("soak", f"--minutes={given}", "soak.svg")
    assert line == f"MINUTES: got '{given}', allowed: minutes from 0 to 60, such as 10"


def test_the_module_of_the_mutants(mistake: Mistake) -> None:
    line = mistake("mutants", "--module=retry")
    allowed = "a module or a folder in src/pokemon_names, such as fetching/fetcher"
    assert line == f"MODULE: got 'retry', allowed: {allowed}"


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '"text"', '{"a":' * 100_000])
def test_an_event_that_is_none(mistake: Mistake, tmp_path: Path, content: str | None) -> None:
    event = tmp_path / "event.json"
    if content is not None:
        event.write_text(content, encoding="utf-8")
    line = mistake("run", str(event))
    assert line.startswith(f"EVENT: got '{event}', allowed: a file that holds a JSON object, ")
    assert "`ls events`" in line


def test_an_event_is_no_folder(mistake: Mistake) -> None:
    line = mistake("run", "events")
    assert line.startswith("EVENT: got 'events', allowed: a file that holds a JSON object, ")


def test_an_event_without_a_query_gets_one(environment: Path, tmp_path: Path) -> None:
    """The test events in AWS's console have null where there is no query."""
    event = json.loads((ROOT / "events" / "rest-api.json").read_text(encoding="utf-8"))
    event |= {"queryStringParameters": None, "multiValueQueryStringParameters": None}
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event), encoding="utf-8")
    done = make(environment, "run", f"EVENT={file}", "RANGE=151")
    assert done.stdout.startswith("HTTP 200 application/json\nmew\n")


@pytest.mark.parametrize("name", ["race.pdf", "race", "missing/race.html", "folder.html"])
def test_a_file_that_cannot_be_written(mistake: Mistake, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.html").mkdir()
    line = mistake("race", str(tmp_path / name))
    assert line.startswith(f"TO: got '{tmp_path / name}', allowed: a file that can be written, ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_an_option_that_make_does_not_have(mistake: Mistake) -> None:
    line = mistake("run", "events/direct.json", "--fast")
    assert line == "unrecognized arguments: --fast"
