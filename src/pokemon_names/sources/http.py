"""HTTP requests, from API Gateway (HTTP and REST APIs), Function URLs and ALBs.

GET /pokemon?range=…      the names of a range
GET /pokemon/{number}     the name of one Pokémon
GET /race?range=…         a race: every strategy fetches the same range, one after another, and is
                          compared with `sync`; strategies=gather,sync selects some of them
GET /race.svg?range=…     a race as a picture
GET /                     the documentation for people
GET /openapi.yaml         the documentation for programs

HEAD returns the same as GET, without the body. A stage or a base path may precede each path.

responses.py makes the responses. These pages show the shapes of the events:
https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html
https://docs.aws.amazon.com/lambda/latest/dg/services-alb.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, unquote_plus

import msgspec

from pokemon_names.model import (
    DEFAULT_RACE_RANGE,
    STRATEGIES,
    InvalidRequest,
    Request,
    escape_surrogates,
)
from pokemon_names.ranges import EXAMPLE
from pokemon_names.report import Outcome
from pokemon_names.settings import Settings
from pokemon_names.sources import responses
from pokemon_names.sources.base import (
    MAX_REPLY_BYTES,
    Event,
    Invocation,
    Job,
    Reply,
    check_size,
    reports_of,
)
from pokemon_names.sources.responses import Response, UnknownPath, WrongMethod

_PATHS = "/, /pokemon, /pokemon/{number}, /race, /race.svg, /openapi.yaml"
_ROUTES = {"pokemon", "race", "race.svg", "openapi.yaml"}
_METHODS = ("GET", "HEAD")
# The strategies that fetch one number after another, with their shares of the time of a race. Each
# other strategy has one share.
_SLOW = {"sequential": 2, "sync": 2}
CALLER_TIMEOUT = 29.0  # seconds that a REST API waits; an HTTP API waits for 30
_MAX_ALB_BYTES = 1_000_000  # an ALB's limit for a reply
_TRACE_ID = re.compile(r"Root=[0-9a-f-]{35}")


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, whatever the shape of its event.

    `route` is the path as segments, without the stage or base path, and empty for the root.
    `url_path` is the path in the caller's URL.
    """

    method: str
    route: list[str]
    url_path: str
    query: dict[str, str]
    headers: dict[str, str]
    correlation_id: str | None
    max_reply_bytes: int
    takes_multi_value_headers: bool

    @property
    def root(self) -> str:
        """The relative URL of the API's root: empty, or as many `../` as the path is below it."""
        depth = len(self.route) - 1 + self.url_path.endswith("/")
        return "../" * depth

    @property
    def accept(self) -> str:
        """The Accept header, empty if there is none."""
        return self.headers.get("accept", "")

    @property
    def is_race(self) -> bool:
        """Whether the request is for a race."""
        return self.route in (["race"], ["race.svg"])


def read(event: Event, settings: Settings) -> Invocation | None:
    """Return the invocation for an HTTP request, or None for any other event.

    It has one job, or one for each strategy of a race, or none if the response is documentation.
    """
    request = _to_request(event)
    if request is None:
        return None
    try:
        jobs = _jobs(request, settings)
    except InvalidRequest as error:
        jobs = [Job(error)]
    return Invocation(
        jobs=jobs,
        reply=partial(_reply, request, settings),
        correlation_id=request.correlation_id,
        caller_timeout=CALLER_TIMEOUT,
        logs_reply=False,  # it is documentation
    )


def _jobs(request: HttpRequest, settings: Settings) -> list[Job]:
    fixed: dict[str, Any] = {}
    match request.route:
        case [] | ["openapi.yaml"] | ["pokemon"] | ["race"]:
            pass
        case ["pokemon", number]:
            if not number.isdecimal():
                raise InvalidRequest("number", number, "a number such as 151")
            fixed = {"range": number}
        case ["race.svg"]:
            fixed = {"trace": False}
        case _:
            raise UnknownPath("path", "…", _PATHS)  # the path may contain a secret
    if request.method not in _METHODS:
        raise WrongMethod("method", request.method, ", ".join(_METHODS))
    if request.route in ([], ["openapi.yaml"]):
        return []
    if request.is_race:
        return _race_jobs(request, fixed, settings)
    parsed = _parse(request, fixed, settings)
    _check_slow([parsed], settings)
    return [Job(parsed)]


