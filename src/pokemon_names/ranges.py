"""Range expressions: numbers and ascending ranges, separated by commas, as in `1-151,10001-10010`.

The numbers keep their order. Repeats are dropped, but count towards the limit.
"""

import re
from collections.abc import Sequence
from itertools import chain

EXAMPLE = "1-151,10001-10010"
MAX_CHARACTERS = 20_000

_NUMBER = r"\s*0*([1-9][0-9]{0,8})\s*"
_PART = re.compile(f"{_NUMBER}(?:-{_NUMBER})?")
_MAX_SHOWN = 40


def parse_range(expression: str, max_numbers: int) -> tuple[int, ...]:
    """Return the numbers in an expression, each of them once.

    Raises:
        ValueError: The expression is malformed or has too many numbers. The message says how to
            correct it.
    """
    length = len(expression)
    if length > MAX_CHARACTERS:
        raise ValueError(f"{length:,} characters; the maximum is {MAX_CHARACTERS:,}")
    parts: list[range] = []
    count = 0
    for part in expression.split(","):
        parts.append(_parse_part(part))
        count += len(parts[-1])
        if count > max_numbers:
            raise ValueError(f"{count:,} numbers; the maximum is {max_numbers:,}")
    return tuple(dict.fromkeys(chain.from_iterable(parts)))


def format_range(numbers: Sequence[int]) -> str:
    """Return the expression for one or more numbers, in the order given."""
    parts = []
    first = numbers[0]
    last = first
    for number in numbers[1:]:
        if number != last + 1:
            parts.append(_format_part(first, last))
            first = number
        last = number
    parts.append(_format_part(first, last))
    return ",".join(parts)


def _parse_part(part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        shown = repr(part[:_MAX_SHOWN])
        raise ValueError(
            f"{shown} is neither a number from 1 to 999999999 nor a range such as 1-150"
        )
    first = int(match[1])
    last = int(match[2] or match[1])
    if last < first:
        raise ValueError(f"{first}-{last} is descending: write {last}-{first}")
    return range(first, last + 1)


def _format_part(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}-{last}"
