"""Run the tests against mutants of the source, and list those that no test notices.

mutmut changes the inside of functions, except decorated ones, and leaves the constants of modules
and classes alone. equivalent.toml lists the mutants that make no difference, with the reasons.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.tools import output
from tests.tools.options import Mistake, Parser

PACKAGE = Path("src/pokemon_names")
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
NOTICED = {"killed", "timeout", "segfault"}
MUTMUT = (sys.executable, "-m", "mutmut")
# mutmut runs pytest in its folder mutants/, and stores in this file how long each test took.
STATISTICS = Path("mutmut-stats.json")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the module's own tests first, then the quickest: the first failure ends the run."""
    if STATISTICS.exists():
        seconds = json.loads(STATISTICS.read_text(encoding="utf-8"))["duration_by_test"]
        own = f"test_{own_name(os.environ.get('MUTANT_UNDER_TEST', ''))}"
        items.sort(key=lambda item: (own not in item.nodeid, seconds.get(item.nodeid, 0.0)))


def main() -> None:
    parser = Parser(prog="python -m tests.tools.mutants", description=__doc__)
    parser.add_argument("--module", type=module, default="", help="such as fetching/fetcher")
    pattern = f"{parser.parse_args().module}.*"
    if subprocess.run([*MUTMUT, "run", pattern], check=False).returncode:
        sys.exit(
            "mutmut failed; see above. If it failed while running the tests, `make test` says why"
        )
    outcomes = dict(outcomes_of(pattern))
    unnoticed = [change(mutant) for mutant, outcome in outcomes.items() if outcome not in NOTICED]
    by_reason = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    equivalent = {change for changes in by_reason.values() for change in changes}
    left = [change for change in unnoticed if change not in equivalent]
    for found in left:
        print(found)
    stale = [one for one in equivalent if fnmatch(name_of(one), pattern) and is_stale(one)]
    for found in sorted(stale):
        print(f"{EQUIVALENT.name} has an entry that does not fit the source: {found}")
    print(
        f"{len(outcomes):,} mutants: {len(outcomes) - len(unnoticed):,} noticed, "
        f"{len(unnoticed) - len(left):,} equivalent, {len(left):,} not noticed"
    )
    sys.exit(bool(left or stale))


def module(given: str) -> str:
    """Return the dotted name of a module or folder; an empty path is the whole package."""
    path = PACKAGE / given.removesuffix(".py")
    if not (path.is_dir() or path.with_suffix(".py").is_file()):
        raise Mistake(given, f"a module or a folder in {PACKAGE}, such as fetching/fetcher")
    return ".".join(path.relative_to(PACKAGE.parent).parts)


def outcomes_of(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield each mutant whose name matches, with its outcome."""
    for line in mutmut("results", "--all", "true"):
        mutant, _, outcome = line.strip().partition(": ")
        if fnmatch(mutant, pattern):
            yield mutant, outcome


def change(mutant: str) -> str:
    """Return what a mutant changes, as a line of equivalent.toml."""
    removed = []
    added = []
    for line in mutmut("show", mutant)[3:]:  # after its name and the names of the files
        if line.startswith("-"):
            removed += line[1:].split()
        elif line.startswith("+"):
            added += line[1:].split()
    return f"{function(mutant)}: {' '.join(removed)} => {' '.join(added)}"


def name_of(change: str) -> str:
    """Return the full name of the function that an entry of equivalent.toml changes."""
    return f"{PACKAGE.name}.{change.partition(': ')[0]}"


def is_stale(change: str) -> bool:
    """Return whether the source lacks the function, or the text that the mutant changes."""
    place, _, lines = change.partition(": ")
    removed, _, _ = lines.partition(" => ")
    *modules, name = place.split(".")
    paths = [PACKAGE / "/".join(modules[:count]) for count in range(1, len(modules) + 1)]
    files = [path / "__init__.py" for path in paths] + [path.with_suffix(".py") for path in paths]
    text = " ".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    return f"def {name}(" not in text or removed not in " ".join(text.split())


def own_name(mutant: str) -> str:
    """Return the last part of the name of a mutant's module, such as cache."""
    module, _, _ = mutant.partition("__mutmut_")[0].rpartition(".")
    return module.rpartition(".")[2]


def function(mutant: str) -> str:
    """Return the function that a mutant changes, such as fetching.cache.Cache.load."""
    module, _, mangled = mutant.partition("__mutmut_")[0].rpartition(".")
    name = mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return f"{module.removeprefix('pokemon_names.')}.{name}"


def mutmut(*arguments: str) -> list[str]:
    """Return the lines that a command of mutmut prints."""
    done = subprocess.run([*MUTMUT, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    output.run(main)
