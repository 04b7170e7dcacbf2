"""Why an attempt brought no name: whatever the network, PokeAPI or a decoder may do, as one of seven kinds.

    what came                                  reason        kind           requests
    no answer in time                          timeout       service        1
    429, and 5xx but 501 and 505               bad_status    service        1
    a body that broke off                      bad_body      service        1
    no connection, or a stream that was reset  unreachable   service        1
    the end of a connection of many requests   unreachable   connection     1
    a request that was not processed           unreachable   unprocessed    0
    a stream that was refused                  unreachable   refused        3
    a whole body that cannot be read           bad_body      unreadable     1
    a body too large                           bad_body      final          1
    404                                        not_found     final          1
    any other status but 2xx                   bad_status    final          1
    no TLS, or a certificate not accepted      unreachable   hopeless       1

The last column is what the report counts: pyreqwest itself resends a refused request twice. A fault is text: an
exception kept in its place would keep its traceback, and that the whole body.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

import httpx
import msgspec

from pokemon_names.client import unzipped
from pokemon_names.errors import (
    BodyTooLargeError,
    BrokenBodyError,
    NotProcessedError,
    RefusedError,
    SharedConnectionError,
    TLSError,
)
from pokemon_names.outcome import Reason

Kind = Literal["service", "connection", "unprocessed", "refused", "unreadable", "final", "hopeless"]

_NEVER_PASS = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})
_MAX_DETAIL = 200
_SENT_UNTIL_REFUSED = 3

# The first that an error is an instance of.
_ERRORS: dict[type[httpx.HTTPError], tuple[Kind, Reason, int]] = {
    httpx.TimeoutException: ("service", "timeout", 1),
    TLSError: ("hopeless", "unreachable", 1),
    SharedConnectionError: ("connection", "unreachable", 1),
    RefusedError: ("refused", "unreachable", _SENT_UNTIL_REFUSED),
    NotProcessedError: ("unprocessed", "unreachable", 0),
    httpx.TransportError: ("service", "unreachable", 1),
    BrokenBodyError: ("service", "bad_body", 1),
    BodyTooLargeError: ("final", "bad_body", 1),
    httpx.HTTPError: ("unreadable", "bad_body", 1),
}

_REMEDIES = {
    "UnknownIssuer": "name a file with its authority in SSL_CERT_FILE",
    "not valid for name": "correct the host in POKEAPI_URL",
    "expired": "the server needs a new one",
    "InvalidContentType": "the server does not speak TLS: correct POKEAPI_URL",
}


class Fault(msgspec.Struct, frozen=True):
    """Why an attempt brought no name, and how many HTTP requests it was.

    `retry_after` is in seconds, None where PokeAPI does not say.
    """

    kind: Kind
    reason: Reason
    detail: str
    status: int | None = None
    retry_after: float | None = None
    requests: int = 1

    def __str__(self) -> str:
        return self.detail if self.status is None else f"{self.status} {self.detail}"


def of_error(error: httpx.HTTPError) -> Fault:
    """Return the fault that a client's error is."""
    kind, reason, requests = next(what for type_, what in _ERRORS.items() if isinstance(error, type_))
    detail = _with_remedy(str(error)) if kind == "hopeless" else str(error)
    return Fault(kind, reason, detail[:_MAX_DETAIL], requests=requests)


def _with_remedy(detail: str) -> str:
    """Return what is wrong with a certificate, without the figures, and what to do about it."""
    remedies = [remedy for said, remedy in _REMEDIES.items() if said in detail]
    return "; ".join([detail.partition("; ")[0].partition(": verification time")[0], *remedies])


def of_status(response: httpx.Response) -> Fault:
    """Return the fault that a response other than 2xx is, with what its body says."""
    status = response.status_code
    detail = _text(response)[:_MAX_DETAIL] or response.reason_phrase
    if status == HTTPStatus.NOT_FOUND:
        return Fault("final", "not_found", detail, status)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (500 <= status < 600 and status not in _NEVER_PASS):  # noqa: PLR2004
        return Fault("service", "bad_status", detail, status, _retry_after(response))
    return Fault("final", "bad_status", detail, status)


def _text(response: httpx.Response) -> str:
    try:
        return unzipped(response).decode(errors="replace").strip()
    except httpx.DecodingError:
        return ""


def _retry_after(response: httpx.Response) -> float | None:
    """Read the header, which gives seconds or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
