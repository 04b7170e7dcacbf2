"""What may go wrong on the way to a body: pyreqwest's errors as httpx's.

httpx.RequestError
├── TransportError
│   ├── ConnectTimeout, ReadTimeout     no connection, no response or no end of one in time
│   ├── ConnectError                    no connection
│   │   └── TLSError                        nor a later one, with this certificate and this URL
│   ├── RemoteProtocolError             the server reset the stream before it responded
│   └── NetworkError                    the connection ended
│       ├── SharedConnectionError           with all requests that were on it
│       └── NotProcessedError               and the server has not processed the request
│           └── RefusedError                    or the connection stands, and it has refused it
└── DecodingError                       the body, or all of the request or response, makes no sense
    ├── BrokenBodyError                 the body broke off
    └── BodyTooLargeError               it is larger than the clients take
"""

import httpx
from pyreqwest.exceptions import DetailedPyreqwestError, RequestTimeoutError


class TLSError(httpx.ConnectError):
    """The server's certificate is not accepted, or it does not speak TLS."""


class SharedConnectionError(httpx.NetworkError):
    """The connection ended, with all requests that were on it."""


class NotProcessedError(httpx.NetworkError):
    """The server has not processed the request: it never got it, or said so."""


class RefusedError(NotProcessedError):
    """The server refused the request, and its two retries by pyreqwest itself."""


class BrokenBodyError(httpx.DecodingError):
    """The body broke off."""


class BodyTooLargeError(httpx.DecodingError):
    """The body is larger than the clients take, compressed or decompressed."""


# pyreqwest has no types for these: its innermost message says it, where no response had begun.
_MESSAGES: dict[str, type[httpx.RequestError]] = {
    # the connection that it waited for did not come up
    "request was canceled": NotProcessedError,
    # the connection ended while it waited for its turn there
    "dropped the dispatch task": NotProcessedError,
    # GOAWAY, for the streams after the last that was processed
    "connection error received": NotProcessedError,
    "refused stream": RefusedError,
    "stream error": httpx.RemoteProtocolError,
    "invalid peer certificate": TLSError,
    "InvalidContentType": TLSError,
}
_CONNECTING = "client error (Connect)"
_NO_PONG = "keep-alive timed out"


def translate(error: Exception, *, has_begun: bool, is_shared: bool) -> httpx.RequestError:
    """Return an error of a pyreqwest client as one of httpx.

    Args:
        error: What the client raised.
        has_begun: Whether the response had begun.
        is_shared: Whether other requests were on the same connection.
    """
    if not isinstance(error, DetailedPyreqwestError):
        return httpx.DecodingError(str(error))
    causes = _causes(error)
    message = causes[-1].partition(": https://")[0]  # without a link to a manual
    if _NO_PONG in causes:
        return SharedConnectionError(_NO_PONG)
    if isinstance(error, RequestTimeoutError):
        if _CONNECTING in causes:
            return httpx.ConnectTimeout(message)
        return httpx.ReadTimeout(message)
    if has_begun:
        return _broken_body(message, is_shared=is_shared)
    return _no_response(message, is_connecting=_CONNECTING in causes, is_shared=is_shared)


def _broken_body(message: str, *, is_shared: bool) -> httpx.RequestError:
    if is_shared and "stream error" not in message:
        return SharedConnectionError(message)
    return BrokenBodyError(message)


def _no_response(message: str, *, is_connecting: bool, is_shared: bool) -> httpx.RequestError:
    for known, error_type in _MESSAGES.items():
        if known in message:
            return error_type(message)
    if is_connecting:
        return httpx.ConnectError(message)
    if is_shared:
        return SharedConnectionError(message)
    return httpx.NetworkError(message)


def _causes(error: DetailedPyreqwestError) -> list[str]:
    """Return the messages from the request down to the network."""
    messages = [cause["message"] for cause in error.details["causes"] or []]
    return messages or [error.message]