def _race_jobs(request: HttpRequest, fixed: Mapping[str, Any], settings: Settings) -> list[Job]:
    """Return a job for each strategy in a race, all with the same range."""
    strategies = _racing(request.query)
    first = _parse(request, {"strategy": strategies[0], "fresh": True, **fixed}, settings)
    racing = [msgspec.structs.replace(first, strategy=strategy) for strategy in strategies]
    _check_slow(racing, settings)
    return [Job(one, shares=_SLOW.get(one.strategy, 1)) for one in racing]


def _racing(query: Mapping[str, str]) -> list[str]:
    """Return the strategies that race, in the order of STRATEGIES."""
    given = query.get("strategies", ",".join(STRATEGIES))
    wanted = {name.strip() for name in given.split(",")}
    if not wanted <= set(STRATEGIES):
        raise InvalidRequest("strategies", given, f"some of {', '.join(STRATEGIES)}")
    return [strategy for strategy in STRATEGIES if strategy in wanted]


def _parse(request: HttpRequest, fixed: Mapping[str, Any], settings: Settings) -> Request:
    """Parse the query, together with the fields that the path sets."""
    for name in fixed:
        if name in request.query:
            given = request.query[name]
            raise InvalidRequest(name, given, f"nothing, because /{request.route[0]} sets it")
    fields = {**request.query, **fixed}
    if request.is_race:
        fields.pop("strategies", None)
        fields.setdefault("range", DEFAULT_RACE_RANGE)
    return Request.parse(fields, settings.max_numbers)


def _check_slow(requests: Sequence[Request], settings: Settings) -> None:
    """Raise InvalidRequest if the slow strategies cannot fetch that many numbers in time.

    In a race, they share the time for which the caller waits.
    """
    slow = [request for request in requests if request.strategy in _SLOW]
    if not slow:
        return
    allowed_count = _max_slow(settings, len(slow))
    count = len(slow[0].numbers)
    if count > allowed_count:
        strategies = " and ".join(request.strategy for request in slow)
        allowed = (
            f"up to {allowed_count:,} numbers by URL with {strategies}; "
            f"gather and index take {settings.max_numbers:,}"
        )
        raise InvalidRequest("range", slow[0].range, allowed, f"{count:,} numbers")


