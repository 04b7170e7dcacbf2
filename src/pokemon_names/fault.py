"""Why an attempt brought no name: whatever the network, PokeAPI or a decoder may do, as one of three kinds.

    what came                                  reason        kind
    no connection, or one that broke off       unreachable   service
    no answer in time                          timeout       service
    429, and 5xx but 501 and 505               bad_status    service
    a body that broke off                      bad_body      service
    a whole body that cannot be read           bad_body      unreadable
    a body too large                           bad_body      final
    404                                        not_found     final
    any other status but 2xx                   bad_status    final

A fault is text. An exception kept in its place would keep its traceback, and that the whole body.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

import httpx
import msgspec

from pokemon_names.client import BodyTooLargeError, BrokenBodyError, cause, unzipped
from pokemon_names.outcome import Reason

Kind = Literal["service", "unreadable", "final"]

_NEVER_PASS = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})
_MAX_DETAIL = 200


class Fault(msgspec.Struct, frozen=True):
    """Why an attempt brought no name; `retry_after` is in seconds, None where PokeAPI does not say."""

    kind: Kind
    reason: Reason
    detail: str
    status: int | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.detail if self.status is None else f"{self.status} {self.detail}"


def of_error(error: httpx.HTTPError) -> Fault:
    """Return the fault that a client's error is."""
    detail = cause(error)[:_MAX_DETAIL]
    match error:
        case httpx.TimeoutException():
            return Fault("service", "timeout", detail)
        case httpx.TransportError():
            return Fault("service", "unreachable", detail)
        case BrokenBodyError():
            return Fault("service", "bad_body", detail)
        case BodyTooLargeError():
            return Fault("final", "bad_body", detail)
        case _:
            return Fault("unreadable", "bad_body", detail)


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
