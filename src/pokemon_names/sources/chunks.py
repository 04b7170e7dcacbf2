"""Splitting a large range into chunks, and merging their results."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from pokemon_names.model import COUNTS, Attempt, Failure, Fetched, Result
from pokemon_names.ranges import format_range


class Chunk(msgspec.Struct, frozen=True):
    """A part of a range, and the key under which its results are stored."""

    range: str
    key: str


StoredChunk = tuple[Sequence[int], Fetched | None]


def split(numbers: Sequence[int], count: int) -> list[str]:
    """Return the numbers as `count` range expressions. Their sizes differ by at most one number."""
    bounds = [len(numbers) * index // count for index in range(count + 1)]
    return [format_range(numbers[start:end]) for start, end in pairwise(bounds)]


def merge(chunks: Iterable[StoredChunk], total_ms: float) -> Fetched:
    """Return the results of all chunks, in the order of the chunks.

    Args:
        chunks: The numbers of each chunk, and its stored results or None.
        total_ms: How long all chunks took together.
    """
    results: list[Result] = []
    attempts: list[Attempt] = []
    counts = dict.fromkeys(COUNTS, 0)
    for numbers, fetched in chunks:
        if fetched:
            results.extend(fetched.results)
            attempts.extend(fetched.attempts)
            for name in COUNTS:
                counts[name] += getattr(fetched, name)
        else:
            results.extend(map(_without_results, numbers))
    return Fetched(results, attempts, total_ms, **counts)


def _without_results(number: int) -> Failure:
    return Failure(number, "chunk", None, attempts=0, detail="the results of its chunk are missing")
