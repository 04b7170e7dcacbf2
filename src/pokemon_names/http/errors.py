"""What can go wrong with a request, sorted into kinds.

pyreqwest's errors are turned into httpx's exceptions. Each of these has a kind, and so does each
status. policy.py says what each kind means.

    httpx's exception           kind          reason       what happened
    TimeoutException            service       timeout      no connection, response or body in time
    NetworkError                service       unreachable  no connection, or it ended
    ├── UnusableError           fatal         unreachable  no connection can work, now or later
    ├── EndedError              disconnected  unreachable  it ended, with every request on it
    ├── UnprocessedError        unprocessed   unreachable  the server never processed the request
    └── RefusedError            refused       unreachable  the server refused this one request
    RemoteProtocolError         service       bad_body     the body broke off
    DecodingError, any other    unreadable    bad_body     the response or its body makes no sense
    └── TooLargeError           final         bad_body     the body is larger than allowed

    status                      kind          reason
    408, 425, 429               service       bad_status
    5xx except 501 and 505      service       bad_status
    404                         final         not_found
    any other except 2xx        final         bad_status
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

import httpx
import msgspec
from pyreqwest.exceptions import DecodeError, DetailedPyreqwestError, RequestTimeoutError

Kind = Literal["service", "disconnected", "unprocessed", "refused", "unreadable", "final", "fatal"]
Reason = Literal["not_found", "bad_status", "bad_body", "timeout", "unreachable"]

HANDSHAKE_ENDED = "tls handshake eof"

_MAX_DETAIL = 200


class UnusableError(httpx.NetworkError):
    """No connection can work, because of a certificate, TLS or a proxy's password."""


class EndedError(httpx.NetworkError):
    """A connection that requests shared has ended, and every request on it failed."""


class UnprocessedError(httpx.NetworkError):
    """The server never processed the request: it never arrived, or the server says so."""


class RefusedError(httpx.NetworkError):
    """The server refused the request, and also the two retries that pyreqwest sent."""


class TooLargeError(httpx.DecodingError):
    """The body exceeds the client's limit, compressed or decompressed."""


class GetError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a GET returned no body.

    It is a value, because a stored exception would keep its traceback, and thereby the body, in
    memory. `retry_after` is in seconds, or None if the server named no time. `requests` is how many
    attempts the request counts as: none if the server never processed it, and three if the server
    refused it, because pyreqwest sends two retries of its own.
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


# The first class in an exception's method resolution order that is in this table decides.
_KINDS: dict[type, tuple[Kind, Reason]] = {
    httpx.TimeoutException: ("service", "timeout"),
    httpx.NetworkError: ("service", "unreachable"),
    UnusableError: ("fatal", "unreachable"),
    EndedError: ("disconnected", "unreachable"),
    UnprocessedError: ("unprocessed", "unreachable"),
    RefusedError: ("refused", "unreachable"),
    httpx.RemoteProtocolError: ("service", "bad_body"),
    httpx.RequestError: ("unreadable", "bad_body"),
    TooLargeError: ("final", "bad_body"),
}
_REQUESTS: dict[Kind, int] = {"unprocessed": 0, "refused": 3}
_RETRIED = {408, 425, 429}
_NOT_RETRIED = {501, 505}

_CONNECTING = "client error (Connect)"
_NO_PONG = "keep-alive timed out"
_TUNNEL = "tunnel error: "
_PROXY = "the proxy in HTTPS_PROXY or ALL_PROXY failed: "
_NO_CLOSE_NOTIFY = "without sending TLS close_notify"

# pyreqwest has no types for these errors: only the innermost message distinguishes them.
_SIGNS: dict[str, type[httpx.RequestError]] = {
    # the connection that the request was waiting for could not be opened
    "request was canceled": UnprocessedError,
    # the connection ended before it was the request's turn
    "dropped the dispatch task": UnprocessedError,
    # GOAWAY, for streams after the last one that was processed
    "connection error received": UnprocessedError,
    "requires HTTP/1.1": UnprocessedError,
    "refused stream": RefusedError,
    "stream error": httpx.ReadError,
}

# The messages that mean that no connection can work, and the remedies.
_REMEDIES = {
    "proxy authorization required": "put a user name and a password into its URL",
    "CaUsedAsEndEntity": "the server needs a certificate other than the authority's own",
    "not valid for any names": "the server needs a certificate with a subjectAltName",
    "UnknownIssuer": "set SSL_CERT_FILE to a file with the issuer's certificate",
    "not valid for name": "correct the host in POKEAPI_URL",
    "expired": "the server needs a new one",
    "invalid peer certificate": "the server needs a different one",
    "InvalidContentType": "the server does not speak TLS: correct POKEAPI_URL",
    "UnrecognisedName": "the server does not know this host: correct POKEAPI_URL",
    "ProtocolVersion": "the server must speak TLS 1.2 or 1.3",
    "peer is incompatible": "the server must speak TLS 1.2 or 1.3 with forward secrecy",
    "InsufficientSecurity": "the server must offer a cipher with forward secrecy",
    "HandshakeFailure": "the server must offer a cipher with forward secrecy, and must not ask for"
    " a client certificate",
    "CertificateRequired": "the server must not ask for a client certificate",
    "BadCertificate": "the server must not ask for a client certificate",
    "UnknownCA": "the server must not ask for a client certificate",
    "AccessDenied": "the server must not ask for a client certificate",
    HANDSHAKE_ENDED: "the server must speak TLS 1.2 or 1.3 with forward secrecy, and must not ask"
    " for a client certificate",
}
# With TLS 1.3, a client learns that its certificate is missing only after the handshake.
_AFTER_HANDSHAKE = "CertificateRequired"