def _max_slow(settings: Settings, count: int) -> int:
    """Return how many numbers that many slow strategies can fetch in time."""
    return max(1, min(settings.max_sequential_numbers // count, settings.max_numbers))


def _hint(request: HttpRequest, settings: Settings) -> str:
    """Return how many numbers the form of a page takes."""
    most = f"{settings.max_numbers:,}"
    if not request.is_race:
        return f"Up to {most} numbers, as in {EXAMPLE}."
    both = f"{_max_slow(settings, len(_SLOW)):,}"
    one = f"{_max_slow(settings, 1):,}"
    strategies = " and ".join(_SLOW)
    return f"Up to {both} numbers with {strategies}, {one} with one of them, {most} with neither."


def _reply(request: HttpRequest, settings: Settings, outcomes: Sequence[Outcome]) -> Reply:
    """Return the response in the shape that the caller expects."""
    to_reply = partial(responses.to_reply, multi_value_headers=request.takes_multi_value_headers)
    reply = to_reply(_respond(request, settings, outcomes))
    try:
        check_size(reply, request.max_reply_bytes)
    except InvalidRequest as error:
        reply = to_reply(_refuse(request, settings, error))
    if request.method == "HEAD":
        reply["body"] = ""
    return reply


def _respond(request: HttpRequest, settings: Settings, outcomes: Sequence[Outcome]) -> Response:
    match request.route, outcomes:
        case ["openapi.yaml"], []:
            return responses.description()
        case _, []:
            return responses.documentation(request.url_path)
        case _, [Outcome(error=InvalidRequest() as error)]:
            return _refuse(request, settings, error)
    reports = reports_of(outcomes)
    accept = request.accept
    match request.route:
        case ["race"]:
            hint = _hint(request, settings)
            return responses.race(reports, request.query, accept, request.root, hint)
        case ["race.svg"]:
            return responses.race_picture(reports)
    return responses.names(reports[0], accept, request.headers.get("if-none-match", ""))


def _refuse(request: HttpRequest, settings: Settings, error: InvalidRequest) -> Response:
    """Return a problem or, for browsers, a page if its form can help."""
    response = responses.bad_request(error)
    content_type = responses.negotiate(request.accept, responses.RACE_TYPES)
    if response.status != HTTPStatus.BAD_REQUEST or content_type != responses.HTML:
        return response
    hint = _hint(request, settings)
    return responses.bad_request_page(
        error, request.query, request.root, hint, is_race=request.is_race
    )


def _to_request(event: Event) -> HttpRequest | None:
    """Return the HTTP request in an event, or None if there is none.

    HTTP APIs and Function URLs send payload format 2.0, REST APIs format 1.0. An ALB's event is
    like a REST API's, except that the query is still URL-encoded. An ALB that sends multi-value
    headers accepts only such headers in the reply.
    """
    context = event["requestContext"]
    if not isinstance(context, dict) or event.get("type") == "REQUEST":  # for an authorizer
        return None
    query = _joined(event, "queryStringParameters", "multiValueQueryStringParameters")
    is_from_alb = "elb" in context
    if "http" in context:
        method, path = _text(context["http"], "method"), _text(event, "rawPath")
    elif is_from_alb or "httpMethod" in event:
        method, path = _text(event, "httpMethod"), _text(event, "path")
    else:
        return None
    if is_from_alb:
        query = {unquote_plus(name): unquote_plus(value) for name, value in query.items()}
    headers = _joined(event, "headers", "multiValueHeaders")
    headers = {name.lower(): value for name, value in headers.items()}
    return HttpRequest(
        method=method,
        route=_route(unquote(path), context),
        url_path=_text(context, "path") or path,  # unlike the path, it includes a REST API's stage
        query=query,
        headers=headers,
        correlation_id=_correlation_id(context, headers),
        max_reply_bytes=_MAX_ALB_BYTES if is_from_alb else MAX_REPLY_BYTES,
        takes_multi_value_headers=is_from_alb and "multiValueHeaders" in event,
    )


def _route(path: str, context: Mapping[str, Any]) -> list[str]:
    """Return the segments of the path, from the first one that is in _ROUTES.

    The root has none: it is `/`, the stage's path or, with a custom domain, a base path that ends
    with a slash. An unknown path has all of its segments.
    """
    segments = path.strip("/").split("/")
    for index, segment in enumerate(segments):
        if segment in _ROUTES:
            return segments[index:]
    stage = _text(context, "stage")
    if path in {"", "/", f"/{stage}", f"/{stage}/"}:
        return []
    has_custom_domain = _text(context, "domainPrefix") != _text(context, "apiId")
    if has_custom_domain and path.endswith("/"):
        return []
    return segments


def _correlation_id(context: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """Return the request id, or for an ALB the root of X-Amzn-Trace-Id, without any other text."""
    request_id = _text(context, "requestId")
    if request_id:
        return request_id
    trace_id = _TRACE_ID.search(headers.get("x-amzn-trace-id", ""))
    return trace_id[0] if trace_id else None


def _joined(event: Event, name: str, multi_value_name: str) -> dict[str, str]:
    """Return each name's value. Repeated values are joined with commas, as in format 2.0."""
    joined = {}
    for key, value in _items(event.get(name)):
        if isinstance(value, str):
            joined[escape_surrogates(key)] = escape_surrogates(value)
    for key, values in _items(event.get(multi_value_name)):
        if isinstance(values, list):
            texts = [escape_surrogates(value) for value in values if isinstance(value, str)]
            joined[escape_surrogates(key)] = ",".join(texts)
    return joined


def _items(fields: Any) -> Iterable[tuple[str, Any]]:
    return fields.items() if isinstance(fields, dict) else ()


def _text(fields: Any, name: str) -> str:
    """Return a field if it is text, or else "". A direct call may hold anything."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return escape_surrogates(value) if isinstance(value, str) else ""
