"""Any bytes as an answer: nothing is raised, and every other number still gets its name."""

import asyncio
import gzip
import json
import socketserver
import threading
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pokemon_names.http.client import Clients
from pokemon_names.model import Failure, Found
from tests.conftest import QUICK, fetch_range

HOSTILE_NUMBER = "2"
# A number has only its own two retries, so that the test is quick.
POLICY = msgspec.structs.replace(QUICK, shared_retries=-10, max_list_attempts=1)
DEEP = b"[" * 100_000

HEADER_NAMES = [
    b"Connection",
    b"Content-Encoding",
    b"Content-Length",
    b"Content-Type",
    b"Location",
    b"Retry-After",
    b"Transfer-Encoding",
    b"Upgrade",
    b"X",
]
KEYS = ["name", "results", "url", "count", "next"]
BODIES = [
    b'{"name": "\xff"}',
    b'{"name": ""}',
    b'{"name": "%b"}' % (b"x" * 100_001),
    b'{"name": "\\ud800"}',
    b'{"results": []}',
    b'{"results": ' + DEEP,
    b'{"abilities": ' + DEEP,
    DEEP,
    b"7\r\nchunked",
]

statuses = st.sampled_from(
    [b"200", b"200", b"200", b"204", b"206", b"301", b"404", b"429", b"500", b"101", b"100"]
)
bytes_ = st.binary(max_size=30)
lines = (
    st.builds(b"HTTP/1.1 %b %b".__mod__, st.tuples(statuses | bytes_, st.just(b"OK") | bytes_))
    | bytes_
)
header_names = st.sampled_from(HEADER_NAMES) | bytes_
header_values = bytes_ | st.sampled_from(
    [b"gzip", b"br", b"chunked", b"-1", b"3", b"9" * 400, b"\xff", b"close", b"h2c"]
)
header_lines = st.builds(b"%b: %b\r\n".__mod__, st.tuples(header_names, header_values))
headers = st.lists(header_lines, max_size=4).map(b"".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=6,
)
json_bodies = json_values.map(lambda value: json.dumps(value).encode())
bodies = json_bodies | bytes_ | st.sampled_from(BODIES)
compressed = bodies.map(gzip.compress).flatmap(
    lambda body: st.sampled_from([body, body[:-9], body + b"x", body[:12]])
)
responses = st.builds(
    b"%b\r\n%b\r\n%b".__mod__,
    st.tuples(lines, headers | st.just(b"Content-Encoding: gzip\r\n"), bodies | compressed),
) | st.binary(max_size=100)


class Server(socketserver.ThreadingTCPServer):
    """A server that sends `response`, whatever it is, for one number and for the list."""

    allow_reuse_address = True
    daemon_threads = True
    response = b""


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        key = path.rstrip("/").rpartition("/")[2]
        if key.isdecimal() and key != HOSTILE_NUMBER:
            body = b'{"name": "%b"}' % key.encode()
            headers = b"Connection: close\r\nContent-Length: %d\r\n" % len(body)
            self.wfile.write(b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (headers, body))
        else:
            assert isinstance(self.server, Server)
            self.wfile.write(self.server.response)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        poll_seconds = 0.01  # between checks for the shutdown
        thread = threading.Thread(target=server.serve_forever, args=[poll_seconds])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def clients(server: Server) -> Clients:
    return Clients(f"http://127.0.0.1:{server.server_address[1]}/api/v2")


@example("gather", b'HTTP/1.1 200 OK\r\nX: \xff\r\nContent-Encoding: \xff\r\n\r\n{"name": "2"}')
@example("sync", b'HTTP/1.1 200 OK\r\nX: \xff\r\nContent-Encoding: \xff\r\n\r\n{"name": "2"}')
@example("gather", b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"name": "\xff"}')
@example("gather", b"HTTP/1.1 200 OK\r\n\r\n" + b'{"abilities": ' + DEEP)
@example("index", b"HTTP/1.1 200 OK\r\n\r\n" + b'{"results": ' + DEEP)
@given(strategy=st.sampled_from(["gather", "sync", "index"]), response=responses)
def test_no_answer_affects_another_number(
    server: Server, clients: Clients, strategy: str, response: bytes
) -> None:
    server.response = response
    fetched = asyncio.run(fetch_range(clients, policy=POLICY, range="1-3", strategy=strategy))
    first, second, third = fetched.results
    assert isinstance(second, Found | Failure)
    if strategy != "index":
        assert first == Found(1, "1")
        assert third == Found(3, "3")
