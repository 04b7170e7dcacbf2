"""The weather of the local PokeAPI. Faults are random; the weather lasts.

It applies to all requests, or always to the same numbers.
"""

import math
from collections.abc import Iterator, Mapping
from time import monotonic

from tests.tools.pokeapi import answers
from tests.tools.pokeapi.answers import Answer

WEATHER: Mapping[str, str] = {
    "refuse": "no connection for N seconds from the first request on",
    "outage": "503 for N seconds from the first request on",
    "flap": "503 for N seconds, then no failure for N seconds, and so on",
    "stuck": "requests of the first N seconds are never answered; their connections stay open",
    "garbled": "200 with an HTML page for N seconds from the first request on",
    "missing": "404 for everything, the list included, for N seconds from the first request on",
    "limit": "503 beyond N requests per second and a burst of ten",
    "busy": "429 with Retry-After: 3600 for the first N requests",
    "later": "429 with Retry-After: N for the first request for each multiple of 30",
    "once": "503 for the first request for each number, if N is 1",
    "redirect": "301 from each path without a final slash to the path with one, if N is 1",
    "poison": "404 for each multiple of N, if the path has a final slash",
    "hopeless": "500 for each multiple of N",
    "silent": "no answer for any multiple of N",
    "swapped": "the body of the next Pokémon for each multiple of N",
    "cut": "at most N entries of the list of all, with a next page",
}
BURST = 10
LATER_NUMBERS = 30  # `later` delays the multiples of this number

# How all requests are answered for some seconds, beginning with the first one.
FOR_SECONDS: Mapping[str, Answer] = {
    "outage": answers.status(503),
    "stuck": answers.hang,
    "garbled": answers.page,
    "missing": answers.status(404),
}
# How the multiples of the condition's number are always answered.
FOR_NUMBERS: Mapping[str, Answer] = {
    "hopeless": answers.status(500),
    "silent": answers.hang,
}


class Weather:
    """The current conditions. They begin with the first request."""

    def __init__(self, conditions: Mapping[str, float] | None = None) -> None:
        self.conditions = dict(conditions or {})
        unknown = self.conditions.keys() - WEATHER.keys()
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)}: no such weather; the kinds are {', '.join(WEATHER)}"
            )
        self._requests = 0
        self._seen = set[str]()
        self._began = 0.0
        self._filled = 0.0
        self._tokens = float(BURST)

    def next(self, path: str) -> Answer | None:
        """Return the weather's answer to a request, or None if it lets the request through.

        The path has no query.
        """
        now = monotonic()
        self._requests += 1
        if self._requests == 1:
            self._began = now
            self._filled = now
        answer = next(self._for_all(now), None)
        if answer:
            return answer
        if self.conditions.get("redirect") and not path.endswith("/"):
            return answers.with_slash
        return next(self._for_one(path), None)

    def divides(self, condition: str, number: int) -> bool:
        """Return whether the condition's number divides this one."""
        divisor = self.conditions.get(condition, 0)
        return divisor > 0 and number % divisor == 0

    def _for_all(self, now: float) -> Iterator[Answer]:
        """Yield the answers that do not depend on what the request is for."""
        elapsed = now - self._began
        for condition, answer in FOR_SECONDS.items():
            if elapsed < self.conditions.get(condition, 0):
                yield answer
        flap = self.conditions.get("flap")
        if flap and elapsed % (2 * flap) < flap:
            yield answers.status(503)
        if not self._passes(now):
            yield answers.status(503)
        if self._requests <= self.conditions.get("busy", 0):
            yield answers.status(429, retry_after=3600)

    def _for_one(self, path: str) -> Iterator[Answer]:
        """Yield the answers for a number, or for the list of all."""
        key = path.rstrip("/").rpartition("/")[2]
        number = int(key) if key.isdecimal() else None
        is_first = key not in self._seen
        self._seen.add(key)
        later = self.conditions.get("later")
        if later and is_first and number is not None and number % LATER_NUMBERS == 0:
            yield answers.status(429, retry_after=math.ceil(later))
        if is_first and self.conditions.get("once"):
            yield answers.status(503)
        if number is None:
            return
        if path.endswith("/") and self.divides("poison", number):
            yield answers.status(404)
        for condition, answer in FOR_NUMBERS.items():
            if self.divides(condition, number):
                yield answer

    def _passes(self, now: float) -> bool:
        """Take a token from the limit's bucket, and return whether there was one."""
        limit = self.conditions.get("limit")
        if not limit:
            return True
        self._tokens = min(BURST, self._tokens + (now - self._filled) * limit)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
