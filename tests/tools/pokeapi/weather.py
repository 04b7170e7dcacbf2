"""What befalls the local PokeAPI as a whole, or some numbers for good: the weather lasts, where a fault is chance."""

from collections.abc import Mapping
from time import monotonic

from tests.tools.pokeapi import answers
from tests.tools.pokeapi.answers import Answer

WEATHER: Mapping[str, str] = {
    "refuse": "for so many seconds from the first request on, no connection",
    "outage": "for so many seconds from the first request on, 503",
    "limit": "503 for what is more than so many requests a second, and ten at once",
    "busy": "429 with Retry-After: 3600 for the first so many requests",
    "once": "503 for the first request for each of the numbers, where it is 1",
    "hopeless": "500 for every number that this one divides, always",
    "cut": "no more than so many of the list of all, with a next page",
}
BURST = 10


class Weather:
    """The conditions that hold, which begin with the first request."""

    def __init__(self, conditions: Mapping[str, float] | None = None) -> None:
        self.conditions = dict(conditions or {})
        if unknown := self.conditions.keys() - WEATHER.keys():
            raise ValueError(f"{', '.join(unknown)}: no such weather, only {', '.join(WEATHER)}")
        self._requests = 0
        self._seen = set[str]()
        self._began = self._filled = 0.0
        self._tokens = float(BURST)

    def next(self, path: str) -> Answer | None:
        """Give the answer that the weather has for a request, None where it has none."""
        now = monotonic()
        self._requests += 1
        if self._requests == 1:
            self._began = self._filled = now
        first = path not in self._seen
        self._seen.add(path)
        key, hopeless = path.rstrip("/").rpartition("/")[2], self.conditions.get("hopeless")
        if now - self._began < self.conditions.get("outage", 0) or not self._passes(now):
            return answers.status(503)
        if self._requests <= self.conditions.get("busy", 0):
            return answers.status(429, retry_after=3600)
        if first and self.conditions.get("once"):
            return answers.status(503)
        if hopeless and key.isdecimal() and int(key) % hopeless == 0:
            return answers.status(500)
        return None

    def _passes(self, now: float) -> bool:
        """Take a token from the bucket that the limit fills."""
        if not (limit := self.conditions.get("limit")):
            return True
        self._tokens = min(BURST, self._tokens + (now - self._filled) * limit)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
