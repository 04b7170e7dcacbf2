"""Connections that are of no use, heads that cannot be read, and TLS that cannot work."""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, cast

import pytest
import trustme
from anyio.from_thread import start_blocking_portal
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from pokemon_names.fetching.policy import Policy
from pokemon_names.http.client import Clients
from pokemon_names.http.connections import Limits
from pokemon_names.model import Fetched
from tests.conftest import (
    NAMES,
    both_clients,
    failures_of,
    fetch_range,
    names_of,
)
from tests.tools.connections import abort_all, close
from tests.tools.http2 import Connection, Http2Server, serving_http2
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.bodies import list_entry, pokemon
from tests.tools.relay import ClientEnd, Relay, relaying

fuzz = pytest.mark.fuzz
# The other strategies and a single number are shown by `make fuzz`.
one_and_many = pytest.mark.parametrize("count", [150, pytest.param(1, marks=fuzz)])
every_strategy = pytest.mark.parametrize(
    "strategy",
    ["gather", "sync", *[pytest.param(name, marks=fuzz) for name in ("sequential", "index")]],
)

PRODUCTION = Policy(lag_timeout=30.0)  # or a number may lag on a busy machine
LAGGING = Policy()
QUICK_LIMITS = Limits(read_timeout=0.5)

PAGE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>Bad Gateway"
NO_APPLICATION_PROTOCOL = bytes([21, 3, 3, 0, 2, 2, 120])  # TLS's alert, as nginx sends it


def all_names(count: int) -> list[str]:
    return [NAMES[number] for number in range(1, count + 1)]


class Injecting(Relay):
    """A relay that can write to its clients, and lead new connections elsewhere."""

    makes: type[ClientEnd] = ClientEnd

    def inject(self, data: bytes) -> None:
        self._loop.call_soon_threadsafe(self._inject, data)

    def _inject(self, data: bytes) -> None:
        for client in self.connections:
            client.send(data)

    def _connected(self) -> ClientEnd:
        self.connections.append(self.makes(self._half, self._target))
        return self.connections[-1]


class Picky(ClientEnd):
    """A network that ends a TLS handshake which does not offer HTTP/1.1, by the alert for it."""

    has_read = False

    def data_received(self, data: bytes | None) -> None:
        is_hello = not self.has_read
        self.has_read = True
        if is_hello and data and b"\x08http/1.1" not in data:
            self.send(NO_APPLICATION_PROTOCOL)
            self.send(None)
        else:
            super().data_received(data)


class Network(NamedTuple):
    """An HTTP/2 server, the relay in front of it, and the relay's URL."""

    server: Http2Server
    relay: Injecting
    url: str

    def clients(self, limits: Limits = QUICK_LIMITS) -> Clients:
        return Clients(self.url, limits=limits)

    def call(self, clients: Clients, count: int = 150, **options: Any) -> Fetched:
        return call(clients, count, **options)


def call(clients: Clients | str, count: int = 150, **options: Any) -> Fetched:
    """Fetch that many numbers with production's waits."""
    options = {"policy": PRODUCTION, "seconds": 28, "range": f"1-{count}", **options}
    return asyncio.run(fetch_range(clients, **options))


@pytest.fixture
def network(tls: ssl.SSLContext) -> Iterator[Network]:
    server = Http2Server()
    with serving_http2(server, tls) as server_port:
        relay = Injecting(server_port)
        with relaying(relay) as relay_port:
            yield Network(server, relay, f"https://localhost:{relay_port}")


# One connection is of no use, and a new one would be.


@every_strategy
@one_and_many
@pytest.mark.parametrize("when", ["new", "warm"])
def test_a_connection_that_answers_pings_alone(
    network: Network, strategy: str, count: int, when: str
) -> None:
    clients = network.clients()
    if when == "warm":
        network.call(clients, count, policy=LAGGING, strategy=strategy)

    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection is not network.server.connections[0]:
            connection.answer(stream, number)

    network.server.behave = behave
    for _ in range(2):
        fetched = network.call(clients, count, policy=LAGGING, strategy=strategy)
        assert names_of(fetched) == all_names(count)
        assert fetched.total_ms < 4_000
    assert len(network.server.connections) <= 3


