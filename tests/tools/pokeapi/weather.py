"""The weather of the local PokeAPI: it lasts, where a fault is chance.

It holds for all requests, or for the same numbers each time.
"""

from collections.abc import Mapping
from time import monotonic

from tests.tools.pokeapi import answers
from tests.tools.pokeapi.answers import Answer

WEATHER: Mapping[str, str] = {
    "refuse": "for so many seconds from the first request on, no connection",
    "outage": "for so many seconds from the first request on, 503",
    "limit": "503 for more than so many requests a second, and more than ten at once",
    "busy": "429 with Retry-After: 3600 for the first so many requests",
    "once": "503 for the first request for each of the numbers, where it is 1",
    "hopeless": "500 for every number that this one divides, always",
    "cut": "at most so many of the list of all, with a next page",
}
BURST = 10


class Weather:
    """The conditions that hold. They begin with the first request."""

    def __init__(self, conditions: Mapping[str, float] | None = None) -> None:
        self.conditions = dict(conditions or {})
        unknown = self.conditions.keys() - WEATHER.keys()
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such weather, only {', '.join(WEATHER)}")
        self._requests = 0
        self._seen = set[str]()
        self._began = 0.0
        self._filled = 0.0
        self._tokens = float(BURST)

    def next(self, path: str) -> Answer | None:
        """Return the answer that the weather has for a request, or None."""
        now = monotonic()
        self._requests += 1
        if self._requests == 1:
            self._began = now
            self._filled = now
        is_first = path not in self._seen
        self._seen.add(path)
        is_out = now - self._began < self.conditions.get("outage", 0)
        if is_out or not self._passes(now):
            return answers.status(503)
        if self._requests <= self.conditions.get("busy", 0):
            return answers.status(429, retry_after=3600)
        if is_first and self.conditions.get("once"):
            return answers.status(503)
        hopeless = self.conditions.get("hopeless")
        key = path.rstrip("/").rpartition("/")[2]
        if hopeless and key.isdecimal() and int(key) % hopeless == 0:
            return answers.status(500)
        return None

    def _passes(self, now: float) -> bool:
        """Take a token from the bucket that the limit fills."""
        limit = self.conditions.get("limit")
        if not limit:
            return True
        self._tokens = min(BURST, self._tokens + (now - self._filled) * limit)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