def from_pyreqwest(  # noqa: C901, PLR0911  one branch for each case
    error: Exception, *, has_begun: bool, is_shared: bool, is_new: bool
) -> httpx.RequestError:
    """Return an error of a pyreqwest client as an httpx exception.

    Args:
        error: The exception that the client raised.
        has_begun: Whether the response had begun.
        is_shared: Whether all requests share one connection.
        is_new: Whether there has been no response on the connection yet.
    """
    if not isinstance(error, DetailedPyreqwestError):
        return httpx.DecodingError(str(error))
    causes = _causes(error)
    message = causes[-1]
    is_connecting = _CONNECTING in causes
    if _NO_PONG in causes:
        return EndedError(_NO_PONG)
    if isinstance(error, RequestTimeoutError):
        return httpx.ConnectTimeout(message) if is_connecting else httpx.ReadTimeout(message)
    if "stream error detected" in message:  # detected by this side: the response violates HTTP/2
        return httpx.DecodingError(message)
    if has_begun:
        if is_shared and "stream error" not in message:
            return EndedError(message)
        return httpx.RemoteProtocolError(message)
    if isinstance(error, DecodeError):
        return httpx.DecodingError(message)
    if is_connecting or (is_new and _AFTER_HANDSHAKE in message):
        return _no_connection(message)
    for sign, error_type in _SIGNS.items():
        if sign in message:
            return error_type(message)
    return EndedError(message) if is_shared else httpx.ReadError(message)


def is_unannounced_end(error: Exception) -> bool:
    """Whether a TLS connection ended without a close_notify alert."""
    return isinstance(error, DetailedPyreqwestError) and _NO_CLOSE_NOTIFY in _causes(error)[-1]


def unusable(message: str) -> UnusableError | None:
    """Return an error with a remedy if the message means that no connection can work."""
    for sign, remedy in _REMEDIES.items():
        if sign in message:
            # Leave out the time of the check, which differs from one request to the next.
            problem = message.partition("; ")[0].partition(": verification time")[0]
            advice = remedy
            if message.startswith(_PROXY):  # here the server is the proxy
                advice = remedy.replace("the server", "it").replace("POKEAPI_URL", "its URL")
            return UnusableError(f"{problem}; {advice}")
    return None


def from_exception(error: httpx.RequestError) -> GetError:
    """Return the error for an httpx exception."""
    kind, reason = next(_KINDS[type_] for type_ in type(error).__mro__ if type_ in _KINDS)
    requests = _REQUESTS.get(kind, 1)
    return GetError(kind=kind, reason=reason, detail=_in_a_line(str(error)), requests=requests)


def from_status(response: httpx.Response, text: str) -> GetError:
    """Return the error for a response other than 2xx. `text` is its body."""
    status = response.status_code
    kind: Kind = "final"
    if status in _RETRIED or (response.is_server_error and status not in _NOT_RETRIED):
        kind = "service"
    return GetError(
        kind=kind,
        reason="not_found" if status == HTTPStatus.NOT_FOUND else "bad_status",
        detail=_in_a_line(text or response.reason_phrase),
        status=status,
        retry_after=_seconds(response.headers.get("Retry-After", "")),
    )


def _causes(error: DetailedPyreqwestError) -> list[str]:
    """Return the messages of an error's causes, the innermost last, or else its own message."""
    causes = [cause["message"] for cause in error.details["causes"] or []] or [error.message]
    causes[-1] = causes[-1].partition(": https://")[0]  # leave out the link to a manual
    if any(cause.startswith(_TUNNEL) for cause in causes):
        causes[-1] = _PROXY + causes[-1].removeprefix(_TUNNEL)
    return causes


def _in_a_line(text: str) -> str:
    """Return the start of a text as one line, with control characters escaped."""
    line = " ".join(text[:_MAX_DETAIL].split())
    escaped = [
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in line
    ]
    return "".join(escaped)[:_MAX_DETAIL]


def _no_connection(message: str) -> httpx.RequestError:
    if HANDSHAKE_ENDED in message:  # may be temporary; connections.py decides whether it is
        return httpx.ConnectError(message)
    return unusable(message) or httpx.ConnectError(message)


def _seconds(retry_after: str) -> float | None:
    """Return a Retry-After header in seconds. It may be a date (RFC 9110, 10.2.3)."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        delay = parsedate_to_datetime(retry_after) - datetime.now(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, delay.total_seconds())
