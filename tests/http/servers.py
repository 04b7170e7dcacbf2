"""One GET with either client, and servers that write exactly the bytes that a test wants."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from anyio.from_thread import start_blocking_portal

from pokemon_names.http.client import Answer, Clients
from tests.tools.connections import abort_all, close

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def get(
    clients: Clients, strategy: str = "gather", path: str = "pokemon/1/", **options: Any
) -> Answer[Any]:
    """Send one request for any JSON, with the client that a strategy uses."""
    options = {"decode": json.loads, **options}
    if strategy == "sync":
        return await asyncio.to_thread(lambda: clients.get_blocking(path, **options))
    return await clients.get(path, **options)


@contextmanager
def serving_bytes(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve each connection with a function until the block ends, and yield the port."""
    with start_blocking_portal() as thread:
        start = partial(asyncio.start_server, serve, "127.0.0.1", ssl=context)
        server = thread.call(start)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            thread.call(close, server)
            thread.call(abort_all)


def ending(head: bytes, body: bytes) -> Serve:
    """Return a server that ends each connection after the body, without TLS's close_notify."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)
        await writer.drain()
        if request.startswith(b"PRI "):  # the start of HTTP/2's preface
            await reader.read()
        writer.transport.abort()

    return serve
