"""Helpers for an event loop that is about to end and must not leave a connection open."""

import asyncio
import socket
from typing import Any


async def settle() -> None:
    """Let the loop finish opening and closing connections, which takes a few iterations."""
    for _ in range(10):
        await asyncio.sleep(0)


async def stop_accepting(*listening: socket.socket) -> None:
    """Let a server finish accepting the connections it has begun to accept, and accept no more.

    A server that closes in the iteration in which it accepts a connection leaves it open forever
    (CPython's gh-109564).
    """
    for one in listening:
        asyncio.get_running_loop().remove_reader(one)
    await settle()


async def close(server: asyncio.Server) -> None:
    await stop_accepting(*server.sockets)
    server.close()


async def abort_all() -> None:
    """Abort every connection, including those in the middle of their TLS handshake."""
    await settle()
    # asyncio has no other list of them: a protocol learns of its connection after the handshake.
    loop: Any = asyncio.get_running_loop()
    for transport in list(loop._transports.values()):  # noqa: SLF001
        if transport._loop:  # noqa: SLF001  a closed one has none and cannot be aborted
            transport.abort()
    await settle()
