from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names.request import STRATEGIES, InvalidRequest, Request, parse_range

LARGEST = 999_999_999
numbers = st.integers(1, LARGEST)
short_ranges = st.tuples(numbers, st.integers(1, 20)).map(lambda pair: range(pair[0], min(sum(pair), LARGEST + 1)))


def write(part: range) -> str:
    return str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}"


def test_defaults_are_the_first_150_gathered() -> None:
    request = Request()
    assert request.numbers == tuple(range(1, 151))
    assert (request.strategy, request.fresh, request.trace) == ("gather", False, False)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("151", (151,)),
        ("1-3", (1, 2, 3)),
        ("5-5", (5,)),
        ("7,1-3,10001", (7, 1, 2, 3, 10001)),
        ("3,1-4,3", (3, 1, 2, 4)),
        (" 1 - 3 , 007 ", (1, 2, 3, 7)),
    ],
)
def test_order_is_kept_and_repeats_are_dropped(expression: str, expected: tuple[int, ...]) -> None:
    assert Request(range=expression).numbers == expected


@given(st.lists(short_ranges, min_size=1, max_size=20))
def test_any_list_of_ranges_is_read_back(parts: list[range]) -> None:
    expected = tuple(dict.fromkeys(number for part in parts for number in part))
    assert parse_range(",".join(map(write, parts)), max_numbers=1500) == expected


@given(st.text())
def test_any_other_text_is_an_invalid_request(text: str) -> None:
    try:
        field = "range" if parse_range(text, max_numbers=1500) else None
    except InvalidRequest as error:
        field = error.field
    assert field == "range"


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
def test_a_bad_range_says_what_came_and_what_is_allowed(expression: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^range: got .*, allowed: ") as caught:
        Request(range=expression)
    assert caught.value.given == expression


@pytest.mark.parametrize("expression", ["1-11", "1-5,10-15", "1-999999999", ",".join(["1-10"] * 20) + ",11"])
def test_more_numbers_than_allowed(expression: str) -> None:
    with pytest.raises(InvalidRequest, match="allowed: at most 10 numbers"):
        Request(range=expression, max_numbers=10)


def test_repeats_do_not_count_as_more_numbers() -> None:
    assert len(Request(range="1-10,1-10,10", max_numbers=10).numbers) == 10


def test_an_endless_expression_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidRequest, match="allowed: at most 20000 characters") as caught:
        Request(range="1," * 10_000 + "1")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rnage": "1-3"}, "rnage: got '1-3', allowed: only the fields range, strategy, fresh, trace"),
        ({"max_numbers": 9}, "max_numbers: got '9', allowed: only the fields range, strategy, fresh, trace"),
        ({"strategy": "fastest"}, "strategy: got 'fastest', allowed: gather, sequential, sync, index"),
        ({"strategy": ["gather"]}, "strategy: got '[\"gather\"]', allowed: gather, sequential, sync, index"),
        ({"fresh": "yes"}, "fresh: got 'yes', allowed: true or false"),
        ({"trace": "1"}, "trace: got '1', allowed: true or false"),
        ({"fresh": 1}, "fresh: got '1', allowed: true or false"),
        ({"range": [1, 150]}, "range: got '[1, 150]', allowed: text such as \"1-150\""),
        ({"range": True}, "range: got 'true', allowed: text such as \"1-150\""),
        ({"range": None}, "range: got 'null', allowed: text such as \"1-150\""),
        ({"range": -1}, "range: got '-1', allowed: numbers from 1 to 999999999 and ranges, as in 1-151,10001-10010"),
    ],
)
def test_the_message_names_the_field_what_came_and_what_is_allowed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Request.from_fields(fields, max_numbers=1500)
    assert str(caught.value) == message


@pytest.mark.parametrize(("given_", "expected"), [("true", True), ("True", True), ("false", False), (True, True)])
def test_a_flag_may_be_text(given_: Any, expected: bool) -> None:  # noqa: FBT001
    request = Request.from_fields({"fresh": given_, "trace": given_}, max_numbers=1500)
    assert (request.fresh, request.trace) == (expected, expected)


def test_a_number_is_a_range_of_one() -> None:
    assert Request.from_fields({"range": 151}, max_numbers=1500).numbers == (151,)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_may_be_asked_for(strategy: str) -> None:
    assert Request.from_fields({"strategy": strategy}, max_numbers=1500).strategy == strategy


def test_a_request_cannot_be_changed_into_an_invalid_one() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Request().range = "x"  # type: ignore[misc]


def test_what_is_nested_too_deeply_to_be_shown_is_refused_all_the_same() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidRequest, match=r"^range: got 'JSON nested too deeply', allowed: "):
        Request.from_fields({"range": nested}, 1500)
