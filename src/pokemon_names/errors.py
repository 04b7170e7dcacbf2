"""What may go wrong on the way to a body, as errors of httpx, whatever pyreqwest makes of it.

httpx.RequestError
├── TransportError
│   ├── ConnectTimeout, ReadTimeout     no connection, no answer or no end of one in time
│   ├── ConnectError                    no connection
│   │   └── TLSError                        nor a later one, with this certificate and this URL
│   ├── RemoteProtocolError             the server reset the stream before it answered
│   └── NetworkError                    the connection ended
│       ├── SharedConnectionError           with all requests that were on it
│       └── NotProcessedError               and the server has not processed the request
│           └── RefusedError                    or the connection stands, and it has refused it
└── DecodingError                       the body, or all of the request or response, makes no sense
    ├── BrokenBodyError                 the body broke off
    └── BodyTooLargeError               it is larger than the clients take
"""

import httpx
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError, RequestTimeoutError


class TLSError(httpx.ConnectError):
    """The server's certificate is not accepted, or it does not speak TLS."""


class SharedConnectionError(httpx.NetworkError):
    """The connection ended, with all requests that were on it."""


class NotProcessedError(httpx.NetworkError):
    """The server has not processed the request: it never got it, or said so."""


class RefusedError(NotProcessedError):
    """The server refused the request, and twice more, because pyreqwest itself resends a refused one twice."""


class BrokenBodyError(httpx.DecodingError):
    """The body broke off."""


class BodyTooLargeError(httpx.DecodingError):
    """The body is larger than the clients take, zipped or unzipped."""


# What pyreqwest's innermost message has in it, where no response had begun. None of this has a type of its own.
_SIGNS: dict[str, type[httpx.RequestError]] = {
    "request was canceled": NotProcessedError,  # the connection that it waited for did not come up
    "dropped the dispatch task": NotProcessedError,  # the connection ended while it waited for its turn there
    "connection error received": NotProcessedError,  # GOAWAY, for the streams after the last that was processed
    "refused stream": RefusedError,
    "stream error": httpx.RemoteProtocolError,
    "invalid peer certificate": TLSError,
    "InvalidContentType": TLSError,
}
_CONNECTING = "client error (Connect)"
_NO_PONG = "keep-alive timed out"


def translated(error: Exception, *, begun: bool, shared: bool) -> httpx.RequestError:  # noqa: PLR0911  one a case
    """Return a client's error as httpx's, by whether the response had begun and whether connections are shared."""
    if not isinstance(error, PyreqwestError):
        return httpx.DecodingError(str(error))
    causes = _causes(error)
    message = causes[-1].partition(": https://")[0]  # without a link to a manual
    if _NO_PONG in causes:
        return SharedConnectionError(_NO_PONG)
    if isinstance(error, RequestTimeoutError):
        timeout = httpx.ConnectTimeout if _CONNECTING in causes else httpx.ReadTimeout
        return timeout(message)
    if begun:
        ended = SharedConnectionError if shared and "stream error" not in message else BrokenBodyError
        return ended(message)
    for sign, kind in _SIGNS.items():
        if sign in message:
            return kind(message)
    if _CONNECTING in causes:
        return httpx.ConnectError(message)
    return SharedConnectionError(message) if shared else httpx.NetworkError(message)


def _causes(error: PyreqwestError) -> list[str]:
    """Return what went wrong, from the request down to the network."""
    causes = error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None
    return [cause["message"] for cause in causes or []] or [error.message]
