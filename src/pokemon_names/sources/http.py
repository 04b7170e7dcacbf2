"""HTTP, as API Gateway's HTTP and REST API, Function URLs and ALBs hand it to a function.

GET /pokemon?range=…      the names of a range
GET /pokemon/{number}     the name of one Pokémon
GET /race?range=…         every strategy on the same range, one after another, or some of them:
                          strategies=gather,sync; and how many times faster than `sync` each was
GET /race.svg?range=…     the picture of a race
GET /                     all of this, described for people
GET /openapi.yaml         the same, for programs

HEAD is answered as GET is, without the body. A stage or a base path may stand before each path.

responses.py makes the replies. The shapes of the events:
https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html
https://docs.aws.amazon.com/lambda/latest/dg/services-alb.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self
from urllib.parse import unquote, unquote_plus

import msgspec

from pokemon_names.model import (
    DEFAULT_RACE_RANGE,
    STRATEGIES,
    InvalidRequest,
    Request,
    escape_surrogates,
)
from pokemon_names.sources import responses
from pokemon_names.sources.base import (
    MAX_REPLY_BYTES,
    Deployment,
    Event,
    Job,
    JobResult,
    Reply,
    Source,
    check_size,
    reports_of,
)
from pokemon_names.sources.responses import Response, UnknownPath, WrongMethod

_PATHS = "/, /pokemon, /pokemon/{number}, /race, /race.svg, /openapi.yaml"
_ROUTES = {"pokemon", "race", "race.svg", "openapi.yaml"}
_METHODS = ("GET", "HEAD")
# The strategies that fetch one number after another, and their shares of a race's time. The others
# have one share each.
_SLOW = {"sequential": 2, "sync": 2}
_MAX_ALB_BYTES = 1_000_000  # of a reply
_ANYBODY = {"sourceIp", "userAgent"}  # of a REST API's identity, what any caller has
_CALLER_HEADERS = ("authorization", "x-api-key", "x-amzn-oidc-", "x-amzn-mtls-")
_TRACE_ID = re.compile(r"Root=[0-9a-f-]{35}")


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, whichever shape it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    context: dict[str, Any]
    takes_multi_value_headers: bool

    @property
    def route(self) -> list[str]:
        """The segments of the path from the first of _ROUTES on, and none for the root.

        What is before them is a stage or a base path. The root is `/`, the stage, or where there is
        a custom domain, a base path with a slash at its end.
        """
        path = unquote(self.path)
        segments = path.strip("/").split("/")
        for index, segment in enumerate(segments):
            if segment in _ROUTES:
                return segments[index:]
        context = _texts(self.context)
        stage = context.get("stage", "")
        if path in {"", "/", f"/{stage}", f"/{stage}/"}:
            return []
        has_custom_domain = context.get("domainPrefix") != context.get("apiId")
        if has_custom_domain and path.endswith("/"):
            return []
        return segments

    @property
    def url_path(self) -> str:
        """The path in the caller's URL: that of a REST API's event lacks the stage."""
        return _texts(self.context).get("path", self.path)

    @property
    def accept(self) -> str:
        """What the caller accepts."""
        return self.headers.get("accept", "")

    @property
    def is_public(self) -> bool:
        """Whether nothing in the request says who sent it."""
        if self.context.get("authorizer") or self.context.get("authentication"):
            return False
        identity = self.context.get("identity")
        if not isinstance(identity, dict):
            identity = {}
        if any(identity[name] for name in identity.keys() - _ANYBODY):  # null where unknown
            return False
        return not any(name.startswith(_CALLER_HEADERS) for name in self.headers)


class Http(Source[HttpRequest]):
    """An HTTP request and its reply."""

    caller_timeout: ClassVar[float] = 29.0  # a REST API's; an HTTP API waits for 30 s
    logs_reply: ClassVar[bool] = False  # a page

    @classmethod
    def from_event(cls, event: Event, deployment: Deployment) -> Self | None:
        """Return the HTTP request of an event, None where it is no HTTP."""
        context = event["requestContext"]
        if not isinstance(context, dict) or event.get("type") == "REQUEST":  # an authorizer's
            return None
        if "http" in context:
            return cls(_from_http_api(event, context), deployment)
        if "elb" in context:
            return cls(_from_alb(event, context), deployment)
        if "httpMethod" in event:
            return cls(_from_rest_api(event, context), deployment)
        return None

    @property
    def correlation_id(self) -> str | None:
        """API Gateway's request id, or AWS's own part of X-Amzn-Trace-Id: callers may add to it."""
        request_id = _texts(self.event.context).get("requestId")
        if request_id:
            return request_id
        trace_id = _TRACE_ID.search(self.event.headers.get("x-amzn-trace-id", ""))
        return trace_id[0] if trace_id else None

    @property
    def is_race(self) -> bool:
        """Whether the strategies race."""
        return self.event.route in (["race"], ["race.svg"])

    def jobs(self) -> list[Job]:
        """Return one job, for a race one for each strategy, and none where nothing is fetched."""
        fixed: dict[str, Any] = {}
        match self.event.route:
            case [] | ["openapi.yaml"] | ["pokemon"] | ["race"]:
                pass
            case ["pokemon", number]:
                if not number.isdecimal():
                    raise InvalidRequest("number", number, "a number such as 151")
                fixed = {"range": number}
            case ["race.svg"]:
                fixed = {"trace": False}
            case _:
                raise UnknownPath("path", "…", _PATHS)  # there may be a secret in it
        if self.event.method not in _METHODS:
            raise WrongMethod("method", self.event.method, ", ".join(_METHODS))
        if self.event.route in ([], ["openapi.yaml"]):
            return []
        if self.is_race:
            return self._race_jobs(fixed)
        request = self._parse(fixed)
        self._check_slow([request])
        return [Job(request)]

    def reply(self, results: Sequence[JobResult]) -> Reply:
        """Return the response in the shape that the caller takes."""
        response = self._respond(results)
        try:
            check_size(self._shaped(response), self._max_bytes)
        except InvalidRequest as error:
            response = responses.refusal(error)
        if self.event.method == "HEAD":
            response = msgspec.structs.replace(response, body="")
        return self._shaped(response)

    @property
    def _max_bytes(self) -> int:
        return _MAX_ALB_BYTES if "elb" in self.event.context else MAX_REPLY_BYTES

    def _shaped(self, response: Response) -> Reply:
        return responses.to_reply(
            response,
            is_public=self.event.is_public,
            multi_value_headers=self.event.takes_multi_value_headers,
        )

    def _respond(self, results: Sequence[JobResult]) -> Response:
        if not results:
            if self.event.route == ["openapi.yaml"]:
                return responses.description()
            return responses.documentation(self.event.url_path)
        error = results[0].error
        if isinstance(error, InvalidRequest):
            return self._refuse(error)
        reports = reports_of(results)
        accept = self.event.accept
        match self.event.route:
            case ["race"]:
                return responses.race(reports, self.event.query, accept, self.event.url_path)
            case ["race.svg"]:
                return responses.race_picture(reports)
        if_none_match = self.event.headers.get("if-none-match", "")
        return responses.names(reports[0], accept, if_none_match)

    def _refuse(self, error: InvalidRequest) -> Response:
        event = self.event
        if event.route == ["race"]:
            return responses.race_refusal(error, event.query, event.accept, event.url_path)
        return responses.refusal(error)

    def _race_jobs(self, fixed: Mapping[str, Any]) -> list[Job]:
        """Return a job for each strategy that races; all have the same range."""
        strategies = self._racing()
        request = self._parse({"strategy": strategies[0], "fresh": True, **fixed})
        requests = [msgspec.structs.replace(request, strategy=name) for name in strategies]
        self._check_slow(requests)
        return [Job(request, shares=_SLOW.get(request.strategy, 1)) for request in requests]

    def _racing(self) -> list[str]:
        """Return the strategies that race, in the order of the tutorial."""
        given = self.event.query.get("strategies", ",".join(STRATEGIES))
        wanted = {name.strip() for name in given.split(",")}
        if not wanted <= set(STRATEGIES):
            raise InvalidRequest("strategies", given, f"some of {', '.join(STRATEGIES)}")
        return [strategy for strategy in STRATEGIES if strategy in wanted]

    def _parse(self, fixed: Mapping[str, Any]) -> Request:
        """Return the request of the query, but for the fields that the path sets."""
        query = self.event.query
        route = self.event.route[0]
        for name in fixed:
            if name in query:
                raise InvalidRequest(name, query[name], f"nothing, /{route} sets it")
        fields = {**query, **fixed}
        if self.is_race:
            fields.pop("strategies", None)
            fields.setdefault("range", DEFAULT_RACE_RANGE)
        return Request.parse(fields, self.deployment.max_numbers)

    def _check_slow(self, requests: Sequence[Request]) -> None:
        """Raise InvalidRequest for more numbers than the slow strategies can fetch in time.

        They share the time that the caller waits.
        """
        slow = [request for request in requests if request.strategy in _SLOW]
        if not slow:
            return
        allowed_count = max(1, self.deployment.max_sequential_numbers // len(slow))
        count = len(slow[0].numbers)
        if count > allowed_count:
            strategies = " and ".join(request.strategy for request in slow)
            allowed = (
                f"up to {allowed_count:,} numbers by URL with {strategies}; "
                f"gather and index take {self.deployment.max_numbers:,}"
            )
            raise InvalidRequest("range", slow[0].range, allowed, f"{count:,} numbers")


def _from_http_api(event: Event, context: dict[str, Any]) -> HttpRequest:
    """Read payload format 2.0, of an HTTP API or a Function URL."""
    fields = _texts(event)
    http_fields = _texts(context["http"])
    return HttpRequest(
        method=http_fields.get("method", ""),
        path=fields.get("rawPath", ""),
        query=_query(event),
        headers=_headers(event),
        context=context,
        takes_multi_value_headers=False,
    )


def _from_rest_api(event: Event, context: dict[str, Any]) -> HttpRequest:
    """Read payload format 1.0, of a REST API."""
    fields = _texts(event)
    return HttpRequest(
        method=fields.get("httpMethod", ""),
        path=fields.get("path", ""),
        query=_query(event),
        headers=_headers(event),
        context=context,
        takes_multi_value_headers=False,
    )


def _from_alb(event: Event, context: dict[str, Any]) -> HttpRequest:
    """Read an ALB's event: as a REST API's, but its query is not URL-decoded.

    An ALB that sends multi-value headers takes no others in the reply.
    """
    request = _from_rest_api(event, context)
    query = {}
    for name, value in request.query.items():
        query[unquote_plus(name)] = unquote_plus(value)
    return msgspec.structs.replace(
        request,
        query=query,
        takes_multi_value_headers="multiValueHeaders" in event,
    )


def _query(event: Event) -> dict[str, str]:
    return _joined(event, "queryStringParameters", "multiValueQueryStringParameters")


def _headers(event: Event) -> dict[str, str]:
    headers = _joined(event, "headers", "multiValueHeaders")
    return {name.lower(): value for name, value in headers.items()}


def _joined(event: Event, name: str, multi_value_name: str) -> dict[str, str]:
    """Return each name's value; those of a repeated name are joined by commas, as in format 2.0."""
    joined = _texts(event.get(name))
    multi_values = event.get(multi_value_name)
    if isinstance(multi_values, dict):
        for key, values in multi_values.items():
            if isinstance(values, list):
                texts = [escape_surrogates(value) for value in values if isinstance(value, str)]
                joined[escape_surrogates(key)] = ",".join(texts)
    return joined


def _texts(fields: Any) -> dict[str, str]:
    """Return the fields that are text: a client sends no others, whatever an event holds."""
    if not isinstance(fields, dict):
        return {}
    texts = {}
    for name, value in fields.items():
        if isinstance(value, str):
            texts[escape_surrogates(name)] = escape_surrogates(value)
    return texts