@fuzz
@every_strategy
def test_a_connection_that_answers_pings_alone_with_productions_limits(
    network: Network, strategy: str
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection is not network.server.connections[0]:
            connection.answer(stream, number)

    network.server.behave = behave
    clients = network.clients(Limits())
    first = network.call(clients, policy=LAGGING, strategy=strategy)
    assert names_of(first) == all_names(150)
    assert first.total_ms < 8_000
    second = network.call(clients, policy=LAGGING, strategy=strategy)
    assert names_of(second) == all_names(150)
    assert second.total_ms < 4_000


@pytest.mark.parametrize("strategy", ["gather", "sequential", "sync"])
def test_a_connection_that_answers_no_more_in_the_middle(network: Network, strategy: str) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        is_first = connection is network.server.connections[0]
        if not is_first or connection.answered < 60:
            connection.answer(stream, number)

    network.server.behave = behave
    clients = network.clients(Limits())
    for _ in range(2):
        fetched = network.call(clients, policy=LAGGING, strategy=strategy)
        assert names_of(fetched) == all_names(150)
        assert fetched.total_ms < 4_000
    assert len(network.server.connections) == 2


@every_strategy
def test_a_connection_that_answers_some_and_not_the_others_is_kept(
    network: Network, strategy: str
) -> None:
    """What is silent is the numbers, not the connection, and the list has their names."""

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number not in {13, 99}:
            connection.answer(stream, number)

    network.server.behave = behave
    fetched = network.call(network.clients(Limits()), policy=LAGGING, strategy=strategy)
    assert names_of(fetched) == all_names(150)
    if strategy != "index":
        assert fetched.listed == 2
    assert fetched.total_ms < 12_000


def allow_no_more(connection: Connection, stream: int, number: int) -> None:
    connection.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    connection.answer(stream, number)


@every_strategy
def test_a_warm_connection_that_allows_no_streams_any_more(network: Network, strategy: str) -> None:
    clients = network.clients()
    network.server.behave = allow_no_more
    network.call(clients, 1, strategy=strategy)
    network.server.behave = Connection.answer
    for _ in range(2):
        fetched = network.call(clients, strategy=strategy)
        assert names_of(fetched) == all_names(150)
        assert fetched.total_ms < 4_000


@every_strategy
def test_a_new_connection_that_allows_no_streams(network: Network, strategy: str) -> None:
    connected = Connection.connection_made

    def connection_made(self: Connection, transport: asyncio.BaseTransport) -> None:
        connected(self, transport)
        network.server.max_streams = 100

    network.server.max_streams = 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Connection, "connection_made", connection_made)
        clients = network.clients()
        for _ in range(2):
            fetched = network.call(clients, strategy=strategy)
            assert names_of(fetched) == all_names(150)
            assert fetched.total_ms < 4_000


@every_strategy
@one_and_many
@pytest.mark.parametrize("when", ["in the middle", "idle"])
def test_plain_text_within_an_established_tls_connection(
    network: Network, strategy: str, count: int, when: str
) -> None:
    clients = network.clients()
    network.call(clients, count, strategy=strategy)
    has_come = False

    def behave(connection: Connection, stream: int, number: int) -> None:
        nonlocal has_come
        if not has_come and number in {(count + 1) // 2, 0}:
            has_come = True
            network.relay.inject(PAGE)
        elif connection is not network.server.connections[0] or not has_come:
            connection.answer(stream, number)

    if when == "idle":
        network.relay.inject(PAGE)
    else:
        network.server.behave = behave
    for _ in range(2):
        fetched = network.call(clients, count, strategy=strategy)
        assert names_of(fetched) == all_names(count)
        assert fetched.total_ms < 4_000
    assert len(network.relay.connections) <= 3


@both_clients
@pytest.mark.parametrize("when", ["new", "warm"])
def test_a_page_of_http_1_within_a_connection_of_http_2(
    network: Network, strategy: str, when: str
) -> None:
    clients = network.clients()
    if when == "warm":
        network.call(clients, strategy=strategy)

    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection is network.server.connections[0]:
            connection.transport.write(PAGE)
            connection.transport.close()
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    for _ in range(2):
        fetched = network.call(clients, strategy=strategy)
        assert names_of(fetched) == all_names(150)
        assert fetched.total_ms < 4_000


# HTTP/2 is not spoken any more.


class Chooser(asyncio.Protocol):
    """A connection that speaks what the TLS handshake has agreed on."""

    def __init__(self, server: "TwoVersions") -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        alpn = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol: asyncio.Protocol
        if alpn == "h2":
            protocol = Connection(self.server.http2)
        else:
            self.server.http1_connections += 1
            assert self.server.pokeapi.runner.server
            protocol = self.server.pokeapi.runner.server()
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)


