"""What `make mutants` lists, and what it accepts."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import Capture, add_program
from tests.tools import mutants
from tests.tools.options import Mistake

RANGES = "pokemon_names.ranges.x_parse__mutmut_"
ENTRIES = [
    "ranges.parse: first = 1 => first = 2",
    "ranges.parse: first = 3 => first = 4",
    "ranges.format: first = 1 => first = 2",
    "model.parse: first = 3 => first = 4",  # in a module other than the one given
]


@pytest.fixture
def mutmut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace mutmut with a program that prints files from the test's folder."""
    source = tmp_path / mutants.PACKAGE / "ranges.py"
    source.parent.mkdir(parents=True)
    source.write_text("def parse():\n    first = 1\n", encoding="utf-8")
    add_program(tmp_path, "mutmut", '[ $1 = run ] || cat -- "$2"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mutants, "EQUIVALENT", tmp_path / "equivalent.toml")
    monkeypatch.setattr(mutants, "MUTMUT", (str(tmp_path / "mutmut"),))
    monkeypatch.setattr("sys.argv", ["mutants", "--module=ranges"])
    for number, (before, after) in enumerate([("1", "2"), ("1", "0")]):
        diff = f"# name\n--- a\n+++ b\n def parse():\n-    first = {before}\n+    first = {after}\n"
        (tmp_path / f"{RANGES}{number}").write_text(diff, encoding="utf-8")
    return tmp_path


def run(mutmut: Path, entries: Sequence[str], outcomes: Sequence[str]) -> object:
    """Return the exit status for these equivalent mutants and outcomes of mutmut."""
    mutants.EQUIVALENT.write_text(f"reason = {entries}", encoding="utf-8")
    (mutmut / "--all").write_text("\n".join(outcomes), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        mutants.main()
    return ended.value.code


def test_mutants_that_are_not_noticed_are_listed_and_so_are_stale_entries(
    mutmut: Path, capsys: Capture
) -> None:
    outcomes = [f"{RANGES}0: survived", f"{RANGES}1: survived", f"{RANGES}2: killed"]
    others = ["pokemon_names.model.x_parse__mutmut_1: survived"]
    assert run(mutmut, ENTRIES, outcomes + others) == 1
    stale = "equivalent.toml has an entry that does not fit the source"
    assert capsys.readouterr().out.splitlines() == [
        "ranges.parse: first = 1 => first = 0",
        f"{stale}: ranges.format: first = 1 => first = 2",
        f"{stale}: ranges.parse: first = 3 => first = 4",
        "3 mutants: 1 noticed, 1 equivalent, 1 not noticed",
    ]


@pytest.mark.parametrize(("entries", "status"), [(ENTRIES[:1], 0), (ENTRIES[:2], 1)])
def test_a_stale_entry_is_an_error_by_itself(mutmut: Path, entries: list[str], status: int) -> None:
    assert run(mutmut, entries, [f"{RANGES}0: survived", f"{RANGES}2: timeout"]) == status


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("pokemon_names.ranges.x_parse_range__mutmut_1", "ranges.parse_range"),
        (
            "pokemon_names.fetching.cache.xǁCacheǁ_is_news__mutmut_12",
            "fetching.cache.Cache._is_news",
        ),
        ("pokemon_names.model.xǁFailureǁ__str____mutmut_3", "model.Failure.__str__"),
        ("pokemon_names.views.pages.x__headers__mutmut_1", "views.pages._headers"),
    ],
)
def test_the_name_of_a_mutant_contains_its_function(name: str, function: str) -> None:
    assert mutants.function(name) == function


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("", "pokemon_names"),
        ("fetching", "pokemon_names.fetching"),
        ("fetching/fetcher", "pokemon_names.fetching.fetcher"),
        ("fetching/fetcher.py", "pokemon_names.fetching.fetcher"),
    ],
)
def test_a_module_is_given_by_its_path(given: str, name: str) -> None:
    assert mutants.module(given) == name


def test_an_unknown_module_is_a_mistake_that_says_what_to_write() -> None:
    with pytest.raises(Mistake, match=r"^got 'retry', allowed: .*, such as fetching/fetcher$"):
        mutants.module("retry")
