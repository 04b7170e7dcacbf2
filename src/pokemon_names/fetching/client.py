"""The httpx clients."""

import asyncio
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import TypedDict

import httpx

from pokemon_names import __version__
from pokemon_names.fetching.connections import TOTAL_TIMEOUT
from pokemon_names.fetching.transport import BlockingTransport, Transport

USER_AGENT = f"pokemon-names/{__version__}"

_MAX_REQUESTS = 2048  # stored, so that a later invocation for the same numbers builds none


class _Options(TypedDict):
    headers: dict[str, str]
    timeout: None


class Clients:
    """The async client, and the blocking one for the strategy `sync`; both live for good.

    At most a byte more than `max_body_bytes` is read of a body, and `decompress` refuses it then.
    """

    def __init__(self, base_url: str, max_body_bytes: int = 4_000_000) -> None:
        self._base_url = base_url.rstrip("/")
        self._https = httpx.URL(base_url).scheme == "https"
        self._max_body_bytes = max_body_bytes
        # The transport has its own timeouts: pyreqwest cannot apply httpx's phase by phase.
        self._options = _Options(
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
            timeout=None,
        )
        transport = Transport(max_body_bytes, https=self._https)
        self._async = _AsyncClient(transport=transport, **self._options)
        self._headers = self._async.build_request("GET", base_url).headers
        self._request = lru_cache(maxsize=_MAX_REQUESTS)(self._build_request)

    async def get(self, path: str) -> httpx.Response:
        """Send one request; to cancel it leaves the client as it was."""
        return await self._async.send(self._request(path))

    def get_blocking(self, path: str, seconds: float) -> httpx.Response:
        """Send one request and wait for its response, at most so many seconds."""
        # The transport takes httpx's timeout for a read as that of the whole request.
        total = min(seconds, TOTAL_TIMEOUT.total_seconds())
        timeout = httpx.Timeout(None, read=total)
        return self._blocking.get(f"{self._base_url}/{path}", timeout=timeout)

    async def warm_up(self, path: str, seconds: float, *, blocking: bool) -> None:
        """Send a request by one of the clients, at most so many seconds, for its connection alone.

        An error is ignored: the requests that follow meet it, too.
        """
        with suppress(httpx.RequestError):
            if blocking:
                await asyncio.to_thread(self.get_blocking, path, seconds)
            else:
                timeout = httpx.Timeout(None, read=seconds)
                await self._async.get(f"{self._base_url}/{path}", timeout=timeout)

    def _build_request(self, path: str) -> httpx.Request:
        request = self._async.build_request("GET", f"{self._base_url}/{path}")
        request.headers = self._headers  # shared: stored requests would take a megabyte more
        return request

    @cached_property
    def _blocking(self) -> httpx.Client:
        """Made on first use, because each client reads the trusted certificates anew."""
        transport = BlockingTransport(self._max_body_bytes, https=self._https)
        return _Client(transport=transport, **self._options)


class _NoCookies(httpx.Cookies):
    """A jar that stays empty: PokeAPI sets no cookies, and to look takes 0.1 ms a response."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _AsyncClient(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override]


class _Client(httpx.Client):
    cookies = _NoCookies()  # type: ignore[override]