class TwoVersions:
    """A server that speaks HTTP/2 and HTTP/1.1 at one port. The context says which it offers."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.http2 = Http2Server()
        self.pokeapi = PokeAPI()
        self.http1_connections = 0
        for number in range(1, 151):
            body = json.dumps({"id": number, "name": NAMES[number]})
            self.pokeapi.answers[number] = answers.json(body)

    async def listen(self) -> asyncio.Server:
        await self.pokeapi.runner.setup()
        return await asyncio.get_running_loop().create_server(
            lambda: Chooser(self), "127.0.0.1", ssl=self.context
        )

    @contextmanager
    def serving(self) -> Iterator[int]:
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        with start_blocking_portal() as thread:
            listening = thread.call(self.listen)
            try:
                yield listening.sockets[0].getsockname()[1]
            finally:
                thread.call(close, listening)
                thread.call(self.pokeapi.runner.cleanup)
                thread.call(abort_all)


@pytest.fixture
def server(tls: ssl.SSLContext) -> TwoVersions:
    return TwoVersions(tls)


@every_strategy
@one_and_many
@pytest.mark.parametrize("makes", [ClientEnd, Picky])
def test_http_2_is_switched_off_while_the_connection_is_warm(
    server: TwoVersions, strategy: str, count: int, makes: type[ClientEnd]
) -> None:
    with server.serving() as port:
        relay = Injecting(port)
        with relaying(relay) as relay_port:
            url = f"https://localhost:{relay_port}/api/v2"
            clients = Clients(url)
            assert len(names_of(call(clients, count, strategy=strategy))) == count
            assert server.pokeapi.requests == 0
            server.context.set_alpn_protocols(["http/1.1"])
            relay.makes = makes
            relay.close()
            for _ in range(2):
                fetched = call(clients, count, strategy=strategy)
                assert names_of(fetched) == all_names(count)
                assert fetched.total_ms < 4_000
    assert server.http1_connections >= 1


@every_strategy
@one_and_many
def test_http_2_is_switched_on_again(server: TwoVersions, strategy: str, count: int) -> None:
    """Names come, whether it is spoken again or not."""
    with server.serving() as port:
        server.context.set_alpn_protocols(["http/1.1"])
        clients = Clients(f"https://localhost:{port}/api/v2")
        assert len(names_of(call(clients, count, strategy=strategy))) == count
        server.context.set_alpn_protocols(["h2", "http/1.1"])
        fetched = call(clients, count, strategy=strategy)
        assert names_of(fetched) == all_names(count)
        assert fetched.total_ms < 4_000


def require_http_1(connection: Connection, stream: int, _: int) -> None:
    connection.reset(stream, ErrorCodes.HTTP_1_1_REQUIRED)


def require_http_1_of_all(connection: Connection, *_: int) -> None:
    if not connection.is_mute:
        connection.go_away(0, ErrorCodes.HTTP_1_1_REQUIRED)


@every_strategy
@one_and_many
@pytest.mark.parametrize("behave", [require_http_1, require_http_1_of_all])
@pytest.mark.parametrize("later", ["both versions", "HTTP/1.1 alone"])
@pytest.mark.parametrize("when", ["new", "warm"])
def test_http_1_is_required(  # noqa: PLR0913, PLR0917  the cases' values
    server: TwoVersions,
    strategy: str,
    count: int,
    behave: Callable[..., None],
    later: str,
    when: str,
) -> None:
    def require(connection: Connection, stream: int, number: int) -> None:
        if later == "HTTP/1.1 alone":
            server.context.set_alpn_protocols(["http/1.1"])
        behave(connection, stream, number)

    with server.serving() as port:
        clients = Clients(f"https://localhost:{port}/api/v2")
        if when == "warm":
            assert len(names_of(call(clients, count, strategy=strategy))) == count
        server.http2.behave = require
        for _ in range(2):
            fetched = call(clients, count, strategy=strategy)
            assert names_of(fetched) == all_names(count)
            assert fetched.total_ms < 4_000
    assert server.pokeapi.requests >= (1 if strategy == "index" else count)


# Heads.


@every_strategy
@pytest.mark.parametrize("size", [20, 40, 60])
def test_many_headers_over_http_2(network: Network, strategy: str, size: int) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        headers = {f"x-{index}": "v" * 1000 for index in range(size)}
        connection.respond(stream, 200, body_of(number), **headers)

    network.server.behave = behave
    fetched = network.call(network.clients(Limits()), 20, strategy=strategy)
    assert names_of(fetched) == all_names(20)
    assert len(network.server.requests) == (1 if strategy == "index" else 20)


def body_of(number: int) -> bytes:
    """Return the body of a number, or of the list of all for 0."""
    if number == PokeAPI.LIST:
        return json.dumps({"results": list(map(list_entry, pokemon().values()))}).encode()
    return json.dumps({"id": number, "name": NAMES[number]}).encode()


class RawServer:
    """A server of HTTP/1.1 that writes heads as they are given."""

    def __init__(self, head: bytes, numbers: range = range(1500)) -> None:
        self.head = head
        self.numbers = numbers
        self.requests: list[int] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split()[1].decode()
                key = path.partition("?")[0].rstrip("/").rpartition("/")[2]
                number = int(key) if key.isdecimal() else PokeAPI.LIST
                self.requests.append(number)
                body = body_of(number)
                head = self.head if number in self.numbers else b""
                length = b"Content-Length: %d\r\n" % len(body)
                writer.write(b"HTTP/1.1 200 OK\r\n" + head + length + b"\r\n" + body)
                await writer.drain()
        writer.close()

    @contextmanager
    def serving(self) -> Iterator[str]:
        with start_blocking_portal() as thread:
            server = thread.call(partial(asyncio.start_server, self.answer, "127.0.0.1"))
            try:
                yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            finally:
                thread.call(close, server)
                thread.call(abort_all)


FOLDED = b"X-Folded: one\r\n two\r\n"
MANY = b"".join(b"X-%d: 1\r\n" % index for index in range(100))  # and Content-Length
TWO_LENGTHS = b"Content-Length: 3\r\n"
UNREADABLE_HEADS = {"101 headers": MANY, "two lengths": TWO_LENGTHS}


@every_strategy
@one_and_many
def test_a_folded_header_is_read(strategy: str, count: int) -> None:
    server = RawServer(FOLDED)
    with server.serving() as url:
        fetched = call(url, count, strategy=strategy)
    assert names_of(fetched) == all_names(count)
    assert len(server.requests) == (1 if strategy == "index" else count)


@both_clients
def test_a_hundred_headers_are_read(strategy: str) -> None:
    with RawServer(MANY.partition(b"\r\n")[2]).serving() as url:
        assert names_of(call(url, 20, strategy=strategy)) == all_names(20)


@pytest.mark.parametrize(
    "strategy",
    ["gather", *[pytest.param(name, marks=fuzz) for name in ("sequential", "sync", "index")]],
)
@one_and_many
@pytest.mark.parametrize("head", ["101 headers", "two lengths"])
def test_heads_that_can_never_be_read_end_it_soon(strategy: str, count: int, head: str) -> None:
    server = RawServer(UNREADABLE_HEADS[head])
    with server.serving() as url:
        fetched = call(url, count, strategy=strategy)
    failures = failures_of(fetched)
    assert len(failures) == count
    assert {failure.reason for failure in failures} == {"bad_body"}
    assert fetched.total_ms < (4_000 if strategy == "gather" or count == 1 else 8_000)
    assert len(server.requests) <= 500


@pytest.mark.parametrize("strategy", ["gather", "sequential", "sync"])
@pytest.mark.parametrize("head", ["101 headers", "two lengths"])
def test_a_head_that_cannot_be_read_is_tried_three_times(strategy: str, head: str) -> None:
    server = RawServer(UNREADABLE_HEADS[head], range(13, 14))
    with server.serving() as url:
        fetched = call(url, 20, strategy=strategy)
    assert names_of(fetched) == all_names(20)
    assert fetched.listed == 1
    assert server.requests.count(13) <= 3
    assert fetched.total_ms < 4_000


@both_clients
def test_a_head_that_cannot_be_read_is_an_unreadable_body(strategy: str) -> None:
    server = RawServer(TWO_LENGTHS, range(2))  # number 1, and the list
    with server.serving() as url:
        fetched = call(url, 20, strategy=strategy)
    (failure,) = failures_of(fetched)
    assert (failure.number, failure.reason, failure.status) == (1, "bad_body", None)
    assert "content-length" in failure.detail
    # Three times while no other body has come, and three times more.
    assert server.requests.count(1) == failure.attempts <= 6
    assert fetched.total_ms < 8_000


@both_clients
def test_a_response_that_breaks_the_rules_of_http_2_is_unreadable(
    network: Network, strategy: str
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if number == 13:
            connection.respond(stream, 200, b"{}", **{"content-length": "1000"})
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    fetched = network.call(network.clients(), 20, policy=LAGGING, strategy=strategy)
    assert names_of(fetched) == all_names(20)
    assert fetched.listed == 1
    assert network.server.requests.count(13) == 3


# TLS that cannot work.


class TlsServer:
    """A server of TLS that sends its alerts, as nginx does and asyncio's own servers do not."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.connections = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        incoming = ssl.MemoryBIO()
        outgoing = ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
        with suppress(OSError):
            while not self.is_over(tls):
                writer.write(outgoing.read())
                await writer.drain()
                data = await reader.read(65_536)
                if not data:
                    break
                incoming.write(data)
            writer.write(outgoing.read())
            writer.write_eof()
            await reader.read()  # closed with data unread, it would reset the connection
        writer.close()

    @staticmethod
    def is_over(tls: ssl.SSLObject) -> bool:
        """Return whether the handshake has failed, or the client has closed the connection."""
        try:
            while tls.read():
                pass
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            return True
        return True

    @contextmanager
    def serving(self) -> Iterator[str]:
        with start_blocking_portal() as thread:
            server = thread.call(partial(asyncio.start_server, self.answer, "127.0.0.1"))
            try:
                yield f"https://localhost:{server.sockets[0].getsockname()[1]}"
            finally:
                thread.call(close, server)
                thread.call(abort_all)


