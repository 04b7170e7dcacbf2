"""A TCP relay: a network between client and server that can delay, forget and end connections.

`python -m tests.tools.relay PORT TARGET SECONDS` relays to the port TARGET with a round trip of
SECONDS: data takes half of it each way, and connecting takes all of it.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from anyio.from_thread import start_blocking_portal

from tests.tools.connections import abort_all, close, settle


class End(asyncio.Protocol):
    """One end of a connection. The other end sends what this one receives, half a round trip later.

    The end of the connection is sent as None.
    """

    def __init__(self, half_trip: float) -> None:
        self.half_trip = half_trip
        self.other: End | None = None
        self.ready = 0.0
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes | None] = []
        self.is_forgotten = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self.waiting:
            self.send(data)

    def data_received(self, data: bytes | None) -> None:
        assert self.other is not None
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self.ready) + self.half_trip, self.other.send, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.data_received(None)

    def send(self, data: bytes | None) -> None:
        if self.is_forgotten:
            return
        if self.transport is None:
            self.waiting.append(data)
        elif data is None:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write(data)


class ClientEnd(End):
    """The end that a client connects to. It connects the other end to the target."""

    def __init__(self, half_trip: float, target: int) -> None:
        super().__init__(half_trip)
        self.target = target
        self.connecting: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self.ready = loop.time() + 2 * self.half_trip
        server = End(self.half_trip)
        self.other = server
        server.other = self
        self.connecting = loop.create_task(
            loop.create_connection(lambda: server, "127.0.0.1", self.target)
        )


class Relay:
    """A relay to a port on this machine. Its methods affect all connections made so far."""

    def __init__(self, target: int, round_trip: float = 0.0) -> None:
        self.connections = list[ClientEnd]()
        self._target = target
        self._half_trip = round_trip / 2

    async def listen(self, port: int = 0) -> asyncio.Server:
        self._loop = asyncio.get_running_loop()
        return await self._loop.create_server(self._connected, "127.0.0.1", port, backlog=1024)

    async def stop(self) -> None:
        await settle()
        tasks = [client.connecting for client in self.connections if client.connecting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._end(_reset)
        await abort_all()

    def forget(self) -> None:
        """Drop every byte, like a network that has lost its table of connections."""
        for end in self._ends():
            end.is_forgotten = True

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end, _close)

    def reset(self) -> None:
        self._loop.call_soon_threadsafe(self._end, _reset)

    def _end(self, by: Callable[[asyncio.Transport], None]) -> None:
        for end in self._ends():
            if end.transport and not end.transport.is_closing():
                by(end.transport)

    def _ends(self) -> list[End]:
        ends = list[End]()
        for client in self.connections:
            ends.append(client)
            if client.other:
                ends.append(client.other)
        return ends

    def _connected(self) -> ClientEnd:
        self.connections.append(ClientEnd(self._half_trip, self._target))
        return self.connections[-1]


def _close(transport: asyncio.Transport) -> None:
    transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """Close with a reset, which the kernel sends if the socket may not linger."""
    no_time = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_time)
    transport.abort()


@contextmanager
def relaying(relay: Relay) -> Iterator[int]:
    """Relay from a separate thread until the block ends, and yield the port."""
    with start_blocking_portal() as thread:
        server = thread.call(relay.listen)
        yield server.sockets[0].getsockname()[1]
        thread.call(close, server)
        thread.call(relay.stop)


async def main() -> None:
    port = int(sys.argv[1])
    target = int(sys.argv[2])
    round_trip = float(sys.argv[3])
    server = await Relay(target, round_trip).listen(port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
