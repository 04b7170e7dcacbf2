"""What networks and servers can do to connections: with or without HTTP/2, it costs only time."""

import asyncio
import math
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from subprocess import PIPE
from typing import Any, NamedTuple

import msgspec
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from pokemon_names.http import connections
from pokemon_names.http.client import Clients
from pokemon_names.http.connections import SILENCE, Limits
from pokemon_names.http.errors import GetError
from pokemon_names.model import Attempt, Fetched
from tests.conftest import (
    BOTH_CLIENTS,
    NAMES,
    NO_RETRIES,
    QUICK,
    both_clients,
    failures_of,
    fetch_range,
    names_of,
)
from tests.http.servers import get, serving_bytes
from tests.tools.http2 import Behaviour, Connection, Http2Server, serving_http2
from tests.tools.pokeapi import PokeAPI
from tests.tools.relay import ClientEnd, Relay, relaying

# With PINGING, only an unanswered ping ends a request; with READING, half a second without data.
PINGING = Limits(ping_interval=0.2, ping_timeout=0.5, read_timeout=60.0, total_timeout=60.0)
READING = Limits(read_timeout=0.5)

NO_PONG = GetError(kind="disconnected", reason="unreachable", detail="keep-alive timed out")

MEW = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"name": "mew"}'
PAGE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>Bad Gateway"
NO_APPLICATION_PROTOCOL = bytes([21, 3, 3, 0, 2, 2, 120])  # TLS's alert, as nginx sends it


class Injecting(Relay):
    """A relay that can write to its clients. `end_type` is the type of its new connections."""

    end_type: type[ClientEnd] = ClientEnd

    def inject(self, data: bytes) -> None:
        self._loop.call_soon_threadsafe(self._inject, data)

    def _inject(self, data: bytes) -> None:
        for client in self.connections:
            client.send(data)

    def _connected(self) -> ClientEnd:
        self.connections.append(self.end_type(self._half_trip, self._target))
        return self.connections[-1]


class Picky(ClientEnd):
    """A network that rejects each TLS handshake that does not offer HTTP/1.1, with TLS's alert."""

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
    """A server, the relay in front of it, and the relay's URL."""

    server: Http2Server
    relay: Injecting
    url: str

    def call(self, clients: Clients, count: int = 5, **options: Any) -> Fetched:
        """Fetch the numbers from 1 to `count`."""
        return asyncio.run(fetch_range(clients, **{"range": f"1-{count}", **options}))

    def call_for_names(self, clients: Clients, count: int = 5, **options: Any) -> Fetched:
        """Fetch the numbers from 1 to `count`, and check that every name is right."""
        fetched = self.call(clients, count, **options)
        assert names_of(fetched) == [NAMES[number] for number in range(1, count + 1)]
        return fetched


@pytest.fixture
def network(tls: ssl.SSLContext) -> Iterator[Network]:
    server = Http2Server()
    with serving_http2(server, tls) as server_port:
        relay = Injecting(server_port)
        with relaying(relay) as relay_port:
            yield Network(server, relay, f"https://localhost:{relay_port}")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list with the time of the module's clock, which a test may change."""
    now = [10.0]
    monkeypatch.setattr(connections, "monotonic", lambda: now[0])
    return now


def call_on_request(network: Network, number: int, callback: Callable[[], None]) -> None:
    """Call a function once, when the number or the list of all Pokémon is requested."""
    was_called = False

    def behave(connection: Connection, stream: int, requested: int) -> None:
        nonlocal was_called
        if not was_called and requested in {number, PokeAPI.LIST}:
            was_called = True
            callback()
        connection.answer(stream, requested)

    network.server.behave = behave


def answer_without_list(connection: Connection, stream: int, number: int) -> None:
    """Answer as the server does by default, but as if there were no list of all Pokémon."""
    if number == PokeAPI.LIST:
        connection.respond(stream, 404, b"")
    else:
        connection.answer(stream, number)


def attempts_for_numbers(fetched: Fetched) -> list[Attempt]:
    """Return the attempts that were not for the list of all Pokémon."""
    return [attempt for attempt in fetched.attempts if attempt.number is not None]


# How the clients are configured.


@both_clients
def test_the_first_call_makes_one_connection_and_the_next_none(
    network: Network, strategy: str
) -> None:
    clients = Clients(network.url)
    for _ in range(2):
        network.call_for_names(clients, 20, strategy=strategy)
        assert len(network.relay.connections) == len(network.server.connections) == 1
    assert len(network.server.requests) == 2 * 20
    assert network.server.hosts == {""}


