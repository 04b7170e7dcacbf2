"""A large request, taken apart into chunks and put together again. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from pokemon_names.outcome import Exchange, Failed, Fetched, Found, Outcome
from pokemon_names.report import Report


class Chunk(msgspec.Struct, frozen=True):
    """A part of a range, and the key under which its report is kept."""

    range: str
    key: str


class _Timing(msgspec.Struct, frozen=True):
    cached: int
    stale: int


class Kept(msgspec.Struct, frozen=True):
    """What has to be read of a chunk's report."""

    names: list[str]
    failures: list[Failed]
    timing: _Timing
    exchanges: list[Exchange]

    def outcomes(self, numbers: Sequence[int]) -> list[Outcome]:
        """Give each of the chunk's numbers its name or its failure."""
        failures, names = {failure.number: failure for failure in self.failures}, iter(self.names)
        return [failures.get(number) or Found(number, next(names)) for number in numbers]


def detailed(report: Report) -> dict[str, object]:
    """Give the report with all its exchanges: percentiles cannot be made of percentiles."""
    return {**report.as_dict(), "exchanges": report.fetched.exchanges}


def split(numbers: Sequence[int], size: int) -> Iterator[str]:
    """Give range expressions of so many numbers each."""
    for start in range(0, len(numbers), size):
        yield expression(numbers[start : start + size])


def expression(numbers: Sequence[int]) -> str:
    """Write numbers as a range expression that keeps their order."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def merge(chunks: Sequence[tuple[Sequence[int], Kept | None]], total_ms: float) -> Fetched:
    """Put the chunks' outcomes together, in the chunks' order."""
    outcomes = [outcome for numbers, kept in chunks for outcome in (kept.outcomes(numbers) if kept else _lost(numbers))]
    found = [kept for _, kept in chunks if kept]
    return Fetched(
        outcomes,
        [exchange for kept in found for exchange in kept.exchanges],
        total_ms,
        cached=sum(kept.timing.cached for kept in found),
        stale=sum(kept.timing.stale for kept in found),
    )


def _lost(numbers: Sequence[int]) -> list[Outcome]:
    return [Failed(number, "chunk", None, attempts=0, detail="its chunk left no report") for number in numbers]
