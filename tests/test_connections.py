"""What networks and servers do to connections costs time at most, over TLS with HTTP/2 and without."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from subprocess import PIPE
from typing import Any, NamedTuple

import pytest
import trustme
from h2.errors import ErrorCodes

from pokemon_names import retry, server
from pokemon_names.client import Clients
from pokemon_names.outcome import Fetched, Found
from pokemon_names.request import STRATEGIES
from tests.conftest import BOTH_CLIENTS, both_clients, certified, failures, fetched, names
from tests.tools.http2 import Behaviour, Connection, Http2Server, serving_http2
from tests.tools.pokeapi import PokeAPI, serving
from tests.tools.relay import Relay, relaying

strategy = pytest.mark.parametrize("strategy", STRATEGIES)
numbers = pytest.mark.parametrize("numbers", [1, 150])


class Network(NamedTuple):
    """A server, the relay in front of it, and where that is reached."""

    server: Http2Server
    relay: Relay
    url: str

    def call(self, clients: Clients, numbers: int = 150, **options: Any) -> Fetched:
        """Fetch within 5 s: it has no more time."""
        return asyncio.run(fetched(clients, **{"seconds": 5, "range": f"1-{numbers}", **options}))


@pytest.fixture
def network(tls: ssl.SSLContext) -> Iterator[Network]:
    with ExitStack() as stack:
        server = Http2Server()
        relay = Relay(stack.enter_context(serving_http2(server, tls)))
        yield Network(server, relay, f"https://localhost:{stack.enter_context(relaying(relay))}")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice sooner that a connection is dead."""
    monkeypatch.setattr(server, "PING_INTERVAL", timedelta(seconds=0.5))
    monkeypatch.setattr(server, "PING_TIMEOUT", timedelta(seconds=0.5))


def once(network: Network, number: int, what: Callable[[], None]) -> None:
    """Have something befall the network when a number is asked for, or the list of all, once."""
    left = [what]

    def behave(connection: Connection, stream: int, asked: int) -> None:
        if left and asked in {number, 0}:
            left.pop()()
        connection.answer(stream, asked)

    network.server.behave = behave


@strategy
@numbers
def test_the_first_call_makes_one_connection_and_the_next_none(network: Network, strategy: str, numbers: int) -> None:
    clients = Clients(network.url)
    for _ in range(2):
        assert len(names(network.call(clients, numbers, strategy=strategy))) == numbers
        assert len(network.relay.connections) == len(network.server.connections) == 1
    assert len(network.server.requests) == (2 if strategy == "index" else 2 * numbers)
    assert network.server.hosts == {""}


@both_clients
@pytest.mark.parametrize("alpn", [None, ["http/1.1"]])
def test_a_server_with_tls_and_without_http_2(tls: ssl.SSLContext, strategy: str, alpn: list[str] | None) -> None:
    if alpn:
        tls.set_alpn_protocols(alpn)
    pokeapi = PokeAPI()
    with serving(pokeapi, ssl_context=tls) as port:
        clients = Clients(f"https://localhost:{port}/api/v2")
        first = asyncio.run(fetched(clients, range="1-20", strategy=strategy))
        assert len(names(first)) == pokeapi.requests == 20
        second = asyncio.run(fetched(clients, range="1-20", strategy=strategy))
        assert len(names(second)) == len(second.exchanges) == 20  # it remembers


@both_clients
def test_a_server_whose_first_connections_end_speaks_http_2_all_the_same(network: Network, strategy: str) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection in network.server.connections[:2]:
            connection.transport.abort()
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    clients = Clients(network.url)
    assert failures(network.call(clients, 20, strategy=strategy)) == []
    connections = len(network.relay.connections)
    assert failures(network.call(clients, 20, strategy=strategy)) == []
    assert len(network.relay.connections) == connections <= 5


