"""HTTP responses: JSON, text or a page, depending on the Accept header.

Errors are problem details (RFC 9457), or the page of a race if a browser asked for it.

200  the response has at least one name, or is documentation
304  the caller already has these names
400  the request is bad
404  no Pokémon has any of these numbers, or the path does not exist
405  the path does not allow this method
502  PokeAPI returned none of the names
504  PokeAPI returned none of the names in time
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from pokemon_names.model import InvalidRequest
from pokemon_names.report import Report, race_report

JSON = "application/json"
TEXT = "text/plain"
HTML = "text/html"
SVG = "image/svg+xml"
PROBLEM = "application/problem+json"

NAMES_TYPES = (JSON, TEXT)
RACE_TYPES = (JSON, TEXT, HTML)

_DESCRIPTION = Path(__file__).parents[1] / "views" / "openapi.yaml"
# As long as PokeAPI's own responses. Private, because a shared cache would serve the response to
# callers whom the API refuses.
_CACHEABLE = "private, max-age=86400"
_QUALITY = re.compile(r";\s*q=([01](?:\.\d{1,3})?)")
_LATE_REASONS = {"not_found", "timeout", "deadline"}
_NO_NAMES = {
    HTTPStatus.NOT_FOUND: "no Pokémon has any of these numbers",
    HTTPStatus.BAD_GATEWAY: "PokeAPI returned none of the names",
    HTTPStatus.GATEWAY_TIMEOUT: "PokeAPI returned none of the names in time",
}


Query = Mapping[str, str]


class UnknownPath(InvalidRequest):
    """The path does not exist."""


class WrongMethod(InvalidRequest):
    """The path does not allow this method."""


class Response(msgspec.Struct, frozen=True):
    """An HTTP response. `headers` are the headers that only some responses have."""

    status: HTTPStatus
    content_type: str
    body: str
    headers: Mapping[str, str] = {}
    is_cacheable: bool = False


def to_reply(response: Response, *, multi_value_headers: bool) -> dict[str, Any]:
    """Return the response as API Gateway, a Function URL or an ALB expects it."""
    content_type = response.content_type
    if content_type in {TEXT, HTML}:
        content_type += "; charset=utf-8"
    headers = {
        "Content-Type": content_type,
        "Vary": "Accept",
        "Cache-Control": _CACHEABLE if response.is_cacheable else "no-store",
        "X-Content-Type-Options": "nosniff",
        **response.headers,
    }
    reply = {
        "statusCode": int(response.status),
        "body": response.body,
        "isBase64Encoded": False,
    }
    if multi_value_headers:
        reply["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    else:
        reply["headers"] = headers
    return reply


def names(report: Report, accept: str, if_none_match: str) -> Response:
    """Return the response for the names of a range."""
    status = _status([report])
    if status in _NO_NAMES:
        return _no_names(status, report.as_dict())
    content_type = negotiate(accept, NAMES_TYPES)
    headers: dict[str, str] = {}
    is_cacheable = not report.failures and not report.request.fresh
    if is_cacheable:
        tag = _entity_tag(content_type, report.names)
        headers = {"ETag": tag}
        if _matches(tag, if_none_match):
            return Response(HTTPStatus.NOT_MODIFIED, content_type, "", headers, is_cacheable)
    body = _lines(report.names) if content_type == TEXT else _json(report.as_dict())
    return Response(HTTPStatus.OK, content_type, body, headers, is_cacheable)


def race(
    reports: Sequence[Report], query: Query, accept: str, root: str = "", hint: str = ""
) -> Response:
    """Return the response for a race.

    Args:
        reports: One for each strategy.
        query: The caller's query, which the page repeats.
        accept: The Accept header.
        root: The relative URL of the API's root.
        hint: The hint in the page's form.
    """
    status = _status(reports)
    content_type = negotiate(accept, RACE_TYPES)
    if content_type == HTML:
        from pokemon_names.views import pages  # noqa: PLC0415  only browsers need it

        page = pages.race(query, _NO_NAMES.get(status, ""), reports, root, hint)
        return Response(status, HTML, page, pages.HEADERS)
    if status in _NO_NAMES:
        return _no_names(status, race_report(reports))
    if content_type == TEXT:
        from pokemon_names.views import words  # noqa: PLC0415  only people need it

        return Response(HTTPStatus.OK, TEXT, _lines(words.race_lines(reports)))
    return Response(HTTPStatus.OK, JSON, _json(race_report(reports)))


def race_picture(reports: Sequence[Report]) -> Response:
    """Return the response for the picture of a race."""
    from pokemon_names.views import pages  # noqa: PLC0415  only browsers need it

    status = _status(reports)
    if status in _NO_NAMES:
        return _no_names(status, race_report(reports))
    return Response(HTTPStatus.OK, SVG, pages.race_picture(reports), pages.PICTURE_HEADERS)


def bad_request(error: InvalidRequest) -> Response:
    """Return the response for a bad request."""
    fields = error.as_dict()
    if isinstance(error, UnknownPath):
        return _problem(HTTPStatus.NOT_FOUND, fields)
    if isinstance(error, WrongMethod):
        return _problem(HTTPStatus.METHOD_NOT_ALLOWED, fields, {"Allow": error.allowed})
    return _problem(HTTPStatus.BAD_REQUEST, fields)


def bad_request_page(
    error: InvalidRequest, query: Query, root: str, hint: str, *, is_race: bool
) -> Response:
    """Return the page for a bad request: what is wrong, and the form to correct it."""
    from pokemon_names.views import pages  # noqa: PLC0415  only browsers need it

    if is_race:
        page = pages.race(query, str(error), [], root, hint)
    else:
        page = pages.bad_names_request(query, str(error), root, hint)
    return Response(HTTPStatus.BAD_REQUEST, HTML, page, pages.HEADERS)


def description() -> Response:
    """Return the documentation for programs, in OpenAPI."""
    text = _DESCRIPTION.read_text(encoding="utf-8")
    return Response(HTTPStatus.OK, "application/yaml", text, is_cacheable=True)


def documentation(url_path: str) -> Response:
    """Return the documentation for people. Its links are relative to `url_path`."""
    from pokemon_names.views import pages  # noqa: PLC0415  only browsers need it

    body = pages.documentation(url_path)
    return Response(HTTPStatus.OK, HTML, body, pages.HEADERS, is_cacheable=True)


def negotiate(accept: str, offered: Sequence[str]) -> str:
    """Return the content type that an Accept header ranks highest; the first one wins a tie."""
    ranks: dict[str, float] = {}
    for media_range in accept.lower().split(","):
        quality = _QUALITY.search(media_range)
        name = media_range.partition(";")[0].strip()
        ranks[name] = 1.0
        if quality:
            ranks[name] = float(quality[1])
    return max(offered, key=lambda content_type: _rank(content_type, ranks))


def _rank(content_type: str, ranks: Mapping[str, float]) -> float:
    """Return the rank from the most specific media range (RFC 9110, 12.5.1)."""
    main_type = content_type.partition("/")[0]
    for media_range in (content_type, f"{main_type}/*", "*/*"):
        if media_range in ranks:
            return ranks[media_range]
    return 0.0


def _status(reports: Sequence[Report]) -> HTTPStatus:
    """Return OK if there is at least one name, otherwise the status that says why there is none."""
    reasons: set[str] = set()
    for report in reports:
        if report.names:
            return HTTPStatus.OK
        reasons.update(failure.reason for failure in report.failures)
    if reasons == {"not_found"}:
        return HTTPStatus.NOT_FOUND
    if reasons <= _LATE_REASONS:
        return HTTPStatus.GATEWAY_TIMEOUT
    return HTTPStatus.BAD_GATEWAY


def _no_names(status: HTTPStatus, fields: Mapping[str, Any]) -> Response:
    """Return the error response for a report or a race without any names."""
    return _problem(status, {"detail": _NO_NAMES[status], **fields})


def _problem(
    status: HTTPStatus, fields: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """Return an error response in the format of RFC 9457."""
    body = {"type": "about:blank", "title": status.phrase, "status": status, **fields}
    return Response(status, PROBLEM, _json(body), headers or {})


def _json(fields: Mapping[str, Any]) -> str:
    """Return the JSON as one line, so that a terminal's prompt does not follow it."""
    return f"{json.dumps(fields)}\n"


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def _entity_tag(content_type: str, names: Sequence[str]) -> str:
    """Return an entity tag. It is weak, because reports with the same names differ in timing."""
    content = "/".join([content_type, *names])
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f'W/"{digest[:16]}"'


def _matches(tag: str, if_none_match: str) -> bool:
    """Whether the caller already has the response. Tags match weakly (RFC 9110, 13.1.2)."""
    given = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return tag.removeprefix("W/") in given or if_none_match.strip() == "*"
