"""Faults of the local PokeAPI. Each has its rate, and a seed decides which requests it hits."""

from collections import Counter
from collections.abc import Mapping
from random import Random

from tests.tools.pokeapi import answers
from tests.tools.pokeapi.answers import Answer

FAULTS: Mapping[str, Answer] = {
    "429": answers.status(429, retry_after=0),
    "500": answers.status(500),
    "502": answers.status(502),
    "503": answers.status(503, retry_after="Thu, 01 Jan 2026 00:00:00 GMT"),
    "504": answers.status(504),
    "reset": answers.reset,
    "truncated": answers.truncated,
    "broken_gzip": answers.broken_gzip,
    "not_json": answers.text(200, "<html>"),
    "wrong_json": answers.json('{"name": null}'),
    "deep_json": answers.json('{"abilities": ' + "[" * 100_000),
    "bad_utf8": answers.raw(b'{"name": "\xff"}'),
    "bomb": answers.large(16_000_000),
    "silence": answers.hang,
    "drip": answers.drip,
}


class Faults:
    """Random faults. With the same seed, the nth request for a path has the same fault."""

    def __init__(self, rates: Mapping[str, float], seed: int = 0) -> None:
        self.rates = rates
        self.seed = seed
        self.seen = Counter[str]()
        unknown = rates.keys() - FAULTS.keys()
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)}: no such fault; the faults are {', '.join(FAULTS)}"
            )

    def next(self, path: str) -> Answer | None:
        """Return the fault that hits the next request for a path, or None."""
        self.seen[path] += 1
        chance = Random(f"{self.seed} {path} {self.seen[path]}").random()  # noqa: S311
        for name, rate in self.rates.items():
            if chance < rate:
                return FAULTS[name]
            chance -= rate
        return None
