"""Builds the httpx clients: transport, timeouts, headers.

The transport is pyreqwest's, behind httpx's interface. Unlike httpx's own it lives on from one `asyncio.run` to the
next with its connections warm, and its pool is no slower for 100 connections than for 10. It does not apply httpx's
timeouts phase by phase, so they are set on its own builder and httpx's are off.
"""

from datetime import timedelta
from functools import cached_property
from typing import TypedDict, TypeVar

import httpx
from pyreqwest.client import BaseClientBuilder, ClientBuilder, SyncClientBuilder
from pyreqwest.compatibility.httpx import HttpxTransport, SyncHttpxTransport
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError

from pokemon_names import __version__

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=10)  # from one read to the next: a large body may take longer while it keeps coming
USER_AGENT = f"pokemon-names/{__version__}"

# What a request may raise. The transport translates its errors to httpx's only until the body begins.
FAULTS = (httpx.HTTPError, PyreqwestError)

_Builder = TypeVar("_Builder", bound=BaseClientBuilder)


class _Options(TypedDict):
    base_url: str
    headers: dict[str, str]
    timeout: None


class Clients:
    """The async client, and the blocking one for the strategy that wants it. Both can be kept for good."""

    def __init__(self, base_url: str) -> None:
        self._options = _Options(base_url=base_url, headers={"User-Agent": USER_AGENT}, timeout=None)
        transport = HttpxTransport(_configured(ClientBuilder()).build())
        self.asynchronous = httpx.AsyncClient(transport=transport, **self._options)

    @cached_property
    def blocking(self) -> httpx.Client:
        """Made on first use: hardly an invocation wants it, and each client reads the trusted certificates anew."""
        transport = SyncHttpxTransport(_configured(SyncClientBuilder()).build())
        return httpx.Client(transport=transport, **self._options)


def cause(fault: BaseException) -> str:
    """Say what went wrong at the bottom of the network stack, such as "Connection refused (os error 111)"."""
    origin = fault if isinstance(fault, PyreqwestError) else fault.__cause__
    causes = origin.details["causes"] if isinstance(origin, DetailedPyreqwestError) else None
    return causes[-1]["message"] if causes else str(fault)


def _configured(builder: _Builder) -> _Builder:
    return builder.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).follow_redirects(enable=False)
