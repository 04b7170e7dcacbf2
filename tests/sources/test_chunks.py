"""Splitting a range into chunks, and merging their results."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pokemon_names.model import COUNTS, Attempt, Failure, Fetched, Found, Result
from pokemon_names.ranges import format_range, parse_range
from pokemon_names.report import Report
from pokemon_names.sources import chunks
from tests.conftest import make_request


@st.composite
def numbers_and_counts(draw: st.DrawFn) -> tuple[list[int], int]:
    numbers = draw(st.lists(st.integers(1, 60), min_size=1, unique=True))
    return numbers, draw(st.integers(1, len(numbers)))


@given(numbers_and_count=numbers_and_counts())
def test_chunks_have_all_the_numbers_in_order(
    numbers_and_count: tuple[list[int], int],
) -> None:
    numbers, count = numbers_and_count
    parts = [parse_range(part, 60) for part in chunks.split(numbers, count)]
    assert [number for part in parts for number in part] == numbers
    assert len(parts) == count
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def make_result(number: int) -> Result:
    if number % 3:
        return Found(number, f"name-{number}")
    return Failure(number, "not_found", 404, 1, "Not Found")


def make_attempt(number: int) -> Attempt:
    return Attempt(
        number,
        1 + number % 2,
        ok=True,
        ready_ms=0.5,
        start_ms=1.0,
        first_byte_ms=2.0,
        end_ms=number * 1.5,
        bytes=number,
    )


def fetch_chunk(numbers: Sequence[int]) -> Fetched:
    results = list(map(make_result, numbers))
    attempts = list(map(make_attempt, numbers))
    counts = {name: count for count, name in enumerate(COUNTS, start=1)}
    return Fetched(results, attempts, total_ms=5.0, **counts)


def store_and_read(fetched: Fetched) -> Fetched:
    return msgspec.json.decode(msgspec.json.encode(fetched), type=Fetched)


@given(numbers_and_count=numbers_and_counts(), without_report=st.sets(st.integers(0, 3)))
def test_merged_chunks_make_the_report_of_the_whole_range(
    numbers_and_count: tuple[list[int], int], without_report: set[int]
) -> None:
    numbers, chunk_count = numbers_and_count
    parts: list[tuple[Sequence[int], Fetched | None]] = []
    results: list[Result] = []
    attempts: list[Attempt] = []
    stored = 0
    for index, part in enumerate(chunks.split(numbers, chunk_count)):
        chunk = parse_range(part, 60)
        if index in without_report:
            parts.append((chunk, None))
            detail = "the results of its chunk are missing"
            results += [Failure(number, "chunk", None, 0, detail) for number in chunk]
            continue
        fetched = fetch_chunk(chunk)
        parts.append((chunk, store_and_read(fetched)))
        results += fetched.results
        attempts += fetched.attempts
        stored += 1
    counts = {name: count * stored for count, name in enumerate(COUNTS, start=1)}
    whole = Fetched(results, attempts, total_ms=7.0, **counts)
    request = make_request(range=format_range(numbers))
    merged = chunks.merge(parts, total_ms=7.0)
    assert Report(request, merged).as_dict() == Report(request, whole).as_dict()
