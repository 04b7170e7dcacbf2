"""The mutants that make no difference, as equivalent.toml has them."""

import tomllib

import pytest

from tests.conftest import ROOT
from tests.tools import mutants
from tests.tools.options import Mistake

CHANGES = [
    change
    for changes in tomllib.loads(mutants.EQUIVALENT.read_text(encoding="utf-8")).values()
    for change in changes
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_an_equivalent_mutant_changes_is_in_the_source(change: str) -> None:
    place, _, lines = change.partition(": ")
    removed, _, added = lines.partition(" => ")
    parts = place.split(".")
    paths = [ROOT / mutants.PACKAGE / "/".join(parts[:count]) for count in range(1, len(parts))]
    files = [
        *(path.with_suffix(".py") for path in paths),
        *(path / "__init__.py" for path in paths),
    ]
    text = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    assert f"def {parts[-1]}(" in text
    assert removed in " ".join(text.split())
    assert removed != added


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
def test_the_function_of_a_mutant(name: str, function: str) -> None:
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


def test_another_module_is_a_mistake_that_says_what_to_write() -> None:
    with pytest.raises(Mistake, match=r"^got 'retry', allowed: .*, such as fetching/fetcher$"):
        mutants.module("retry")