@strategy
@numbers
@pytest.mark.parametrize("when", ["idle", "in the middle"])
@pytest.mark.usefixtures("soon")
def test_a_connection_that_the_network_forgets(network: Network, strategy: str, numbers: int, when: str) -> None:
    clients = Clients(network.url)
    network.call(clients, numbers, strategy=strategy)
    if when == "idle":
        network.relay.forget()
    else:
        once(network, (numbers + 1) // 2, network.relay.forget)
    result = network.call(clients, numbers, strategy=strategy)
    assert len(names(result)) == numbers
    assert any(exchange.attempt > 1 for exchange in result.exchanges)
    again = network.call(clients, numbers, strategy=strategy)
    assert len(names(again)) == numbers
    assert all(exchange.attempt == 1 for exchange in again.exchanges)
    assert len(network.relay.connections) == 2


@both_clients
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_connection_that_ends_between_two_calls_costs_nothing(network: Network, strategy: str, end: str) -> None:
    clients = Clients(network.url)
    network.call(clients, strategy=strategy)
    getattr(network.relay, end)()
    result = network.call(clients, strategy=strategy)
    assert len(names(result)) == 150
    assert len(network.relay.connections) == 2


@pytest.mark.parametrize("end", ["forget", "close", "reset"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.usefixtures("soon")
def test_the_end_of_a_connection_is_charged_to_no_number(
    network: Network, monkeypatch: pytest.MonkeyPatch, end: str, *, begun: bool
) -> None:
    monkeypatch.setattr(retry, "OWN_RETRIES", 0)
    monkeypatch.setattr(retry, "SHARED_RETRIES", -150)  # as many as names earn
    clients = Clients(network.url)
    network.call(clients, 1)
    left = [getattr(network.relay, end)]

    def behave(connection: Connection, stream: int, number: int) -> None:
        if connection is not network.server.connections[0]:
            connection.answer(stream, number)
        elif begun:
            connection.begin(stream)
        if left and len(network.server.requests) == 101:
            connection.flush()
            left.pop()()

    network.server.behave = behave
    result = network.call(clients)
    assert failures(result) == []
    assert len(result.exchanges) == 250


FATES = ["stands", "close", "reset", "forget"]
CALLS = """
import asyncio, sys, time
from pokemon_names import fetch
from pokemon_names.cache import Cache
from pokemon_names.client import Clients
from pokemon_names.outcome import Fetched, Found
from pokemon_names.request import Request
from pokemon_names.window import Window

fetch.SILENCE_TIMEOUT = 2.4  # less than it is frozen for
clients = Clients(sys.argv[1])
request = Request(range=sys.argv[2], strategy=sys.argv[3])
for line in sys.stdin:
    deadline = time.monotonic() + float(line)
    result = asyncio.run(fetch.fetch(request, clients, Cache(0), Window(100), deadline))
    print(sum(isinstance(outcome, Found) for outcome in result.outcomes), flush=True)
"""


@pytest.mark.parametrize(
    ("strategy", "numbers", "seconds"),
    [
        ("gather", 150, 2.5),
        *(pytest.param(strategy, count, 20, marks=pytest.mark.fuzz) for strategy in STRATEGIES for count in (1, 150)),
    ],
)
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("when", ["idle", "in the middle"])
def test_a_frozen_environment(  # noqa: PLR0913, PLR0917
    network: Network, strategy: str, numbers: int, seconds: float, fate: str, when: str
) -> None:
    command = [sys.executable, "-c", CALLS, network.url, f"1-{numbers}", strategy]
    environment = {**os.environ, "PYTHONPATH": "src"}
    with subprocess.Popen(command, env=environment, stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as process:
        assert process.stdin
        assert process.stdout
        frozen = threading.Event()

        def freeze() -> None:
            process.send_signal(signal.SIGSTOP)
            if fate != "stands":
                getattr(network.relay, fate)()
            frozen.set()

        process.stdin.write("5\n")
        assert int(process.stdout.readline()) == numbers
        if when == "idle":
            freeze()
        else:
            once(network, (numbers + 1) // 2, freeze)
        process.stdin.write("5\n" if when == "idle" else f"{seconds + 5}\n")
        frozen.wait()
        threading.Event().wait(seconds)
        process.send_signal(signal.SIGCONT)
        assert int(process.stdout.readline()) == numbers
        process.stdin.write("5\n")
        assert int(process.stdout.readline()) == numbers
        process.stdin.close()


@both_clients
@pytest.mark.usefixtures("soon")
def test_a_connection_that_is_born_dead(network: Network, strategy: str) -> None:
    network.server.is_mute = True
    clients = Clients(network.url)
    threading.Timer(0.5, lambda: setattr(network.server, "is_mute", False)).start()
    assert len(names(network.call(clients, strategy=strategy))) == 150
    assert len(names(network.call(clients, strategy=strategy))) == 150


@both_clients
@pytest.mark.usefixtures("soon")
def test_a_server_that_stops_reading(network: Network, strategy: str) -> None:
    clients = Clients(network.url)
    network.call(clients, 1, strategy=strategy)
    network.server.connections[0].transport.pause_reading()
    assert len(names(network.call(clients, strategy=strategy))) == 150
    assert len(network.server.connections) == 2


@pytest.mark.parametrize("killers", [{13}, {30, 60, 90, 120, 150}])
def test_a_number_that_ends_its_connection_costs_itself_alone(network: Network, killers: set[int]) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        if number in killers:
            connection.transport.abort()
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    result = network.call(Clients(network.url), straggler_timeout=0.5)
    assert len(names(result)) == 150 - len(killers)
    assert {failed.number: failed.reason for failed in failures(result)} == dict.fromkeys(killers, "unreachable")


def test_a_server_that_allows_fewer_requests_at_once_than_are_sent_before_it_says_so(network: Network) -> None:
    network.server.max_streams = 1
    clients = Clients(network.url)
    for _ in range(2):
        assert len(names(network.call(clients))) == 150
    # What waits in pyreqwest for a connection to end goes to the next one at once, and may end that, too.
    assert len(network.relay.connections) == 1 + network.server.violations


@pytest.mark.parametrize("error", [ErrorCodes.NO_ERROR, ErrorCodes.ENHANCE_YOUR_CALM])
def test_a_server_that_ends_every_connection_after_ten_requests(network: Network, error: ErrorCodes) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        connection.answer(stream, number)
        if connection.answered == 10:
            connection.go_away(stream, error)

    network.server.behave = behave
    result = network.call(Clients(network.url), seconds=30)
    assert len(names(result)) == len(result.exchanges) == 150  # what was not processed is no request


def resetting(times: int, error: ErrorCodes) -> Behaviour:
    """Reset the stream of each number's first requests."""
    left: dict[int, int] = {}

    def behave(connection: Connection, stream: int, number: int) -> None:
        if left.setdefault(number, times):
            left[number] -= 1
            connection.reset(stream, error)
        else:
            connection.answer(stream, number)

    return behave


def test_refused_requests_are_free_and_all_of_them_are_counted(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SHARED_RETRIES", 0)
    monkeypatch.setattr(retry, "OWN_RETRIES", 0)
    network.server.behave = resetting(3 * 4, ErrorCodes.REFUSED_STREAM)
    result = network.call(Clients(network.url), 20)
    assert len(names(result)) == 20
    assert len(result.exchanges) == len(network.server.requests) == 20 * (3 * 4 + 1)
    assert sorted(exchange.attempt for exchange in result.exchanges if exchange.number == 1) == list(range(1, 14))


@strategy
def test_a_stream_that_is_reset_is_a_fault_of_its_own(network: Network, strategy: str) -> None:
    network.server.behave = resetting(2, ErrorCodes.INTERNAL_ERROR)
    result = network.call(Clients(network.url), 20, strategy=strategy)
    assert len(names(result)) == 20
    assert len(result.exchanges) == len(network.server.requests)
    assert len(network.relay.connections) == 1


@pytest.mark.parametrize("strategy", BOTH_CLIENTS)
def test_a_body_whose_stream_is_reset(network: Network, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    monkeypatch.setattr(retry, "OWN_RETRIES", 1)
    monkeypatch.setattr(retry, "SHARED_RETRIES", -10)

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number == 2:
            connection.begin(stream)
            connection.reset(stream, ErrorCodes.INTERNAL_ERROR)
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    (failed,) = failures(network.call(Clients(network.url), 3, strategy=strategy))
    assert (failed.number, failed.reason, failed.attempts) == (2, "bad_body", 2)
    assert failed.detail == "stream error received: unexpected internal error encountered"


def of_another_authority(_: trustme.CA) -> trustme.LeafCert:
    return trustme.CA().issue_cert("localhost")


def of_another_host(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("example.org")


def expired(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))


INVALID = "invalid peer certificate: "


@strategy
@pytest.mark.parametrize(
    ("issue", "detail"),
    [
        (of_another_authority, f"{INVALID}UnknownIssuer; name a file with its authority in SSL_CERT_FILE"),
        (
            of_another_host,
            f'{INVALID}certificate not valid for name "localhost"; correct the host in POKEAPI_URL',
        ),
        (expired, f"{INVALID}certificate expired; the server needs a new one"),
    ],
)
def test_a_certificate_is_tried_once(
    authority: trustme.CA, strategy: str, issue: Callable[[trustme.CA], trustme.LeafCert], detail: str
) -> None:
    with serving_http2(Http2Server(), certified(issue(authority))) as port:
        result = asyncio.run(fetched(f"https://localhost:{port}", range="1-150", strategy=strategy))
    assert {failed.reason for failed in failures(result)} == {"unreachable"}
    assert {failed.detail for failed in failures(result)} <= {detail, f"not sent, after: {detail}"}
    assert len(failures(result)) == 150
    assert all(exchange.attempt == 1 for exchange in result.exchanges)
    assert len(result.exchanges) < 100  # those that wait for the connection when it fails may still make one


def test_a_server_without_tls(url: str, pokeapi: PokeAPI) -> None:
    result = asyncio.run(fetched(url.replace("http:", "https:"), range="1-150"))
    detail = "received corrupt message of type InvalidContentType; the server does not speak TLS: correct POKEAPI_URL"
    assert detail in {failed.detail for failed in failures(result)}
    assert len(failures(result)) == 150
    assert pokeapi.requests == 0


@strategy
def test_ssl_cert_file_is_honoured(tls: ssl.SSLContext, strategy: str) -> None:
    with serving(PokeAPI(), ssl_context=tls) as port:
        result = asyncio.run(fetched(f"https://localhost:{port}/api/v2", range="25", strategy=strategy))
    assert result.outcomes == [Found(25, "pikachu")]
