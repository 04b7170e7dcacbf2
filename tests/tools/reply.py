"""What a reply contains."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from pokemon_names.model import COUNTS, Attempt, Failure, Fetched, Found, Request
from pokemon_names.report import Report

MAX_NUMBERS = 1_000_000  # the most that the state machine takes
NETWORK_REASONS = {"unreachable", "timeout", "deadline"}


class Reply:
    """The handler's reply to any event.

    `body` is its JSON, which is empty for text and pages. `content_type` is empty unless the event
    was an HTTP request.
    """

    def __init__(self, reply: Mapping[str, Any]) -> None:
        self.status: int = reply.get("statusCode", HTTPStatus.OK)
        self.content_type = ""
        self.text = ""
        self.body = reply
        if "statusCode" in reply:
            self.content_type = _content_type(reply)
            self.text = reply["body"]
            self.body = {}
            if self.text and "json" in self.content_type:
                self.body = json.loads(self.text)

    @property
    def error(self) -> str:
        """Why there is no report, or no name in it."""
        if "errorType" in self.body:
            return f"{self.body['errorType']}: {self.body['errorMessage']}"
        detail: str = self.body.get("detail", "")
        return detail

    @property
    def is_failure(self) -> bool:
        """Whether the reply is an error, or a report without any names."""
        return bool(self.error) or self.body.get("names") == []

    def hints(self) -> Iterator[str]:
        """Yield why the live PokeAPI returned no name, and what to do about it."""
        failures = [failure for report in self.reports() for failure in report.failures]
        reasons = {failure.reason for failure in failures}
        if self.is_failure and failures and reasons <= NETWORK_REASONS:
            yield f"PokeAPI cannot be reached from here: {failures[0].detail}"
            yield "Leave out LIVE=1 to use the local PokeAPI."

    def reports(self) -> list[Report]:
        """Return the report with its trace, the reports of a race, or nothing."""
        entries = self.body.get("race", [])
        if "names" in self.body:
            entries = [self.body]
        return [_report_of(entry) for entry in entries]


def _report_of(entry: Mapping[str, Any]) -> Report:
    fields = {"range": entry["range"], "strategy": entry["strategy"], "trace": True}
    request = Request.parse(fields, MAX_NUMBERS)
    failures = {failure["number"]: Failure(**failure) for failure in entry["failures"]}
    names = iter(entry["names"])
    results: list[Found | Failure] = []
    for number in request.numbers:
        result = failures.get(number) or Found(number, next(names))
        results.append(result)
    attempts = msgspec.convert(entry["trace"], list[Attempt])
    timing = entry["timing"]
    counts = {name: timing[name] for name in COUNTS}
    fetched = Fetched(results, attempts, timing["total_ms"], **counts)
    return Report(request, fetched)


def _content_type(reply: Mapping[str, Any]) -> str:
    if reply.get("headers"):
        content_type: str = reply["headers"]["Content-Type"]
    else:
        content_type = reply["multiValueHeaders"]["Content-Type"][0]
    return content_type
