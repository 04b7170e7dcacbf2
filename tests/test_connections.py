"""Whatever networks and servers do to connections costs time at most, with or without HTTP/2."""

import asyncio
import math
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import product
from subprocess import PIPE
from typing import Any, NamedTuple

import msgspec
import pytest
import trustme
from anyio.from_thread import start_blocking_portal
from h2.errors import ErrorCodes

from pokemon_names.http.client import Answer, Clients
from pokemon_names.http.connections import Limits
from pokemon_names.model import STRATEGIES, Attempt, Failure, Fetched, Found
from tests.conftest import (
    NO_RETRIES,
    QUICK,
    both_clients,
    every_strategy,
    failures_of,
    fetch_range,
    names_of,
    server_context,
)
from tests.tools.connections import abort_all, close
from tests.tools.http2 import Behaviour, Connection, Http2Server, serving_http2
from tests.tools.pokeapi import PokeAPI, serving
from tests.tools.relay import Relay, relaying

one_and_many = pytest.mark.parametrize("count", [1, 150])

QUICK_PINGS = Limits(ping_interval=0.5, ping_timeout=0.5)
IMPATIENT = msgspec.structs.replace(QUICK, straggler_timeout=3.0)


class Network(NamedTuple):
    """A server, the relay in front of it, and the relay's URL."""

    server: Http2Server
    relay: Relay
    url: str

    def call(self, clients: Clients, count: int = 150, **options: Any) -> Fetched:
        """Fetch so many numbers, by default within 5 s."""
        options = {"seconds": 5, "range": f"1-{count}", **options}
        return asyncio.run(fetch_range(clients, **options))


@pytest.fixture
def network(tls: ssl.SSLContext) -> Iterator[Network]:
    server = Http2Server()
    with serving_http2(server, tls) as server_port:
        relay = Relay(server_port)
        with relaying(relay) as relay_port:
            yield Network(server, relay, f"https://localhost:{relay_port}")


def call_on_request(network: Network, number: int, callback: Callable[[], None]) -> None:
    """Call a function once, when the number is requested, or the list of all."""
    was_called = False

    def behave(connection: Connection, stream: int, requested: int) -> None:
        nonlocal was_called
        if not was_called and requested in {number, PokeAPI.LIST}:
            was_called = True
            callback()
        connection.answer(stream, requested)

    network.server.behave = behave


def answer_without_list(connection: Connection, stream: int, number: int) -> None:
    """Answer as the server does by itself, but say that there is no list of all."""
    if number == PokeAPI.LIST:
        connection.respond(stream, 404, b"")
    else:
        connection.answer(stream, number)


def attempts_for_numbers(fetched: Fetched) -> list[Attempt]:
    """Return the attempts that were not for the list of all."""
    return [attempt for attempt in fetched.attempts if attempt.number is not None]


@every_strategy
@one_and_many
def test_the_first_call_makes_one_connection_and_the_next_none(
    network: Network, strategy: str, count: int
) -> None:
    clients = Clients(network.url)
    for _ in range(2):
        assert len(names_of(network.call(clients, count, strategy=strategy))) == count
        assert len(network.relay.connections) == len(network.server.connections) == 1
    requests_per_call = count
    if strategy == "index":
        requests_per_call = 1
    assert len(network.server.requests) == 2 * requests_per_call
    assert network.server.hosts == {""}


@both_clients
def test_a_megabyte_of_each_body_may_come_at_once(network: Network, strategy: str) -> None:
    network.call(Clients(network.url), 1, strategy=strategy)
    (connection,) = network.server.connections
    assert connection.h2.remote_settings.initial_window_size == 1024 * 1024
    assert connection.h2.outbound_flow_control_window > 15 * 1024 * 1024


@both_clients
@pytest.mark.parametrize("alpn", [None, ["http/1.1"]])
def test_a_server_with_tls_but_without_http_2(
    tls: ssl.SSLContext, strategy: str, alpn: list[str] | None
) -> None:
    if alpn:
        tls.set_alpn_protocols(alpn)
    pokeapi = PokeAPI()
    with serving(pokeapi, ssl_context=tls) as port:
        clients = Clients(f"https://localhost:{port}/api/v2")
        first = asyncio.run(fetch_range(clients, range="1-20", strategy=strategy))
        assert len(names_of(first)) == pokeapi.requests == 20
        second = asyncio.run(fetch_range(clients, range="1-20", strategy=strategy))
        assert len(names_of(second)) == len(second.attempts) == 20  # without a try of HTTP/2


