"""HTTP, as API Gateway's HTTP and REST API, Function URLs and ALBs hand it to a function, and the replies they take.

GET /pokemon?range=…      the names of a range
GET /pokemon/{number}     the name of one Pokémon
GET /race?range=…         every strategy in turn on the same range, or some: strategies=gather,sync; and how many times
                          faster than `sync` each one was; a browser gets a page
GET /                     all of this, described for people
GET /openapi.yaml         the same, for programs

Errors are problem+json (RFC 9457).
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import unquote, unquote_plus

from pokemon_names.item import Item, Result, Source
from pokemon_names.report import Report, race
from pokemon_names.request import STRATEGIES, InvalidRequest, Request

_JSON, _TEXT, _HTML = "application/json", "text/plain", "text/html"
_TRACE = re.compile(r"Root=[0-9a-f-]{35}")
_QUALITY = re.compile(r";\s*q=([01](?:\.\d{1,3})?)")
_CACHEABLE = {"Cache-Control": "public, max-age=86400"}  # as PokeAPI's own
_PATHS = "/, /pokemon, /pokemon/{number}, /race, /openapi.yaml"
_DESCRIPTION = Path(__file__).with_name("openapi.yaml")
_TROUBLES = {
    HTTPStatus.NOT_FOUND: "no Pokémon has any of these numbers",
    HTTPStatus.BAD_GATEWAY: "PokeAPI gave none of the names",
    HTTPStatus.GATEWAY_TIMEOUT: "PokeAPI gave none of the names in time",
}


class UnknownPath(InvalidRequest):
    """Nothing is served there."""


class WrongMethod(InvalidRequest):
    """The path is served, but not by this method."""


class Http(Source, frozen=True, kw_only=True):
    """One HTTP request, in whichever shape it came, and the replies to it."""

    method: str
    path: Sequence[str]
    query: Mapping[str, str]
    accept: str
    if_none_match: str
    correlation_id: str | None
    multi_value_headers: bool  # an ALB that sends them takes no others in the reply
    patience: ClassVar[float] = 29.0  # API Gateway's, for a REST API; for an HTTP API it is 30

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self:
        """Read payload format 2.0 (HTTP API, Function URL), 1.0 (REST API) or an ALB's."""
        context, outer = event["requestContext"], _texts(event)
        about = _texts(context)
        headers = {name.lower(): value for name, value in _joined(event, "headers", "multiValueHeaders").items()}
        query = _joined(event, "queryStringParameters", "multiValueQueryStringParameters")
        if "elb" in context:  # the one source that leaves the query encoded
            query = {unquote_plus(name): unquote_plus(value) for name, value in query.items()}
        if "http" in context:
            method = _texts(context["http"]).get("method", "")
            path = outer.get("rawPath", "").removeprefix(f"/{about.get('stage')}")
        else:
            method, path = outer.get("httpMethod", ""), outer.get("path", "")
        return cls(
            method=method,
            path=unquote(path).strip("/").split("/"),
            query=query,
            accept=headers.get("accept", ""),
            if_none_match=headers.get("if-none-match", ""),
            correlation_id=about.get("requestId") or _trace(headers.get("x-amzn-trace-id", "")),
            multi_value_headers="elb" in context and "multiValueHeaders" in event,
        )

    @property
    def in_turn(self) -> bool:
        """Whether it is a race, whose strategies must not take each other's time."""
        return self.path == ["race"]

    def items(self, max_numbers: int) -> list[Item]:
        """Give one request, for a race one for each strategy, and none where nothing is to be fetched."""
        return [Item(request) for request in self._requests(max_numbers)]

    def _requests(self, max_numbers: int) -> list[Request]:
        fixed: list[dict[str, Any]]
        match self.path:
            case ["pokemon"]:
                fixed = [{}]
            case ["pokemon", number]:
                if not number.isdecimal():
                    raise InvalidRequest("number", number, "a number such as 151")
                fixed = [{"range": number}]
            case ["race"]:
                fixed = [{"strategy": strategy, "fresh": True} for strategy in self._racers()]
            case [""] | ["openapi.yaml"]:
                fixed = []
            case _:
                raise UnknownPath("path", "/" + "/".join(self.path), _PATHS)
        if self.method != "GET":
            raise WrongMethod("method", self.method, "GET")
        return [self._request(fields, max_numbers) for fields in fixed]

    def _racers(self) -> list[str]:
        given = self.query.get("strategies", ",".join(STRATEGIES))
        asked = {name.strip() for name in given.split(",")}
        if not asked <= set(STRATEGIES):
            raise InvalidRequest("strategies", given, f"some of {', '.join(STRATEGIES)}")
        return [strategy for strategy in STRATEGIES if strategy in asked]

    def _request(self, fixed: Mapping[str, Any], max_numbers: int) -> Request:
        for name in fixed.keys() & self.query.keys():
            raise InvalidRequest(name, self.query[name], f"nothing, /{self.path[0]} sets it")
        given = {name: value for name, value in self.query.items() if not (self.in_turn and name == "strategies")}
        return Request.from_fields({**given, **fixed}, max_numbers)

    def reply(self, results: Sequence[Result]) -> dict[str, Any]:
        """Answer 200 when at least one name came, else a problem that says where it lies."""
        if not results:
            return self._describe()
        if isinstance(error := results[0], InvalidRequest):
            return self._refuse(error)
        return self._account([result for result in results if isinstance(result, Report)])

    def _describe(self) -> dict[str, Any]:
        if self.path == ["openapi.yaml"]:
            text = _DESCRIPTION.read_text(encoding="utf-8")
            return self._respond(HTTPStatus.OK, "application/yaml", text, **_CACHEABLE)
        from pokemon_names import page  # noqa: PLC0415  a browser alone needs it

        headers = {**_CACHEABLE, **page.HEADERS}
        return self._respond(HTTPStatus.OK, f"{_HTML}; charset=utf-8", page.documentation(), **headers)

    def _account(self, reports: Sequence[Report]) -> dict[str, Any]:
        status, wanted = _trouble(reports), self._wanted()
        if wanted == _HTML:
            return self._page(status or HTTPStatus.OK, _TROUBLES[status] if status else "", reports)
        body = race(reports) if self.in_turn else reports[0].as_dict()
        if status:
            return self._problem(status, {"detail": _TROUBLES[status], **body})
        content_type, text = _JSON, json.dumps(body)
        if wanted == _TEXT:
            lines = map(race_line, body["race"]) if self.in_turn else body["names"]
            content_type, text = f"{_TEXT}; charset=utf-8", "".join(f"{line}\n" for line in lines)
        if any(report.failures or report.request.fresh for report in reports):
            return self._respond(HTTPStatus.OK, content_type, text)
        tag = _tag(content_type, *body["names"])
        if {tag, "*"} & {given.strip() for given in self.if_none_match.split(",")}:
            return self._respond(HTTPStatus.NOT_MODIFIED, content_type, "", ETag=tag, **_CACHEABLE)
        return self._respond(HTTPStatus.OK, content_type, text, ETag=tag, **_CACHEABLE)

    def _refuse(self, error: InvalidRequest) -> dict[str, Any]:
        body = {"detail": str(error), "field": error.field, "given": error.given, "allowed": error.allowed}
        match error:
            case UnknownPath():
                return self._problem(HTTPStatus.NOT_FOUND, body)
            case WrongMethod():
                return self._problem(HTTPStatus.METHOD_NOT_ALLOWED, body, Allow="GET")
            case _ if self._wanted() == _HTML:
                return self._page(HTTPStatus.BAD_REQUEST, str(error), [])
            case _:
                return self._problem(HTTPStatus.BAD_REQUEST, body)

    def _wanted(self) -> str:
        """Give the content type that the Accept header ranks highest, and of equals the first."""
        return max([_JSON, _TEXT, *([_HTML] if self.in_turn else [])], key=_ranks(self.accept))

    def _page(self, status: HTTPStatus, message: str, reports: Sequence[Report]) -> dict[str, Any]:
        from pokemon_names import page  # noqa: PLC0415  a browser alone needs it

        return self._respond(
            status, f"{_HTML}; charset=utf-8", page.write(self.query, message, reports), **page.HEADERS
        )

    def _problem(self, status: HTTPStatus, members: Mapping[str, Any], **headers: str) -> dict[str, Any]:
        body = {"type": "about:blank", "title": status.phrase, "status": status, **members}
        return self._respond(status, "application/problem+json", json.dumps(body), **headers)

    def _respond(self, status: HTTPStatus, content_type: str, body: str, **headers: str) -> dict[str, Any]:
        headers = {"Content-Type": content_type, "Vary": "Accept", "Cache-Control": "no-store", **headers}
        reply = {"statusCode": int(status), "body": body, "isBase64Encoded": False}
        if self.multi_value_headers:
            return {**reply, "multiValueHeaders": {name: [value] for name, value in headers.items()}}
        return {**reply, "headers": headers}