def tls_1_1(context: ssl.SSLContext, _: trustme.CA) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.deprecated_call():
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def no_forward_secrecy(context: ssl.SSLContext, _: trustme.CA) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:AES128-SHA:@SECLEVEL=0")


def client_certificate(
    version: ssl.TLSVersion,
) -> Callable[[ssl.SSLContext, trustme.CA], None]:
    def configure(context: ssl.SSLContext, authority: trustme.CA) -> None:
        context.minimum_version = context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)

    return configure


hopeless_tls = pytest.mark.parametrize(
    ("configure", "problem", "remedies"),
    [
        pytest.param(tls_1_1, "ProtocolVersion", ["TLS 1.2"], id="TLS 1.1"),
        # The alert is the same, so the remedy names both.
        pytest.param(
            no_forward_secrecy,
            "HandshakeFailure",
            ["forward secrecy", "client certificate"],
            id="no forward secrecy",
        ),
        pytest.param(
            client_certificate(ssl.TLSVersion.TLSv1_2),
            "HandshakeFailure",
            ["forward secrecy", "client certificate"],
            id="client certificate, TLS 1.2",
        ),
        pytest.param(
            client_certificate(ssl.TLSVersion.TLSv1_3),
            "CertificateRequired",
            ["client certificate"],
            id="client certificate, TLS 1.3",
        ),
    ],
)


