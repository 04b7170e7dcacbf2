"""A server that speaks HTTP/2 over TLS and lets a test control its streams and connections.

A test can switch HTTP/2 off while the server runs.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ssl import SSLContext, SSLObject
from typing import cast

from anyio.from_thread import start_blocking_portal
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from tests.tools.connections import abort_all, close
from tests.tools.pokeapi.bodies import list_entry, pokemon

FRAME = 16_384  # bytes
JSON = [(":status", "200"), ("content-type", "application/json")]


class Connection(asyncio.Protocol):
    """One connection. The server's `behave` answers each request with the methods here."""

    def __init__(self, server: "Http2Server") -> None:
        self.server = server
        self.answered = 0
        self.is_mute = server.is_mute
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        # Initial values apply at once, later ones only after the client has acknowledged them.
        limits = {SettingCodes.MAX_CONCURRENT_STREAMS: server.max_streams}
        self.h2.local_settings = Settings(client=False, initial_values=limits)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if not self._is_http2():
            plain = Http1Connection(self.server)
            self.transport.set_protocol(plain)
            plain.connection_made(self.transport)
            return
        self.server.connections.append(self)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.is_mute or self.transport.is_closing():
            return  # a transport that is closed twice can no longer be aborted
        try:
            events = self.h2.receive_data(data)
        except ProtocolError:
            self.server.violations += 1
            self.flush()
            self.transport.close()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                headers = cast("dict[str, str]", dict(event.headers))
                self.server.hosts.add(headers.get("host", ""))
                self.request(event.stream_id, headers[":path"])
        self.flush()

    def request(self, stream: int, path: str) -> None:
        number = self.server.note(path)
        asyncio.get_running_loop().call_soon(self.behave, stream, number)

    def behave(self, stream: int, number: int) -> None:
        if not self.transport.is_closing():
            self.server.behave(self, stream, number)
            self.flush()

    def answer(self, stream: int, number: int) -> None:
        self.answered += 1
        self.respond(stream, 200, BODIES[number])

    def respond(self, stream: int, status: int, body: bytes, **headers: str) -> None:
        self.h2.send_headers(stream, [(":status", str(status)), *headers.items()])
        for start in range(0, len(body), FRAME):
            self.h2.send_data(stream, body[start : start + FRAME])
        self.h2.end_stream(stream)

    def begin(self, stream: int) -> None:
        """Send the first byte of a body, and nothing after it."""
        self.h2.send_headers(stream, JSON)
        self.h2.send_data(stream, b"{")

    def reset(self, stream: int, error: ErrorCodes) -> None:
        self.h2.reset_stream(stream, error)

    def go_away(self, last_stream: int, error: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Process no stream after `last_stream`, and let the client close the connection."""
        self.h2.close_connection(error, last_stream_id=last_stream)
        self.flush()
        self.is_mute = True

    def flush(self) -> None:
        if not (self.is_mute or self.transport.is_closing()):
            self.transport.write(self.h2.data_to_send())

    def _is_http2(self) -> bool:
        """Return whether the handshake chose HTTP/2, or chose nothing and `alpn` has HTTP/2."""
        tls = cast("SSLObject", self.transport.get_extra_info("ssl_object"))
        protocol = tls.selected_alpn_protocol()
        return protocol == "h2" or (protocol is None and "h2" in self.server.alpn)


class Http1Connection(asyncio.Protocol):
    """An HTTP/1.1 connection. It answers each GET, and anything else, such as HTTP/2, with 400."""

    def __init__(self, server: "Http2Server") -> None:
        self.server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        for head in heads:
            method, path, *_ = head.decode("latin-1").split()
            if method != "GET":
                self._respond("400 Bad Request", b"")
                self.transport.close()
                return
            body = BODIES.get(self.server.note(path))
            if body is None:
                self._respond("404 Not Found", b"")
            else:
                self._respond("200 OK", body)

    def _respond(self, status: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


Behaviour = Callable[[Connection, int, int], None]

BODIES = {
    one.number: json.dumps({"id": one.number, "name": one.name}).encode()
    for one in pokemon().values()
}
BODIES[0] = json.dumps({"results": list(map(list_entry, pokemon().values()))}).encode()


class Http2Server:
    """The server. A test may read and set its attributes while it runs.

    `requests` are the numbers requested, with 0 for the list of all; `paths` are the paths as
    received.
    `hosts` are the requests' Host headers, or "" for requests without one, as usual over HTTP/2.
    `violations` counts the connections on which a client did something that HTTP/2 forbids, such as
    opening more than `max_streams` streams.
    `connections` are all HTTP/2 connections so far.
    `is_mute` makes new connections accept data and send nothing.
    `alpn` are the protocols that new connections may speak. Without "h2" they speak HTTP/1.1, which
    `behave` does not control.
    """

    def __init__(self) -> None:
        self.behave: Behaviour = Connection.answer
        self.alpn = ["h2"]
        self.max_streams = 100
        self.is_mute = False
        self.violations = 0
        self.hosts = set[str]()
        self.requests = list[int]()
        self.paths = list[str]()
        self.connections = list[Connection]()

    async def listen(self, context: SSLContext) -> asyncio.Server:
        def accept() -> Connection:
            context.set_alpn_protocols(self.alpn)  # the handshake comes after this
            return Connection(self)

        return await asyncio.get_running_loop().create_server(accept, "127.0.0.1", ssl=context)

    def note(self, path: str) -> int:
        """Record a request, and return the number it is for."""
        key = path.partition("?")[0].rstrip("/").rpartition("/")[2]
        number = int(key) if key.isdecimal() else 0
        self.paths.append(path)
        self.requests.append(number)
        return number


@contextmanager
def serving_http2(server: Http2Server, context: SSLContext) -> Iterator[int]:
    """Serve from a separate thread until the block ends, and yield the port."""
    with start_blocking_portal() as thread:
        listening = thread.call(server.listen, context)
        yield listening.sockets[0].getsockname()[1]
        thread.call(close, listening)
        thread.call(abort_all)