def _joined(event: Mapping[str, Any], name: str, multi_value_name: str) -> dict[str, str]:
    """Give each name's value, the values of a repeated name joined by commas as payload format 2.0 does it."""
    values = event.get(multi_value_name)
    lists = {key: value for key, value in values.items() if isinstance(value, list)} if isinstance(values, dict) else {}
    joined = {key: ",".join(item for item in items if isinstance(item, str)) for key, items in lists.items()}
    return _texts(event.get(name)) | joined


def _texts(values: Any) -> dict[str, str]:
    """Take the texts alone: nothing else comes from a client, whatever an event may hold."""
    return {key: value for key, value in values.items() if isinstance(value, str)} if isinstance(values, dict) else {}


def _trouble(reports: Sequence[Report]) -> HTTPStatus | None:
    if any(report.names for report in reports):
        return None
    reasons = {failure.reason for report in reports for failure in report.failures}
    if reasons == {"not_found"}:
        return HTTPStatus.NOT_FOUND
    late = reasons <= {"not_found", "timeout", "deadline"}
    return HTTPStatus.GATEWAY_TIMEOUT if late else HTTPStatus.BAD_GATEWAY


def _tag(*content: str) -> str:
    """Give a weak entity tag: the timing in a report is another each time, what it says is the same."""
    return f'W/"{hashlib.sha256("/".join(content).encode()).hexdigest()[:16]}"'


def _trace(header: str) -> str | None:
    """Take AWS's own part of X-Amzn-Trace-Id: a caller may have put anything beside it."""
    found = _TRACE.search(header)
    return found[0] if found else None


def _ranks(accept: str) -> Callable[[str], float]:
    """Read an Accept header (RFC 9110, 12.5.1): the more exact range of types decides."""
    ranks: dict[str, float] = {}
    for item in accept.lower().split(","):
        quality = _QUALITY.search(item)
        ranks[item.partition(";")[0].strip()] = float(quality[1]) if quality else 1.0
    return lambda kind: ranks.get(kind, ranks.get(f"{kind.partition('/')[0]}/*", ranks.get("*/*", 0.0)))


def race_line(entry: Mapping[str, Any]) -> str:
    """Say how one strategy did in a race."""
    strategy, ms, speedup = entry["strategy"], entry["timing"]["total_ms"], entry["speedup"]
    faster = "" if speedup is None else f"{speedup:.2f}x"
    return f"{strategy:<10} {ms:>9.1f} ms {faster:>8} {entry['count']:>6} names"