@both_clients
def test_a_megabyte_of_each_body_may_arrive_at_once(network: Network, strategy: str) -> None:
    network.call(Clients(network.url), 1, strategy=strategy)
    (connection,) = network.server.connections
    assert connection.h2.remote_settings.initial_window_size == 1024 * 1024
    assert connection.h2.outbound_flow_control_window > 15 * 1024 * 1024


@both_clients
async def test_many_headers_over_http_2_are_read(network: Network, strategy: str) -> None:
    headers = {f"x-{index}": "v" * 1000 for index in range(60)}
    network.server.behave = lambda connection, stream, _: connection.respond(
        stream, 200, b"{}", **headers
    )
    assert (await get(Clients(network.url), strategy)).body == {}


@both_clients
@pytest.mark.parametrize(
    "head",
    [
        b"X-Folded: one\r\n two\r\n",
        b"X-Spaced : one\r\n",
        b"".join(b"X-%d: 1\r\n" % index for index in range(99)),  # and Content-Length
    ],
    ids=["folded", "spaced", "a hundred"],
)
async def test_unusual_headers_over_http_1_are_read(strategy: str, head: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(MEW.replace(b"\r\n", b"\r\n" + head, 1))
        writer.close()

    with serving_bytes(serve) as port:
        answer = await get(Clients(f"http://127.0.0.1:{port}"), strategy)
    assert answer.body == {"name": "mew"}


# The server does not speak HTTP/2, or stops speaking it.


@both_clients
@pytest.mark.parametrize("end_type", [ClientEnd, Picky])
def test_a_server_without_http_2_costs_one_connection(
    network: Network, strategy: str, end_type: type[ClientEnd]
) -> None:
    network.server.alpn = ["http/1.1"]
    network.relay.end_type = end_type
    clients = Clients(network.url)
    for _ in range(2):
        assert asyncio.run(get(clients, strategy)).error is None
    assert len(network.relay.connections) == 2
    network.call_for_names(clients, strategy=strategy)
    assert sorted(network.server.requests) == [1, 1, 1, 2, 3, 4, 5]


@both_clients
def test_a_server_may_end_http_2_without_an_explanation(tls: ssl.SSLContext, strategy: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"PRI "):
            writer.transport.abort()
            return
        writer.write(MEW)
        writer.close()

    with serving_bytes(serve, tls) as port:
        fetched = asyncio.run(
            fetch_range(f"https://localhost:{port}", range="1-3", strategy=strategy)
        )
    assert names_of(fetched) == ["mew"] * 3


@both_clients
def test_http_2_is_still_spoken_after_the_first_connections_end(
    network: Network, strategy: str
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection in network.server.connections[:2]:
            connection.transport.abort()
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    clients = Clients(network.url)
    network.call_for_names(clients, strategy=strategy)
    connections_made = len(network.relay.connections)
    network.call_for_names(clients, strategy=strategy)
    assert len(network.relay.connections) == connections_made <= 5


def abort(connection: Connection, *_: int) -> None:
    connection.transport.abort()


def reset_stream(connection: Connection, stream: int, _: int) -> None:
    connection.reset(stream, ErrorCodes.INTERNAL_ERROR)


@both_clients
@pytest.mark.parametrize("errors", [[abort], [abort, abort, reset_stream, abort]])
def test_http_2_is_not_abandoned_at_once(
    network: Network, strategy: str, errors: list[Behaviour]
) -> None:
    left = errors.copy()

    def behave(connection: Connection, stream: int, number: int) -> None:
        answer = left.pop(0) if left else Connection.answer
        answer(connection, stream, number)

    network.server.behave = behave
    clients = Clients(network.url)
    for _ in range(2):
        network.call_for_names(clients, 1, strategy=strategy)
        assert len(network.relay.connections) == errors.count(abort) + 1


@both_clients
@pytest.mark.parametrize("end_type", [ClientEnd, Picky])
def test_a_server_may_switch_http_2_off_while_the_connection_is_warm(
    network: Network, strategy: str, end_type: type[ClientEnd]
) -> None:
    network.server.alpn = ["h2", "http/1.1"]
    clients = Clients(network.url)
    network.call_for_names(clients, strategy=strategy)
    network.server.alpn = ["http/1.1"]
    network.relay.end_type = end_type
    network.relay.close()
    for _ in range(2):
        network.call_for_names(clients, strategy=strategy)
    assert len(network.server.connections) == 1


@both_clients
def test_a_server_may_switch_http_2_on_again(network: Network, strategy: str) -> None:
    network.server.alpn = ["http/1.1"]
    clients = Clients(network.url)
    network.call_for_names(clients, strategy=strategy)
    network.server.alpn = ["h2", "http/1.1"]
    network.relay.close()
    network.call_for_names(clients, 1, strategy=strategy)
    network.call_for_names(clients, 1, strategy=strategy)  # by a client that opens one connection
    connections_made = len(network.relay.connections)
    network.call_for_names(clients, strategy=strategy)
    assert len(network.relay.connections) == connections_made
    assert len(network.server.connections) == 2


def require_http_1(connection: Connection, stream: int, _: int) -> None:
    connection.reset(stream, ErrorCodes.HTTP_1_1_REQUIRED)


def require_http_1_of_all(connection: Connection, *_: int) -> None:
    if not connection.is_mute:
        connection.go_away(0, ErrorCodes.HTTP_1_1_REQUIRED)


@both_clients
@pytest.mark.parametrize("behave", [require_http_1, require_http_1_of_all])
@pytest.mark.parametrize("later", [["h2", "http/1.1"], ["http/1.1"]], ids=str)
def test_a_server_may_require_http_1_and_later_refuse_it(
    network: Network, strategy: str, behave: Behaviour, later: list[str]
) -> None:
    def require(connection: Connection, stream: int, number: int) -> None:
        network.server.alpn = later
        behave(connection, stream, number)

    network.server.alpn = ["h2", "http/1.1"]
    network.server.behave = require
    clients = Clients(network.url)
    network.call_for_names(clients, strategy=strategy)
    connections_made = len(network.server.connections)
    network.call_for_names(clients, strategy=strategy)
    assert len(network.server.connections) == connections_made
    network.server.alpn = ["h2"]
    network.server.behave = Connection.answer
    network.relay.close()
    network.call_for_names(clients, strategy=strategy)
    assert len(network.server.connections) > connections_made


# A connection ends.


@both_clients
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_connection_that_ends_between_two_calls_costs_nothing(
    network: Network, strategy: str, end: str
) -> None:
    clients = Clients(network.url)
    network.call_for_names(clients, strategy=strategy)
    end_connections = getattr(network.relay, end)
    end_connections()
    network.call_for_names(clients, strategy=strategy)
    assert len(network.relay.connections) == 2


@pytest.mark.parametrize(
    ("end", "has_begun"),
    [("forget", True), *product(["close", "reset"], [False, True])],
)
def test_the_end_of_a_connection_costs_no_number_a_retry(
    network: Network, end: str, *, has_begun: bool
) -> None:
    # No retry is ever left: the 20 names add only the 20 that are missing.
    policy = msgspec.structs.replace(QUICK, own_retries=0, shared_retries=-20)
    clients = Clients(network.url, limits=PINGING)
    network.call(clients, 1)
    end_connections = getattr(network.relay, end)
    has_ended = False

    def behave(connection: Connection, stream: int, number: int) -> None:
        nonlocal has_ended
        if connection is not network.server.connections[0]:
            answer_without_list(connection, stream, number)
        elif has_begun:
            connection.begin(stream)
        if not has_ended and len(network.server.requests) == 21:
            has_ended = True
            connection.flush()
            end_connections()

    network.server.behave = behave
    fetched = network.call_for_names(clients, 20, policy=policy)
    assert len(attempts_for_numbers(fetched)) >= 40


@both_clients
@pytest.mark.parametrize("data", [PAGE, NO_APPLICATION_PROTOCOL], ids=["page", "alert"])
@pytest.mark.parametrize("when", ["in the middle", "idle"])
def test_plain_text_within_a_tls_connection_costs_no_name(
    network: Network, strategy: str, data: bytes, when: str
) -> None:
    clients = Clients(network.url)
    network.call_for_names(clients, strategy=strategy)
    has_arrived = False

    def behave(connection: Connection, stream: int, number: int) -> None:
        nonlocal has_arrived
        if connection is not network.server.connections[0]:
            connection.answer(stream, number)
        elif not has_arrived:
            has_arrived = True
            network.relay.inject(data)

    if when == "idle":
        network.relay.inject(data)
    else:
        network.server.behave = behave
    for _ in range(2):
        network.call_for_names(clients, strategy=strategy)
    assert len(network.relay.connections) <= 3


@both_clients
@pytest.mark.parametrize("when", ["new", "warm"])
def test_an_http_1_page_within_an_http_2_connection_costs_no_name(
    network: Network, strategy: str, when: str
) -> None:
    clients = Clients(network.url)
    if when == "warm":
        network.call_for_names(clients, strategy=strategy)

    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection is network.server.connections[0]:
            connection.transport.write(PAGE)
            connection.transport.close()
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    for _ in range(2):
        network.call_for_names(clients, strategy=strategy)


def test_after_two_seconds_of_failing_handshakes_the_error_says_why(now: list[float]) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    with serving_bytes(hang_up) as port:
        for strategy in BOTH_CLIENTS:
            clients = Clients(f"https://localhost:{port}")
            for now[0], kind in (
                (10.0, "service"),
                (11.0, "service"),
                (12.0, "fatal"),
                (20.0, "service"),  # the earlier ones were too long ago to count
                (21.5, "service"),
                (22.0, "fatal"),
            ):
                error = asyncio.run(get(clients, strategy)).error
                assert error
                assert error.kind == kind
                assert "tls handshake eof" in error.detail


# A connection falls silent.


def forget(network: Network) -> None:
    network.relay.forget()


def stop_reading(network: Network) -> None:
    network.server.connections[0].transport.pause_reading()


@pytest.mark.parametrize(("strategy", "silence"), [("gather", forget), ("sync", stop_reading)])
async def test_a_connection_that_answers_no_ping_is_replaced(
    network: Network, strategy: str, silence: Callable[[Network], None]
) -> None:
    clients = Clients(network.url, limits=PINGING)
    assert (await get(clients, strategy)).error is None
    silence(network)
    assert (await get(clients, strategy)).error == NO_PONG
    assert (await get(clients, strategy)).error is None


async def test_a_new_connection_that_never_answers_is_replaced(network: Network) -> None:
    network.server.is_mute = True
    clients = Clients(network.url, limits=PINGING)
    assert (await get(clients)).error == NO_PONG
    network.server.is_mute = False
    assert (await get(clients)).error is None


@both_clients
def test_a_connection_that_the_network_forgets_during_a_fetch_costs_no_name(
    network: Network, strategy: str
) -> None:
    clients = Clients(network.url, limits=PINGING)
    call_on_request(network, 3, network.relay.forget)
    fetched = network.call_for_names(clients, strategy=strategy)
    assert any(attempt.ordinal > 1 for attempt in fetched.attempts)
    network.call_for_names(clients, strategy=strategy)


def allow_no_more_streams(connection: Connection, stream: int, number: int) -> None:
    connection.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    connection.answer(stream, number)


@both_clients
@pytest.mark.parametrize("first", [Connection.answer, allow_no_more_streams])
async def test_a_connection_that_answers_only_pings_is_replaced_after_a_timeout(
    network: Network, now: list[float], strategy: str, first: Behaviour
) -> None:
    clients = Clients(network.url)
    network.server.behave = first
    assert (await get(clients, strategy)).error is None

    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection is not network.server.connections[0]:
            connection.answer(stream, number)

    network.server.behave = behave
    now[0] += SILENCE
    error = (await get(clients, strategy, seconds=0.1)).error
    assert error
    assert error.reason == "timeout"
    for _ in range(2):
        assert (await get(clients, strategy)).error is None
    assert len(network.server.connections) == 2


@both_clients
async def test_a_connection_with_a_recent_response_is_kept_after_a_timeout(
    network: Network, now: list[float], strategy: str
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if number != 13:
            connection.answer(stream, number)

    network.server.behave = behave
    clients = Clients(network.url)
    assert (await get(clients, strategy)).error is None
    now[0] += 0.9 * SILENCE
    assert (await get(clients, strategy, "pokemon/13", seconds=0.1)).error
    assert (await get(clients, strategy)).error is None
    assert len(network.server.connections) == 1


@pytest.mark.parametrize(
    ("idle", "silent", "connections_made"),
    [(0.0, 0.9 * SILENCE, 1), (0.0, SILENCE, 2), (SILENCE, 0.0, 1)],
)
async def test_a_silent_connection_is_replaced_after_a_cancellation(
    network: Network, now: list[float], idle: float, silent: float, connections_made: int
) -> None:
    arrived = threading.Event()

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number == 13:
            arrived.set()
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    clients = Clients(network.url)
    assert (await get(clients)).error is None
    now[0] += idle
    task = asyncio.create_task(get(clients, path="pokemon/13"))
    await asyncio.to_thread(arrived.wait)
    now[0] += silent
    task.cancel()
    await asyncio.wait([task])
    assert (await get(clients)).error is None
    assert len(network.server.connections) == connections_made


@both_clients
@pytest.mark.parametrize("why", ["answers only pings", "allows no streams"])
def test_a_useless_first_connection_costs_no_name(
    network: Network, monkeypatch: pytest.MonkeyPatch, strategy: str, why: str
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection is not network.server.connections[0]:
            connection.answer(stream, number)

    connected = Connection.connection_made

    def connection_made(self: Connection, transport: asyncio.BaseTransport) -> None:
        connected(self, transport)
        network.server.max_streams = 100

    if why == "allows no streams":
        network.server.max_streams = 0
        monkeypatch.setattr(Connection, "connection_made", connection_made)
    network.server.behave = behave
    clients = Clients(network.url, limits=READING)
    for _ in range(2):
        network.call_for_names(clients, strategy=strategy)
    assert len(network.server.connections) >= 2


@both_clients
def test_a_connection_that_falls_silent_during_a_fetch_costs_no_name(
    network: Network, strategy: str
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        is_first = connection is network.server.connections[0]
        if not is_first or connection.answered < 3:
            connection.answer(stream, number)

    network.server.behave = behave
    clients = Clients(network.url)
    policy = msgspec.structs.replace(QUICK, lag_timeout=1.2 * SILENCE)
    for _ in range(2):
        network.call_for_names(clients, policy=policy, strategy=strategy)
    assert len(network.server.connections) >= 2


# A number ends its connection, or is refused.


def killing(*killers: int, has_list: bool) -> Behaviour:
    """Return a behaviour that ends the connection of every request for these numbers."""
    answer = Connection.answer if has_list else answer_without_list

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number in killers:
            connection.transport.abort()
        else:
            answer(connection, stream, number)

    return behave


@both_clients
def test_the_name_of_a_number_that_ends_its_connection_comes_from_the_list(
    network: Network, strategy: str
) -> None:
    network.server.behave = killing(3, 13, has_list=True)
    fetched = network.call_for_names(Clients(network.url), 20, strategy=strategy)
    assert fetched.listed >= 2


@pytest.mark.parametrize("killers", [{3}, {3, 13}])
def test_a_number_that_ends_its_connection_soon_fails_and_no_other_does(
    network: Network, killers: set[int]
) -> None:
    policy = msgspec.structs.replace(
        QUICK,
        own_retries=4,
        shared_retries=-1000,  # because each name adds one
        straggler_timeout=math.inf,
        silence_timeout=math.inf,
    )
    network.server.behave = killing(*killers, has_list=False)
    fetched = network.call(Clients(network.url), 16, policy=policy)
    failures = failures_of(fetched)
    assert {failure.number for failure in failures} == killers
    assert {failure.reason for failure in failures} == {"unreachable"}
    assert all(" " in failure.detail for failure in failures)  # the network's own message
    # It is one of at most 16 requests, then 8, 4, 2 and 1.
    assert max(failure.attempts for failure in failures) <= 5


def test_a_server_may_allow_one_request_at_a_time_and_say_so_late(network: Network) -> None:
    network.server.max_streams = 1
    clients = Clients(network.url)
    for _ in range(2):
        network.call_for_names(clients, 20)
    # A request that is queued in pyreqwest when a connection ends goes straight to the next one,
    # and may end that one as well.
    assert len(network.relay.connections) == 1 + network.server.violations


@pytest.mark.parametrize("error", [ErrorCodes.NO_ERROR, ErrorCodes.ENHANCE_YOUR_CALM])
def test_a_server_may_end_every_connection_after_three_requests(
    network: Network, error: ErrorCodes
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection.is_mute:
            return
        answer_without_list(connection, stream, number)
        if connection.answered == 3:
            connection.go_away(stream, error)

    network.server.behave = behave
    # No retry is ever left: the 20 names add only the 20 that are missing.
    policy = msgspec.structs.replace(QUICK, own_retries=0, shared_retries=-20)
    fetched = network.call_for_names(Clients(network.url), 20, policy=policy)
    assert len(attempts_for_numbers(fetched)) == 20  # unprocessed requests are not counted


def test_requests_that_are_never_processed_do_not_count_as_attempts(network: Network) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection in network.server.connections[:2]:
            connection.go_away(0)
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    fetched = network.call_for_names(Clients(network.url), 1, policy=NO_RETRIES)
    assert [attempt.ordinal for attempt in fetched.attempts] == [1]


def refusing(number: int, *, times: float = math.inf, has_list: bool) -> Behaviour:
    """Return a behaviour that refuses the first requests for a number."""
    answer = Connection.answer if has_list else answer_without_list
    left = times

    def behave(connection: Connection, stream: int, requested: int) -> None:
        nonlocal left
        if requested == number and left > 0:
            left -= 1
            connection.reset(stream, ErrorCodes.REFUSED_STREAM)
        else:
            answer(connection, stream, requested)

    return behave


def test_refused_requests_cost_no_retries_and_are_all_counted(network: Network) -> None:
    refusals = 3 * 4
    network.server.behave = refusing(1, times=refusals, has_list=False)
    fetched = network.call_for_names(Clients(network.url), 3, policy=NO_RETRIES)
    attempts = [attempt.ordinal for attempt in fetched.attempts if attempt.number == 1]
    assert len(fetched.attempts) == len(network.server.requests)
    assert sorted(attempts) == list(range(1, refusals + 2))


@both_clients
def test_the_name_of_a_number_that_is_always_refused_comes_from_the_list(
    network: Network, strategy: str
) -> None:
    network.server.behave = refusing(3, has_list=True)
    fetched = network.call_for_names(Clients(network.url), strategy=strategy)
    assert fetched.listed == 1
    assert network.server.requests.count(3) == 9  # pyreqwest sends each of three requests 3 times


@both_clients
def test_the_reset_of_a_stream_does_not_end_the_connection(network: Network, strategy: str) -> None:
    left = [1, 2, 1, 2]

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number in left:
            left.remove(number)
            reset_stream(connection, stream, number)
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    fetched = network.call_for_names(Clients(network.url), strategy=strategy)
    assert len(fetched.attempts) == len(network.server.requests)
    assert len(network.relay.connections) == 1


# The environment is frozen.

# Each line of stdin is the time for a fetch, in seconds. Each line of stdout is how many names it
# returned.
PROGRAM = """
import asyncio, sys, time
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import fetch
from pokemon_names.fetching.window import Window
from pokemon_names.http.client import Clients
from pokemon_names.model import Found, Request

policy = Policy()
clients = Clients(sys.argv[1])
request = Request.parse({"range": sys.argv[2], "strategy": sys.argv[3]}, 1500)
for line in sys.stdin:
    deadline = time.monotonic() + float(line)

    async def run():
        return await fetch(request, clients, Cache(0), Window(policy), deadline, policy)

    fetched = asyncio.run(run())
    print(sum(isinstance(result, Found) for result in fetched.results), flush=True)
"""


@pytest.mark.fuzz
@both_clients
@pytest.mark.parametrize("fate", ["stays open", "close", "reset", "forget"])
@pytest.mark.parametrize("when", ["idle", "in the middle"])
def test_a_frozen_environment_loses_no_name(
    network: Network, strategy: str, fate: str, when: str
) -> None:
    count = 150
    seconds = 20  # longer than the policy's `silence_timeout`
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, network.url, f"1-{count}", strategy],
        env={**os.environ, "PYTHONPATH": "src"},
        stdin=PIPE,
        stdout=PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin
        assert process.stdout
        frozen = threading.Event()

        def freeze() -> None:
            process.send_signal(signal.SIGSTOP)
            if fate != "stays open":
                end_connections = getattr(network.relay, fate)
                end_connections()
            frozen.set()

        process.stdin.write("30\n")
        assert int(process.stdout.readline()) == count
        if when == "idle":
            freeze()
        else:
            call_on_request(network, (count + 1) // 2, freeze)
        process.stdin.write(f"{seconds + 30}\n")
        frozen.wait()
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        assert int(process.stdout.readline()) == count
        process.stdin.write("30\n")
        assert int(process.stdout.readline()) == count
        process.stdin.close()
