"""Range expressions, parsed and formatted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names.ranges import MAX_CHARACTERS, format_range, parse_range

LARGEST = 999_999_999
NEITHER = "neither a number from 1 to 999999999 nor a range such as 1-150"
numbers = st.integers(1, LARGEST)


@st.composite
def short_ranges(draw: st.DrawFn) -> range:
    first = draw(numbers)
    count = draw(st.integers(1, 20))
    return range(first, min(first + count, LARGEST + 1))


def write(part: range) -> str:
    if len(part) == 1:
        return str(part[0])
    return f"{part[0]}-{part[-1]}"


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
    assert parse_range(expression, max_numbers=1500) == expected


@given(st.lists(short_ranges(), min_size=1, max_size=20))
def test_any_list_of_ranges_is_parsed(parts: list[range]) -> None:
    numbers = [number for part in parts for number in part]
    expression = ",".join(map(write, parts))
    assert parse_range(expression, max_numbers=1500) == tuple(dict.fromkeys(numbers))


@given(st.text())
def test_any_other_text_is_a_value_error_with_a_message(text: str) -> None:
    try:
        parse_range(text, max_numbers=1500)
    except ValueError as error:
        assert str(error)  # noqa: PT017  some texts are ranges


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("5-1", "5-1 is descending: write 1-5"),
        ("1-3,007-5", "7-5 is descending: write 5-7"),
        ("1-2000", "2,000 numbers; the maximum is 1,500"),
        ("1-1000,3001-4000", "2,000 numbers; the maximum is 1,500"),
        ("1-999999999", "999,999,999 numbers; the maximum is 1,500"),
        ("1," * 10_000 + "1", "20,001 characters; the maximum is 20,000"),
        ("1-x", f"'1-x' is {NEITHER}"),
        ("x" * 99, f"'{'x' * 40}' is {NEITHER}"),
    ],
)
def test_an_error_says_what_to_write(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_range(expression, max_numbers=1500)
    assert str(caught.value) == message


@pytest.mark.parametrize("expression", ["1-11", "1-5,10-15", "1-10,10", "1," * 10 + "1"])
def test_more_numbers_than_allowed_are_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"numbers; the maximum is 10$"):
        parse_range(expression, max_numbers=10)


def test_the_longest_expression_is_parsed() -> None:
    longest = "1," * 9_999 + "25"
    assert len(longest) == MAX_CHARACTERS
    assert parse_range(longest, max_numbers=10_000) == (1, 25)


def test_a_formatted_range_is_as_short_as_the_order_of_its_numbers_allows() -> None:
    assert format_range([1, 2, 3, 7, 10001, 10002, 5, 4]) == "1-3,7,10001-10002,5,4"


@given(st.lists(st.integers(1, 60), min_size=1, unique=True))
def test_a_formatted_range_is_parsed_to_the_same_numbers(numbers: list[int]) -> None:
    assert parse_range(format_range(numbers), max_numbers=60) == tuple(numbers)