@every_strategy
@one_and_many
@pytest.mark.parametrize("alpn", [["h2", "http/1.1"], ["http/1.1"], None], ids=str)
@hopeless_tls
def test_tls_that_cannot_work_fails_at_once(  # noqa: PLR0913, PLR0917  the cases' values
    authority: trustme.CA,
    tls: ssl.SSLContext,
    strategy: str,
    count: int,
    alpn: list[str] | None,
    configure: Callable[[ssl.SSLContext, trustme.CA], None],
    problem: str,
    remedies: list[str],
) -> None:
    configure(tls, authority)
    if alpn:
        tls.set_alpn_protocols(alpn)
    server = TlsServer(tls)
    with server.serving() as url:
        fetched = call(url, count, strategy=strategy)
    failures = failures_of(fetched)
    details = {failure.detail.removeprefix("not sent, after: ") for failure in failures}
    assert len(failures) == count
    assert {failure.reason for failure in failures} == {"unreachable"}
    (detail,) = details
    assert detail.startswith(f"received fatal alert: {problem}; ")
    for remedy in remedies:
        assert remedy in detail
    assert server.connections <= 50
    assert len(fetched.attempts) <= 100
    assert fetched.total_ms < 2_000


@both_clients
def test_a_tls_alert_on_a_warm_connection_leads_to_a_new_one(
    network: Network, strategy: str
) -> None:
    clients = network.clients()
    network.call(clients, strategy=strategy)
    network.relay.inject(NO_APPLICATION_PROTOCOL)
    for _ in range(2):
        fetched = network.call(clients, strategy=strategy)
        assert names_of(fetched) == all_names(150)
        assert fetched.total_ms < 4_000


@both_clients
def test_tls_that_works_again_is_used_again(
    authority: trustme.CA, tls: ssl.SSLContext, strategy: str
) -> None:
    """What failed for good in one call is tried again by the next."""
    server = TwoVersions(tls)
    with server.serving() as port:
        clients = Clients(f"https://localhost:{port}/api/v2")
        tls.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(tls)
        assert names_of(call(clients, 20, strategy=strategy, seconds=2)) == []
        tls.verify_mode = ssl.CERT_NONE
        assert names_of(call(clients, 20, strategy=strategy)) == all_names(20)
