"""README.md and the other documents: their links, and the facts that they share with the code."""

import ast
import asyncio
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from pokemon_names import __version__
from pokemon_names.fetching.pokeapi import decode_name
from pokemon_names.http.errors import GetError
from pokemon_names.http.transport import Transport
from tests.conftest import NAMES, ROOT, names_of
from tests.fetching.virtual import BUSY, GARBLED, fetch_virtually
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.simulation import Arrival

README = ROOT / "README.md"
SOURCE = ROOT / "src" / "pokemon_names"
TESTS = ROOT / "tests"
FOLDERS = (".", ".github", "events", "tests", "tests/tools/bench")
DOCUMENTS = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
MAX_WORDS = 1200  # in the README
FIRST_150 = [NAMES[number] for number in range(1, 151)]
LINK = re.compile(r"\[([^\]]*)\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")
MAKE_TARGET = re.compile(r"\bmake ([a-z][a-z0-9-]*)")


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def links() -> Iterator[tuple[Path, str, Path, str]]:
    """Yield the document, text, target and anchor of each local link."""
    for document in DOCUMENTS:
        for text, target, anchor in LINK.findall(text_of(document)):
            path = document
            if target.startswith("/"):  # GitHub also shows some documents outside their folder
                path = ROOT / target.removeprefix("/")
            elif target:
                path = document.parent / target
            yield document, text, path, anchor


@cache
def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def defines(path: Path, name: str) -> bool:
    """Return whether a module defines a name, such as Class.method."""
    nodes: list[Any] = ast.parse(text_of(path)).body
    for part in name.split("."):
        found = [node for node in nodes if part in defined_by(node)]
        if not found:
            return False
        nodes = getattr(found[0], "body", [])
    return True


def defined_by(node: Any) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return [getattr(node, "name", "")]


def test_every_link_leads_somewhere() -> None:
    for document, text, path, anchor in links():
        assert path.exists(), f"{document.name}: [{text}]"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{document.name}: [{text}]"


def test_a_link_with_a_name_leads_to_the_module_that_defines_it() -> None:
    named = [
        (path, text.strip("`"))
        for _, text, path, _ in links()
        if text.startswith("`") and path.suffix == ".py"
    ]
    assert named
    for path, name in named:
        assert defines(path, name), f"{path.name} does not define {name}"


def test_the_readme_is_a_front_page() -> None:
    assert len(text_of(README).split()) <= MAX_WORDS


def programs_beside_each_other() -> tuple[str, str]:
    """Return the tutorial's program and the changed one."""
    table = text_of(README).partition("<table>")[2].partition("</table>")[0]
    tutorials, changed = re.findall(r"```python\n(.*?)```", table, flags=re.DOTALL)
    return tutorials, changed


def run_program(code: str, pokeapi: str, times: int = 1) -> list[Any]:
    """Run a program of the README in one event loop after another; return what each run returns."""
    names: dict[str, Any] = {"asyncio": asyncio, "httpx": httpx, "POKEAPI": pokeapi}
    names |= {"Transport": Transport, "decode_name": decode_name}
    exec(code, names)  # noqa: S102
    return [asyncio.run(names["main"]()) for _ in range(times)]


def test_the_programs_beside_each_other_return_the_same_names(url: str) -> None:
    tutorials, changed = programs_beside_each_other()
    (names,) = run_program(tutorials, url)
    assert names == FIRST_150
    assert run_program(changed, url, times=2) == [names, names]


