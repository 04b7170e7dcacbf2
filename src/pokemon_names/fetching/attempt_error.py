"""Why an attempt brought no name: whatever network, PokeAPI or decoder do, as one of seven kinds.

    what came                                  reason        kind           requests
    no response in time                        timeout       service        1
    429, and 5xx but 501 and 505               bad_status    service        1
    a body that broke off                      bad_body      service        1
    no connection, or a stream that was reset  unreachable   service        1
    the end of a connection of many requests   unreachable   disconnected   1
    a request that was not processed           unreachable   unprocessed    0
    a stream that was refused                  unreachable   refused        3
    a whole body that cannot be read           bad_body      unreadable     1
    a body too large                           bad_body      permanent      1
    404                                        not_found     permanent      1
    any other status but 2xx                   bad_status    permanent      1
    no TLS, or a certificate not accepted      unreachable   fatal          1

The last column is what the report counts. pyreqwest itself retries a refused request twice, and
does not say so where a retry brings the response.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

import httpx
import msgspec

from pokemon_names.fetching.compression import decompress
from pokemon_names.fetching.errors import (
    BodyTooLargeError,
    BrokenBodyError,
    NotProcessedError,
    RefusedError,
    SharedConnectionError,
    TLSError,
)
from pokemon_names.model import Reason

Kind = Literal[
    "service", "disconnected", "unprocessed", "refused", "unreadable", "permanent", "fatal"
]

_NOT_RETRIED = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})
_MAX_DETAIL = 200
_REQUESTS_IF_REFUSED = 3

# The first one that an error is an instance of decides.
_KINDS: dict[type[httpx.HTTPError], tuple[Kind, Reason, int]] = {
    httpx.TimeoutException: ("service", "timeout", 1),
    TLSError: ("fatal", "unreachable", 1),
    SharedConnectionError: ("disconnected", "unreachable", 1),
    RefusedError: ("refused", "unreachable", _REQUESTS_IF_REFUSED),
    NotProcessedError: ("unprocessed", "unreachable", 0),
    httpx.TransportError: ("service", "unreachable", 1),
    BrokenBodyError: ("service", "bad_body", 1),
    BodyTooLargeError: ("permanent", "bad_body", 1),
    httpx.HTTPError: ("unreadable", "bad_body", 1),
}

_REMEDIES = {
    "UnknownIssuer": "name a file with its authority in SSL_CERT_FILE",
    "not valid for name": "correct the host in POKEAPI_URL",
    "expired": "the server needs a new one",
    "InvalidContentType": "the server does not speak TLS: correct POKEAPI_URL",
}


class AttemptError(msgspec.Struct, frozen=True):
    """Why an attempt brought no name, and how many HTTP requests it was.

    `retry_after` is in seconds, None where PokeAPI does not say. It is a value: an exception that
    is stored holds its traceback, and that the whole body.
    """

    kind: Kind
    reason: Reason
    detail: str
    status: int | None = None
    retry_after: float | None = None
    requests: int = 1

    def __str__(self) -> str:
        if self.status is None:
            return self.detail
        return f"{self.status} {self.detail}"


def from_exception(error: httpx.HTTPError) -> AttemptError:
    """Return what a client's exception means."""
    meanings = (meaning for type_, meaning in _KINDS.items() if isinstance(error, type_))
    kind, reason, requests = next(meanings)
    detail = str(error)
    if kind == "fatal":
        detail = _with_remedy(detail)
    return AttemptError(kind, reason, detail[:_MAX_DETAIL], requests=requests)


def from_response(response: httpx.Response) -> AttemptError:
    """Return what a response other than 2xx means, with what its body says."""
    status = response.status_code
    detail = _text(response)[:_MAX_DETAIL] or response.reason_phrase
    if status == HTTPStatus.NOT_FOUND:
        return AttemptError("permanent", "not_found", detail, status)
    is_server_error = response.is_server_error and status not in _NOT_RETRIED
    if is_server_error or status == HTTPStatus.TOO_MANY_REQUESTS:
        return AttemptError("service", "bad_status", detail, status, _retry_after(response))
    return AttemptError("permanent", "bad_status", detail, status)


def _with_remedy(detail: str) -> str:
    """Return what is wrong with a certificate, without its dates, and what to do about it."""
    text = detail.partition("; ")[0].partition(": verification time")[0]
    for sign, remedy in _REMEDIES.items():
        if sign in detail:
            text += f"; {remedy}"
    return text


def _text(response: httpx.Response) -> str:
    try:
        return decompress(response).decode(errors="replace").strip()
    except httpx.DecodingError:
        return ""


def _retry_after(response: httpx.Response) -> float | None:
    """Return the header's seconds, which it gives as such or as a date (RFC 9110, 10.2.3)."""
    value = response.headers["Retry-After"]
    if value.isdecimal():
        return float(value)
    try:
        delay = parsedate_to_datetime(value) - datetime.now(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, delay.total_seconds())
