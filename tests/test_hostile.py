"""Any bytes in place of one answer: every other name comes, and nothing raises."""

import asyncio
import gzip
import json
import socketserver
import threading
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pokemon_names import retry
from pokemon_names.client import Clients
from pokemon_names.outcome import Failed, Found
from tests.conftest import fetched

HOSTILE = "2"
DEEP = b"[" * 100_000

statuses = st.sampled_from([b"200", b"200", b"200", b"204", b"206", b"301", b"404", b"429", b"500", b"101", b"100"])
bytes_ = st.binary(max_size=30)
lines = st.builds(b"HTTP/1.1 %b %b".__mod__, st.tuples(statuses | bytes_, st.just(b"OK") | bytes_)) | bytes_
names_ = st.sampled_from([
    b"Content-Encoding", b"Content-Length", b"Transfer-Encoding", b"Retry-After", b"Location", b"Content-Type", b"X",
    b"Connection", b"Upgrade",
])  # fmt: skip
values = bytes_ | st.sampled_from([b"gzip", b"br", b"chunked", b"-1", b"3", b"9" * 400, b"\xff", b"close", b"h2c"])
headers = st.lists(st.builds(b"%b: %b\r\n".__mod__, st.tuples(names_ | bytes_, values)), max_size=4).map(b"".join)
json_ = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "results", "url", "count", "next"]), inner, max_size=4)
    ),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())
bodies = json_ | bytes_ | st.sampled_from([
    b'{"name": "\xff"}', b'{"name": ""}', b'{"name": "%b"}' % (b"x" * 100_001), b'{"abilities": ' + DEEP, DEEP,
    b'{"results": ' + DEEP, b'{"results": []}', b'{"name": "\\ud800"}', b"7\r\nchunked",
])  # fmt: skip
zipped = bodies.map(gzip.compress).flatmap(lambda body: st.sampled_from([body, body[:-9], body + b"x", body[:12]]))
responses = st.builds(
    b"%b\r\n%b\r\n%b".__mod__, st.tuples(lines, headers | st.just(b"Content-Encoding: gzip\r\n"), bodies | zipped)
) | st.binary(max_size=100)


class Server(socketserver.ThreadingTCPServer):
    """Answers one number, and for the list of all, with `response`, whatever it is."""

    allow_reuse_address = True
    daemon_threads = True
    response = b""


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        key = path.rpartition("/")[2]
        assert isinstance(self.server, Server)
        body = b'{"name": "%b"}' % key.encode()
        healthy = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self.wfile.write(healthy if key.isdecimal() and key != HOSTILE else self.server.response)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(retry, "SHARED_RETRIES", -10)  # to be quick: two retries must do
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def clients(server: Server) -> Clients:
    return Clients(f"http://127.0.0.1:{server.server_address[1]}/api/v2")


@pytest.mark.parametrize("strategy", ["gather", "sync", "index"])
@example(response=b'HTTP/1.1 200 OK\r\nX: \xff\r\nContent-Encoding: \xff\r\n\r\n{"name": "2"}')
@example(response=b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"name": "\xff"}')
@example(response=b"HTTP/1.1 200 OK\r\n\r\n" + b'{"abilities": ' + DEEP)
@example(response=b"HTTP/1.1 200 OK\r\n\r\n" + b'{"results": ' + DEEP)
@given(response=responses)
def test_whatever_one_answer_is_it_costs_its_own_number_alone(
    server: Server, clients: Clients, strategy: str, response: bytes
) -> None:
    server.response = response
    first, second, third = asyncio.run(fetched(clients, range="1-3", strategy=strategy)).outcomes
    assert isinstance(second, Found | Failed)
    if strategy != "index":
        assert (first, third) == (Found(1, "1"), Found(3, "3"))