@both_clients
def test_a_server_without_http_2_costs_one_connection(tls: ssl.SSLContext, strategy: str) -> None:
    tls.set_alpn_protocols(["http/1.1"])
    with serving(PokeAPI(), ssl_context=tls) as port:
        relay = Relay(port)
        with relaying(relay) as relay_port:
            clients = Clients(f"https://localhost:{relay_port}/api/v2")
            for _ in range(2):
                assert asyncio.run(get(clients, strategy)).error is None
    assert len(relay.connections) == 2


async def get(clients: Clients, strategy: str) -> Answer[bytes]:
    if strategy == "sync":
        return await asyncio.to_thread(clients.get_blocking, "pokemon/1/", bytes)
    return await clients.get("pokemon/1/", bytes)


async def answer_http_1_alone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request, and abort the connection of one by HTTP/2 without a word."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"PRI "):
        writer.transport.abort()
        return
    body = b'{"name": "mew"}'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    writer.close()


@both_clients
def test_a_server_that_does_not_say_that_it_speaks_no_http_2(
    tls: ssl.SSLContext, strategy: str
) -> None:
    with start_blocking_portal() as thread:
        start = partial(asyncio.start_server, answer_http_1_alone, "127.0.0.1", ssl=tls)
        server = thread.call(start)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        fetched = asyncio.run(fetch_range(url, range="1-3", strategy=strategy))
        thread.call(close, server)
        thread.call(abort_all)
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
    assert failures_of(network.call(clients, 20, strategy=strategy)) == []
    connections_made = len(network.relay.connections)
    assert failures_of(network.call(clients, 20, strategy=strategy)) == []
    assert len(network.relay.connections) == connections_made <= 5


def abort(connection: Connection, *_: int) -> None:
    connection.transport.abort()


def reset_stream(connection: Connection, stream: int, _: int) -> None:
    connection.reset(stream, ErrorCodes.INTERNAL_ERROR)


@both_clients
@pytest.mark.parametrize("errors", [[abort], [reset_stream, abort, abort]])
def test_a_server_that_may_speak_http_2_is_not_left_at_once(
    network: Network, strategy: str, errors: list[Behaviour]
) -> None:
    left = errors.copy()

    def behave(connection: Connection, stream: int, number: int) -> None:
        answer = left.pop(0) if left else Connection.answer
        answer(connection, stream, number)

    network.server.behave = behave
    clients = Clients(network.url)
    for _ in range(2):
        assert failures_of(network.call(clients, 1, strategy=strategy)) == []
        assert len(network.relay.connections) == errors.count(abort) + 1


