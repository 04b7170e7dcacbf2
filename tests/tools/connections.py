"""The connections of an event loop that is about to end: none may be left open."""

import asyncio
import socket
from typing import Any


async def settle() -> None:
    """Let the loop make and close the connections that are under way: that takes it a few turns."""
    for _ in range(10):
        await asyncio.sleep(0)


async def stop_accepting(*listening: socket.socket) -> None:
    """Let a server have the connections accepted so far, and accept no more.

    A server that closes in the turn in which it accepts leaves the connection open for good
    (gh-109564 of CPython).
    """
    for one in listening:
        asyncio.get_running_loop().remove_reader(one)
    await settle()


async def close(server: asyncio.Server) -> None:
    await stop_accepting(*server.sockets)
    server.close()


async def abort_all() -> None:
    """Abort every connection, also those whose TLS handshake is under way."""
    await settle()
    # asyncio itself has no other list of them: a protocol gets its connection after the handshake.
    loop: Any = asyncio.get_running_loop()
    for transport in list(loop._transports.values()):  # noqa: SLF001
        if transport._loop:  # noqa: SLF001  one that is closed has none, and cannot be aborted
            transport.abort()
    await settle()
