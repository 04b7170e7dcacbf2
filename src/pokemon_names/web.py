"""HTTP, as API Gateway's HTTP and REST API, Function URLs and ALBs hand it to a function, and the replies they take.

GET /pokemon?range=…      the names of a range
GET /pokemon/{number}     the name of one Pokémon
GET /race?range=…         every strategy in turn on the same range, and how many times faster than `sync` each one was

Errors are problem+json (RFC 9457).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import unquote, unquote_plus

from pokemon_names.report import Report, race
from pokemon_names.request import STRATEGIES, InvalidRequest, Request

_QUALITY = re.compile(r";\s*q=([01](?:\.\d{1,3})?)")
_TROUBLES = {
    HTTPStatus.NOT_FOUND: "no Pokémon has any of these numbers",
    HTTPStatus.BAD_GATEWAY: "PokeAPI gave none of the names",
    HTTPStatus.GATEWAY_TIMEOUT: "PokeAPI gave none of the names in time",
}


class UnknownPath(InvalidRequest):
    """Nothing is served there."""


class WrongMethod(InvalidRequest):
    """The path is served, but not by this method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """One HTTP request, in whichever shape it came, and the replies to it."""

    method: str
    path: Sequence[str]
    query: Mapping[str, str]
    accept: str
    correlation_id: str | None
    multi_value_headers: bool  # an ALB that sends them takes no others in the reply

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self:
        """Read payload format 2.0 (HTTP API, Function URL), 1.0 (REST API) or an ALB's."""
        context = event["requestContext"]
        headers = {name.lower(): value for name, value in _joined(event, "headers", "multiValueHeaders").items()}
        query = _joined(event, "queryStringParameters", "multiValueQueryStringParameters")
        if "elb" in context:  # the one source that leaves the query encoded
            query = {unquote_plus(name): unquote_plus(value) for name, value in query.items()}
        if "http" in context:
            method, path = context["http"]["method"], event["rawPath"].removeprefix(f"/{context['stage']}")
        else:
            method, path = event["httpMethod"], event["path"]
        return cls(
            method=method,
            path=unquote(path).strip("/").split("/"),
            query=query,
            accept=headers.get("accept", ""),
            correlation_id=context.get("requestId") or headers.get("x-amzn-trace-id"),
            multi_value_headers="elb" in context and "multiValueHeaders" in event,
        )

    def requests(self, max_numbers: int) -> list[Request]:
        """Give one request, or for a race one for each strategy."""
        fixed: list[dict[str, Any]]
        match self.path:
            case ["pokemon"]:
                fixed = [{}]
            case ["pokemon", number]:
                if not number.isdecimal():
                    raise InvalidRequest("number", number, "a number such as 151")
                fixed = [{"range": number}]
            case ["race"]:
                fixed = [{"strategy": strategy, "fresh": True} for strategy in STRATEGIES]
            case _:
                raise UnknownPath("path", "/" + "/".join(self.path), "/pokemon, /pokemon/{number}, /race")
        if self.method != "GET":
            raise WrongMethod("method", self.method, "GET")
        return [self._request(fields, max_numbers) for fields in fixed]

    def _request(self, fixed: Mapping[str, Any], max_numbers: int) -> Request:
        for name in fixed.keys() & self.query.keys():
            raise InvalidRequest(name, self.query[name], f"nothing, /{self.path[0]} sets it")
        return Request.from_fields({**self.query, **fixed}, max_numbers)

    def reply(self, reports: Sequence[Report]) -> dict[str, Any]:
        """Answer 200 when at least one name came, else a problem that says where it lies."""
        racing = self.path == ["race"]
        body = race(reports) if racing else reports[0].as_dict()
        if status := _trouble(reports):
            return self._problem(status, {"detail": _TROUBLES[status], **body})
        if not _prefers_text(self.accept):
            return self._respond(HTTPStatus.OK, "application/json", json.dumps(body))
        lines = map(race_line, body["race"]) if racing else body["names"]
        return self._respond(HTTPStatus.OK, "text/plain; charset=utf-8", "".join(f"{line}\n" for line in lines))

    def refuse(self, error: InvalidRequest) -> dict[str, Any]:
        """Answer a request that is not valid."""
        body = {"detail": str(error), "field": error.field, "given": error.given, "allowed": error.allowed}
        match error:
            case UnknownPath():
                return self._problem(HTTPStatus.NOT_FOUND, body)
            case WrongMethod():
                return self._problem(HTTPStatus.METHOD_NOT_ALLOWED, body, Allow="GET")
            case _:
                return self._problem(HTTPStatus.BAD_REQUEST, body)

    def _problem(self, status: HTTPStatus, members: Mapping[str, Any], **headers: str) -> dict[str, Any]:
        body = {"type": "about:blank", "title": status.phrase, "status": status, **members}
        return self._respond(status, "application/problem+json", json.dumps(body), **headers)

    def _respond(self, status: HTTPStatus, content_type: str, body: str, **headers: str) -> dict[str, Any]:
        headers = {"Content-Type": content_type, "Vary": "Accept", **headers}
        reply = {"statusCode": int(status), "body": body, "isBase64Encoded": False}
        if self.multi_value_headers:
            return {**reply, "multiValueHeaders": {name: [value] for name, value in headers.items()}}
        return {**reply, "headers": headers}


def _joined(event: Mapping[str, Any], name: str, multi_value_name: str) -> dict[str, str]:
    """Give each name's value, the values of a repeated name joined by commas as payload format 2.0 does it."""
    joined = {key: ",".join(values) for key, values in (event.get(multi_value_name) or {}).items()}
    return (event.get(name) or {}) | joined


def _trouble(reports: Sequence[Report]) -> HTTPStatus | None:
    if any(report.names for report in reports):
        return None
    reasons = {failure.reason for report in reports for failure in report.failures}
    if reasons == {"not_found"}:
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.GATEWAY_TIMEOUT if reasons <= {"not_found", "timeout"} else HTTPStatus.BAD_GATEWAY


def _prefers_text(accept: str) -> bool:
    """Tell whether an Accept header ranks plain text above JSON, which it gets when it ranks neither."""
    ranks: dict[str, float] = {}
    for item in accept.lower().split(","):
        quality = _QUALITY.search(item)
        ranks[item.partition(";")[0].strip()] = float(quality[1]) if quality else 1.0
    return ranks.get("text/plain", 0) > ranks.get("application/json", 0)


def race_line(entry: Mapping[str, Any]) -> str:
    """Say how one strategy did in a race."""
    strategy, ms, speedup = entry["strategy"], entry["timing"]["total_ms"], entry["speedup"]
    return f"{strategy:<10} {ms:>9.1f} ms {speedup:>7.2f}x {entry['count']:>6} names"
