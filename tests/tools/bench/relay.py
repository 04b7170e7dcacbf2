"""A TCP relay that takes half a round trip each way and a whole one to connect: the network between two ends.

`python -m tests.tools.bench.relay PORT TARGET SECONDS`
"""

import asyncio
import sys
from typing import cast


class End(asyncio.Protocol):
    """One end of a connection. What it receives leaves the other end half a round trip later; None is its end."""

    def __init__(self, half: float) -> None:
        self.half = half
        self.other: End | None = None
        self.ready = 0.0
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes | None] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self.waiting:
            self.send(data)

    def data_received(self, data: bytes | None) -> None:
        assert self.other is not None
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self.ready) + self.half, self.other.send, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.data_received(None)

    def send(self, data: bytes | None) -> None:
        if self.transport is None:
            self.waiting.append(data)
        elif data is None:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write(data)


class ClientEnd(End):
    """The end that a client connects to, which then connects the other."""

    def __init__(self, half: float, target: int) -> None:
        super().__init__(half)
        self.target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self.ready = loop.time() + 2 * self.half
        server = End(self.half)
        self.other, server.other = server, self
        self.connecting = loop.create_task(loop.create_connection(lambda: server, "127.0.0.1", self.target))


async def main() -> None:
    port, target, round_trip = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientEnd(round_trip / 2, target), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
