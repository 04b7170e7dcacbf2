from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names import chunks
from pokemon_names.chunks import Kept
from pokemon_names.outcome import Exchange, Failed, Fetched, Found, Outcome
from pokemon_names.report import Report
from pokemon_names.request import Request, parse_range

numbers_in_any_order = st.lists(st.integers(1, 60), min_size=1, unique=True)


@given(numbers=numbers_in_any_order, size=st.integers(1, 20))
def test_chunks_have_all_the_numbers_in_their_order(numbers: list[int], size: int) -> None:
    parts = [parse_range(part, size) for part in chunks.split(numbers, size)]
    assert [number for part in parts for number in part] == numbers
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)


def test_an_expression_is_as_short_as_its_numbers_allow() -> None:
    assert chunks.expression([1, 2, 3, 7, 10001, 10002, 5, 4]) == "1-3,7,10001-10002,5,4"


def outcome(number: int) -> Outcome:
    if number % 3:
        return Found(number, f"name-{number}")
    return Failed(number, "not_found", 404, 1, "Not Found")


def through_json(report: Report) -> Kept:
    return msgspec.json.decode(msgspec.json.encode(chunks.detailed(report)), type=Kept)


@given(numbers=numbers_in_any_order, size=st.integers(1, 20), lost=st.sets(st.integers(0, 3)))
def test_merged_chunks_make_the_report_that_the_whole_would_have_made(
    numbers: list[int], size: int, lost: set[int]
) -> None:
    request = Request(range=chunks.expression(numbers))
    exchanges = {
        n: Exchange(n, 1 + n % 2, ok=True, ready_ms=0.5, start_ms=1.0, first_byte_ms=2.0, end_ms=n * 1.5, bytes=n)
        for n in numbers
    }
    parts = list[tuple[Any, Kept | None]]()
    outcomes, sent = list[Outcome](), list[Exchange]()
    for index, part in enumerate(chunks.split(numbers, size)):
        chunk = Request(range=part)
        if index in lost:
            parts.append((chunk.numbers, None))
            outcomes += [Failed(number, "chunk", None, 0, "its chunk left no report") for number in chunk.numbers]
            continue
        found, went = [outcome(number) for number in chunk.numbers], [exchanges[number] for number in chunk.numbers]
        parts.append((chunk.numbers, through_json(Report(chunk, Fetched(found, went, 5.0, cached=1, stale=2)))))
        outcomes, sent = outcomes + found, sent + went
    count = sum(kept is not None for _, kept in parts)
    whole = Report(request, Fetched(outcomes, sent, 7.0, cached=count, stale=2 * count))
    assert Report(request, chunks.merge(parts, 7.0)).as_dict() == whole.as_dict()