def test_only_the_changed_program_returns_names_if_a_number_fails(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.answers[3] = answers.text(200, "OK")
    tutorials, changed = programs_beside_each_other()
    # In a process of its own, because it leaves its connections behind.
    program = f"import asyncio, httpx\nPOKEAPI = {url!r}\n{tutorials}\nasyncio.run(main())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "JSONDecodeError: Expecting value" in done.stderr
    ((first, second, failure, *others),) = run_program(changed, url)
    assert isinstance(failure, ValueError)
    assert [first, second, *others] == [*FIRST_150[:2], *FIRST_150[3:]]


def test_the_example_for_another_api_is_the_module_that_is_tested() -> None:
    blocks = re.findall(
        r"```python\n(.*?)```", text_of(ROOT / ".github" / "CONTRIBUTING.md"), flags=re.DOTALL
    )
    assert text_of(TESTS / "fetching" / "post_titles.py") in blocks


def targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z0-9-]*):", text_of(ROOT / "Makefile"), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("failures", "hopeless", "least", "most"),
    [
        (0, 1501, 1500, 1500),
        (2, 1501, 4500, 4500 + 90),  # each number's third attempt succeeds
        (2, 10, 4500, 4500 + 90 + 1350),  # and each tenth number always fails
    ],
)
def test_the_documented_numbers_of_requests_are_right(
    failures: int, hopeless: int, least: int, most: int
) -> None:
    sent: Counter[int] = Counter()

    def answer(arrival: Arrival) -> GetError | None:
        if arrival.number is None:
            return BUSY
        sent[arrival.number] += 1
        is_garbled = sent[arrival.number] <= failures or arrival.number % hopeless == 0
        return GARBLED if is_garbled else None

    fetched = fetch_virtually(answer, range="1-1500")
    assert least <= sent.total() <= most
    assert len(names_of(fetched)) == 1500 - 1500 // hopeless


def test_every_make_target_in_the_documents_exists() -> None:
    for document in DOCUMENTS:
        blocks = re.findall(r"```\w*\n.*?```|`[^`\n]+`", text_of(document), flags=re.DOTALL)
        assert set(MAKE_TARGET.findall("\n".join(blocks))) <= targets(), document.name


def test_every_stack_output_in_the_documents_exists() -> None:
    from tests.deploy import stack  # noqa: PLC0415  takes a second, for this test only

    outputs = stack.translate()["Outputs"].keys()
    for document in DOCUMENTS:
        assert set(re.findall(r"\$\(output (\w+)\)", text_of(document))) <= outputs, document.name


def modules_of_source() -> set[Path]:
    return {path for path in SOURCE.rglob("*.py") if path.name != "__init__.py"}


def test_contributing_links_to_every_module() -> None:
    packages = set(SOURCE.glob("*/__init__.py"))
    contributing = ROOT / ".github" / "CONTRIBUTING.md"
    linked = {path for document, _, path, _ in links() if document == contributing}
    assert modules_of_source() | packages <= linked


def test_the_tests_of_a_module_have_its_path() -> None:
    paths = {path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.*")}
    modules = {path.relative_to(SOURCE).with_suffix("") for path in modules_of_source()}
    packages = {module.parent for module in modules} - {Path()}
    tested = {
        path.relative_to(TESTS).parent / path.stem.removeprefix("test_")
        for path in TESTS.rglob("test_*.py")
    }
    assert modules <= tested
    assert {path for path in tested if path.parent in packages} <= paths


def test_the_newest_release_in_the_changelog_is_the_version() -> None:
    """A project that has released nothing has no release in its changelog."""
    heading = r"^## \[([0-9.]+)\] - \d{4}-\d\d-\d\d$"
    releases = re.findall(heading, text_of(ROOT / "CHANGELOG.md"), flags=re.MULTILINE)
    assert releases[:1] == [__version__] or (not releases and __version__.startswith("0."))


def test_the_badges_are_right() -> None:
    settings = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    project = settings["project"]
    versions = [entry.rpartition(" ")[2] for entry in project["classifiers"] if ":: 3." in entry]
    true = {
        "python": " | ".join(versions),
        "branch coverage": f"{settings['tool']['coverage']['report']['fail_under']} %",
        "licence": project["license"],
    }
    badges = (ROOT / ".github" / "badges").glob("*.svg")
    titles = {re.search(r"<title>(.*)</title>", text_of(path))[1] for path in badges}  # type: ignore[index]
    assert titles == {f"{name}: {value}" for name, value in true.items()}
