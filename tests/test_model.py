"""What a request may contain, and the error message for anything else."""

import math
from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from tests.conftest import every_strategy, make_request

FIELDS = "only the fields range, strategy, fresh, trace"
RANGES = "up to 1,500 numbers, as in 1-151,10001-10010"
NEITHER = "neither a number from 1 to 999999999 nor a range such as 1-150"
TEXT = 'text such as "1-150", or a whole number'


def test_by_default_gather_fetches_the_first_150() -> None:
    request = make_request()
    assert request.range == "1-150"
    assert request.numbers == tuple(range(1, 151))
    assert request.strategy == "gather"
    assert request.fresh is False
    assert request.trace is False


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        ",",
        "1,",
        "0",
        "0-3",
        "-3",
        "3-1",
        "1-",
        "1--3",
        "1-2-3",
        "1.5",
        "x",
        "1-x",
        "\u0661",
        "1000000000",
        "1\n2",
    ],
)
def test_the_message_for_a_bad_range_shows_it_and_what_is_allowed(expression: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^range: got .*, allowed: .* \(.*\)$") as caught:
        make_request(range=expression)
    assert caught.value.given == expression


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rnage": "1-3"}, f"rnage: got '…', allowed: {FIELDS}"),
        ({"max_numbers": 9}, f"max_numbers: got '…', allowed: {FIELDS}"),
        (
            {"strategy": "fastest"},
            "strategy: got 'fastest', allowed: gather, sequential, sync, index",
        ),
        (
            {"strategy": ["gather"]},
            "strategy: got '[\"gather\"]', allowed: gather, sequential, sync, index",
        ),
        ({"\ud800\n": "x"}, f"\\ud800\\n: got '…', allowed: {FIELDS}"),
        ({"range\ufeff": "x"}, f"range\\ufeff: got '…', allowed: {FIELDS}"),
        ({"fresh": "yes"}, "fresh: got 'yes', allowed: true or false"),
        ({"trace": "1"}, "trace: got '1', allowed: true or false"),
        ({"fresh": 1}, "fresh: got '1', allowed: true or false"),
        ({"range": [1, 150]}, f"range: got '[1, 150]', allowed: {TEXT}"),
        ({"range": True}, f"range: got 'true', allowed: {TEXT}"),
        ({"range": None}, f"range: got 'null', allowed: {TEXT}"),
        ({"range": 151.5}, f"range: got '151.5', allowed: {TEXT}"),
        ({"range": math.inf}, f"range: got 'Infinity', allowed: {TEXT}"),
        ({"range": math.nan}, f"range: got 'NaN', allowed: {TEXT}"),
        (
            {"range": -1},
            f"range: got '-1', allowed: {RANGES} ('-1' is {NEITHER})",
        ),
        (
            {"range": "5-1"},
            f"range: got '5-1', allowed: {RANGES} (5-1 is descending: write 1-5)",
        ),
        (
            {"range": "1-2000"},
            f"range: got '1-2000', allowed: {RANGES} (2,000 numbers; the maximum is 1,500)",
        ),
    ],
)
def test_the_message_names_the_field_its_value_and_what_is_allowed(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_request(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "expected"), [("true", True), ("True", True), ("false", False), (True, True)]
)
def test_a_flag_may_be_text(given: Any, *, expected: bool) -> None:
    request = make_request(fresh=given, trace=given)
    assert request.fresh is expected
    assert request.trace is expected


@pytest.mark.parametrize("given", [151, 151.0])
def test_a_range_may_be_a_whole_number(given: float) -> None:
    request = make_request(range=given)
    assert request.numbers == (151,)
    assert request.range == "151"


@every_strategy
def test_a_request_may_name_any_strategy(strategy: str) -> None:
    assert make_request(strategy=strategy).strategy == strategy


def test_a_request_cannot_be_changed_into_an_invalid_one() -> None:
    request = make_request()
    with pytest.raises(AttributeError, match="immutable"):
        request.range = "x"  # type: ignore[misc]


def test_json_nested_too_deeply_to_be_shown_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidRequest, match=r"^range: got 'JSON nested too deeply', allowed: "):
        make_request(range=nested)


@pytest.mark.parametrize(
    ("length", "shown"), [(80, "x" * 80), (81, "x" * 80 + "…"), (1000, "x" * 80 + "…")]
)
def test_a_message_shows_80_characters_of_the_value(length: int, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_request(strategy="x" * length)
    assert caught.value.given == shown