@every_strategy
@one_and_many
@pytest.mark.parametrize("when", ["idle", "in the middle"])
def test_a_connection_that_the_network_forgets(
    network: Network, strategy: str, count: int, when: str
) -> None:
    clients = Clients(network.url, limits=QUICK_PINGS)
    network.call(clients, count, strategy=strategy)
    if when == "idle":
        network.relay.forget()
    else:
        call_on_request(network, (count + 1) // 2, network.relay.forget)
    fetched = network.call(clients, count, strategy=strategy)
    assert len(names_of(fetched)) == count
    assert any(attempt.attempt > 1 for attempt in fetched.attempts)
    again = network.call(clients, count, strategy=strategy)
    assert len(names_of(again)) == count
    assert all(attempt.attempt == 1 for attempt in again.attempts)
    assert len(network.relay.connections) == 2


@both_clients
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_connection_that_ends_between_two_calls_costs_nothing(
    network: Network, strategy: str, end: str
) -> None:
    clients = Clients(network.url)
    network.call(clients, strategy=strategy)
    end_connections = getattr(network.relay, end)
    end_connections()
    fetched = network.call(clients, strategy=strategy)
    assert len(names_of(fetched)) == 150
    assert len(network.relay.connections) == 2


@pytest.mark.parametrize("end", ["forget", "close", "reset"])
@pytest.mark.parametrize("has_begun", [False, True])
def test_the_end_of_a_connection_costs_no_number_a_retry(
    network: Network, end: str, *, has_begun: bool
) -> None:
    # The names earn as many.
    policy = msgspec.structs.replace(QUICK, own_retries=0, shared_retries=-150)
    clients = Clients(network.url, limits=QUICK_PINGS)
    network.call(clients, 1)
    end_connections = getattr(network.relay, end)
    has_ended = False

    def behave(connection: Connection, stream: int, number: int) -> None:
        nonlocal has_ended
        if connection is not network.server.connections[0]:
            answer_without_list(connection, stream, number)
        elif has_begun:
            connection.begin(stream)
        if not has_ended and len(network.server.requests) == 101:
            has_ended = True
            connection.flush()
            end_connections()

    network.server.behave = behave
    fetched = network.call(clients, policy=policy)
    assert failures_of(fetched) == []
    assert len(attempts_for_numbers(fetched)) == 250


FATES = ["stands", "close", "reset", "forget"]

# Each line of its stdin is the seconds for a fetch, and each of its stdout the number of names.
PROGRAM = """
import asyncio, sys, time
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import fetch
from pokemon_names.fetching.window import Window
from pokemon_names.http.client import Clients
from pokemon_names.model import Found, Request

policy = Policy(silence_timeout=2.4)  # less than it is frozen for
clients = Clients(sys.argv[1])
request = Request.parse({"range": sys.argv[2], "strategy": sys.argv[3]}, 1500)
for line in sys.stdin:
    deadline = time.monotonic() + float(line)

    async def run():
        return await fetch(request, clients, Cache(0), Window(policy), deadline, policy)

    fetched = asyncio.run(run())
    print(sum(isinstance(result, Found) for result in fetched.results), flush=True)
"""


def long_freezes() -> Iterator[Any]:
    for strategy, count in product(STRATEGIES, [1, 150]):
        yield pytest.param(strategy, count, 20, marks=pytest.mark.fuzz)


@pytest.mark.parametrize(("strategy", "count", "seconds"), [("gather", 150, 2.5), *long_freezes()])
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("when", ["idle", "in the middle"])
def test_a_frozen_environment(  # noqa: PLR0913, PLR0917  the cases' values
    network: Network, strategy: str, count: int, seconds: float, fate: str, when: str
) -> None:
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
            if fate != "stands":
                end_connections = getattr(network.relay, fate)
                end_connections()
            frozen.set()

        process.stdin.write("5\n")
        assert int(process.stdout.readline()) == count
        if when == "idle":
            freeze()
            process.stdin.write("5\n")
        else:
            call_on_request(network, (count + 1) // 2, freeze)
            process.stdin.write(f"{seconds + 5}\n")
        frozen.wait()
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        assert int(process.stdout.readline()) == count
        process.stdin.write("5\n")
        assert int(process.stdout.readline()) == count
        process.stdin.close()


@both_clients
def test_a_connection_that_never_answers(network: Network, strategy: str) -> None:
    network.server.is_mute = True
    clients = Clients(network.url, limits=QUICK_PINGS)
    threading.Timer(0.5, lambda: setattr(network.server, "is_mute", False)).start()
    assert len(names_of(network.call(clients, strategy=strategy))) == 150
    assert len(names_of(network.call(clients, strategy=strategy))) == 150


@both_clients
def test_a_server_that_stops_reading(network: Network, strategy: str) -> None:
    clients = Clients(network.url, limits=QUICK_PINGS)
    network.call(clients, 1, strategy=strategy)
    network.server.connections[0].transport.pause_reading()
    assert len(names_of(network.call(clients, strategy=strategy))) == 150
    assert len(network.server.connections) == 2


def killing(*killers: int, has_list: bool) -> Behaviour:
    """Return a behaviour that ends the connection of every request for these numbers."""
    answer = Connection.answer if has_list else answer_without_list

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number in killers:
            connection.transport.abort()
        else:
            answer(connection, stream, number)

    return behave


killers = pytest.mark.parametrize("killers", [{13}, {30, 60, 90, 120, 150}])


@every_strategy
@killers
def test_the_name_of_a_number_that_ends_its_connection_comes_from_the_list(
    network: Network, strategy: str, killers: set[int]
) -> None:
    network.server.behave = killing(*killers, has_list=True)
    fetched = network.call(Clients(network.url), strategy=strategy)
    assert failures_of(fetched) == []
    if strategy != "index":
        assert fetched.listed >= len(killers)


@killers
def test_a_number_that_ends_its_connection_fails_alone(network: Network, killers: set[int]) -> None:
    network.server.behave = killing(*killers, has_list=False)
    policy = msgspec.structs.replace(QUICK, straggler_timeout=3.0)
    fetched = network.call(Clients(network.url), policy=policy, seconds=20)
    failures = failures_of(fetched)
    reasons = {failure.number: failure.reason for failure in failures}
    assert len(names_of(fetched)) == 150 - len(killers)
    assert reasons == dict.fromkeys(killers, "unreachable")
    assert all(" " in failure.detail for failure in failures)  # what the network says


def test_a_number_that_ends_its_connection_is_soon_known_for_it(network: Network) -> None:
    policy = msgspec.structs.replace(
        QUICK,
        own_retries=1,
        shared_retries=-1000,  # names earn some
        straggler_timeout=math.inf,
    )
    network.server.behave = killing(13, has_list=False)
    fetched = network.call(Clients(network.url), policy=policy)
    (failure,) = failures_of(fetched)
    assert failure.reason == "unreachable"
    # As one of at most 100, 50, 25, 12, 6, 3 and 1, or of fewer where the machine is slow.
    assert 5 <= failure.attempts <= 7


def abort_after_a_byte(connection: Connection, stream: int, _: int) -> None:
    connection.begin(stream)
    connection.flush()
    connection.transport.abort()


def say_nothing_more(connection: Connection, *_: int) -> None:
    connection.is_mute = True


@both_clients
@pytest.mark.parametrize(
    ("behave", "detail"),
    [
        (abort, "peer closed connection without sending TLS close_notify"),
        (abort_after_a_byte, "peer closed connection without sending TLS close_notify"),
        (say_nothing_more, "keep-alive timed out"),
    ],
)
def test_the_failure_says_how_its_connection_ended(
    network: Network, strategy: str, behave: Behaviour, detail: str
) -> None:
    network.server.behave = behave
    clients = Clients(network.url, limits=QUICK_PINGS)
    policy = msgspec.structs.replace(NO_RETRIES, max_list_attempts=0)
    fetched = network.call(clients, 1, policy=policy, strategy=strategy)
    assert fetched.results == [Failure(1, "unreachable", None, 1, detail)]


def test_a_connection_that_is_refused_is_no_connection_that_ends() -> None:
    fetched = asyncio.run(fetch_range("https://127.0.0.1:1", policy=NO_RETRIES, range="1-3"))
    assert [failure.attempts for failure in failures_of(fetched)] == [1, 1, 1]


def test_a_server_that_allows_one_request_at_once_and_says_so_late(network: Network) -> None:
    network.server.max_streams = 1
    clients = Clients(network.url)
    for _ in range(2):
        assert len(names_of(network.call(clients))) == 150
    # A request that waits in pyreqwest for a connection to end goes to the next one at once, and
    # may end that one, too.
    assert len(network.relay.connections) == 1 + network.server.violations


@pytest.mark.parametrize("error", [ErrorCodes.NO_ERROR, ErrorCodes.ENHANCE_YOUR_CALM])
def test_a_server_that_ends_every_connection_after_ten_requests(
    network: Network, error: ErrorCodes
) -> None:
    def behave(connection: Connection, stream: int, number: int) -> None:
        answer_without_list(connection, stream, number)
        if connection.answered == 10:
            connection.go_away(stream, error)

    network.server.behave = behave
    fetched = network.call(Clients(network.url), seconds=30)
    assert len(names_of(fetched)) == 150
    assert len(fetched.attempts) == 150  # unprocessed requests are not counted


def resetting(times: int, error: ErrorCodes) -> Behaviour:
    """Return a behaviour that resets the stream of each number's first requests, and the list's."""
    resets: Counter[int] = Counter()

    def behave(connection: Connection, stream: int, number: int) -> None:
        if resets[number] < times:
            resets[number] += 1
            connection.reset(stream, error)
        else:
            connection.answer(stream, number)

    return behave


def test_refused_requests_cost_no_retries_and_are_all_counted(network: Network) -> None:
    refusals = 3 * 4
    refuse = resetting(refusals, ErrorCodes.REFUSED_STREAM)

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number == PokeAPI.LIST:
            answer_without_list(connection, stream, number)
        else:
            refuse(connection, stream, number)

    network.server.behave = behave
    fetched = network.call(Clients(network.url), 20, policy=NO_RETRIES)
    attempts = [attempt.attempt for attempt in fetched.attempts if attempt.number == 1]
    assert len(names_of(fetched)) == 20
    assert len(fetched.attempts) == len(network.server.requests)
    assert len(attempts_for_numbers(fetched)) == 20 * (refusals + 1)
    assert sorted(attempts) == list(range(1, refusals + 2))


def refusing_13(*, has_list: bool) -> Behaviour:
    """Return a behaviour that refuses every request for number 13."""
    answer = Connection.answer if has_list else answer_without_list

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number == 13:
            connection.reset(stream, ErrorCodes.REFUSED_STREAM)
        else:
            answer(connection, stream, number)

    return behave


@both_clients
def test_the_name_of_a_number_that_is_always_refused_comes_from_the_list(
    network: Network, strategy: str
) -> None:
    network.server.behave = refusing_13(has_list=True)
    fetched = network.call(Clients(network.url), 20, strategy=strategy)
    assert failures_of(fetched) == []
    assert fetched.listed == 1
    assert network.server.requests.count(13) == 9  # pyreqwest sends each of three attempts thrice


def test_a_number_that_is_always_refused_fails_alone(network: Network) -> None:
    network.server.behave = refusing_13(has_list=False)
    fetched = network.call(Clients(network.url), 20, policy=IMPATIENT)
    (failure,) = failures_of(fetched)
    assert failure.number == 13
    assert failure.reason == "unreachable"


def test_requests_that_are_never_processed_are_no_attempts(network: Network) -> None:
    policy = msgspec.structs.replace(QUICK, silence_timeout=0.5)
    network.server.behave = lambda connection, *_: connection.go_away(0)
    fetched = network.call(Clients(network.url), 3, policy=policy)
    not_sent = [failure for failure in failures_of(fetched) if failure.attempts == 0]
    assert len(not_sent) >= 2  # an attempt of the other may be in flight when all are given up
    assert {failure.reason for failure in not_sent} == {"unreachable"}
    detail = "not sent, after: connection error received: not a result of an error"
    assert {failure.detail for failure in not_sent} == {detail}
    assert len(fetched.attempts) <= 1


@every_strategy
def test_the_reset_of_a_stream_does_not_end_the_connection(network: Network, strategy: str) -> None:
    network.server.behave = resetting(2, ErrorCodes.INTERNAL_ERROR)
    fetched = network.call(Clients(network.url), 20, strategy=strategy)
    assert len(names_of(fetched)) == 20
    assert len(fetched.attempts) == len(network.server.requests)
    assert len(network.relay.connections) == 1


@both_clients
def test_the_reset_of_a_stream_after_its_body_has_begun(network: Network, strategy: str) -> None:
    policy = msgspec.structs.replace(QUICK, own_retries=1, shared_retries=-10)

    def behave(connection: Connection, stream: int, number: int) -> None:
        if number in {2, PokeAPI.LIST}:
            connection.begin(stream)
            connection.reset(stream, ErrorCodes.INTERNAL_ERROR)
        else:
            connection.answer(stream, number)

    network.server.behave = behave
    fetched = network.call(Clients(network.url), 3, policy=policy, strategy=strategy)
    (failure,) = failures_of(fetched)
    assert failure.number == 2
    assert failure.reason == "bad_body"
    assert failure.attempts == 2
    assert failure.detail == "stream error received: unexpected internal error encountered"


def issue_by_another_authority(_: trustme.CA) -> trustme.LeafCert:
    return trustme.CA().issue_cert("localhost")


def issue_for_another_host(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("example.org")


def issue_expired(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))


@every_strategy
@pytest.mark.parametrize(
    ("issue", "problem"),
    [
        (
            issue_by_another_authority,
            "UnknownIssuer; name a file with its authority in SSL_CERT_FILE",
        ),
        (
            issue_for_another_host,
            'certificate not valid for name "localhost"; correct the host in POKEAPI_URL',
        ),
        (
            issue_expired,
            "certificate expired; the server needs a new one",
        ),
    ],
)
def test_an_invalid_certificate_is_not_retried(
    authority: trustme.CA,
    strategy: str,
    issue: Callable[[trustme.CA], trustme.LeafCert],
    problem: str,
) -> None:
    with serving_http2(Http2Server(), server_context(issue(authority))) as port:
        url = f"https://localhost:{port}"
        fetched = asyncio.run(fetch_range(url, range="1-150", strategy=strategy))
    failures = failures_of(fetched)
    detail = f"invalid peer certificate: {problem}"
    assert len(failures) == 150
    assert {failure.reason for failure in failures} == {"unreachable"}
    assert {failure.detail for failure in failures} <= {detail, f"not sent, after: {detail}"}
    assert all(attempt.attempt == 1 for attempt in fetched.attempts)
    assert len(fetched.attempts) <= 100  # those that were in flight


def test_a_server_without_tls(url: str, pokeapi: PokeAPI) -> None:
    fetched = asyncio.run(fetch_range(url.replace("http:", "https:"), range="1-150"))
    failures = failures_of(fetched)
    problem = "received corrupt message of type InvalidContentType"
    remedy = "the server does not speak TLS: correct POKEAPI_URL"
    assert f"{problem}; {remedy}" in {failure.detail for failure in failures}
    assert len(failures) == 150
    assert pokeapi.requests == 0


@every_strategy
def test_ssl_cert_file_names_the_trusted_authorities(tls: ssl.SSLContext, strategy: str) -> None:
    with serving(PokeAPI(), ssl_context=tls) as port:
        url = f"https://localhost:{port}/api/v2"
        fetched = asyncio.run(fetch_range(url, range="25", strategy=strategy))
    assert fetched.results == [Found(25, "pikachu")]
