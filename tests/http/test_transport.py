"""The transports in plain httpx clients: all that works with httpx's own also works with them."""

import asyncio
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from h2.errors import ErrorCodes

from pokemon_names.http import transport
from pokemon_names.http.connections import Limits
from pokemon_names.http.transport import BlockingTransport, Transport
from tests.http.servers import ending, serving_bytes
from tests.tools.connections import abort_all
from tests.tools.http2 import Connection, Http2Server, serving_http2
from tests.tools.pokeapi import PokeAPI, answers, serving

Call = Callable[..., Any]


async def echo(request: web.Request) -> web.Response:
    """Answer with what was sent."""
    body = await request.read()
    sent = {
        "method": request.method,
        "path": request.path_qs,
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
        "body": body.decode("latin-1"),
    }
    response = web.json_response(sent)
    response.headers.add("Set-Cookie", "first=1")
    response.headers.add("Set-Cookie", "second=2")
    return response


async def move(request: web.Request) -> web.Response:
    status = int(request.match_info["status"])
    return web.Response(status=status, headers={"Location": "/echo?was=moved"})


async def compress(_: web.Request) -> web.Response:
    response = web.json_response({"name": "mew"})
    response.enable_compression(web.ContentCoding.gzip)
    return response


@asynccontextmanager
async def running() -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/compressed", compress)
    application.router.add_get("/endless", answers.endless)
    application.router.add_get("/hang", answers.hang)
    application.router.add_get("/large", answers.raw(b"x" * 3_000_000))
    application.router.add_get("/stuck", answers.stuck)
    application.router.add_route("*", "/moved/{status}", move)
    application.router.add_route("*", "/echo", echo)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()
    await abort_all()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run a server with everything that these tests request, and yield its URL."""
    with (
        start_blocking_portal() as thread,
        thread.wrap_async_context_manager(running()) as port,
    ):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=["async", "blocking"])
def client(request: pytest.FixtureRequest) -> httpx.AsyncClient | httpx.Client:
    """Return a plain client. Each test runs once with the async one, once with the blocking one."""
    if request.param == "async":
        return httpx.AsyncClient(transport=Transport())
    return httpx.Client(transport=BlockingTransport())


@pytest.fixture
def call(client: httpx.AsyncClient | httpx.Client) -> Call:
    """Return the client's `request`; for the async client, each call has its own event loop."""
    if isinstance(client, httpx.Client):
        return client.request

    def call(*arguments: Any, **options: Any) -> httpx.Response:
        return asyncio.run(client.request(*arguments, **options))

    return call


def sent_headers(response: httpx.Response, name: str) -> list[str]:
    return [value for sent, value in response.json()["headers"] if sent == name]


def test_a_get_has_status_headers_and_json(call: Call, server: str) -> None:
    response = call("GET", f"{server}/echo?a=1")
    assert response.status_code == 200
    assert response.reason_phrase == "OK"
    assert response.http_version == "HTTP/1.1"
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert int(response.headers["Content-Length"]) == len(response.content)
    assert response.headers.get_list("Set-Cookie") == ["first=1", "second=2"]
    assert response.elapsed.total_seconds() > 0
    assert response.json()["method"] == "GET"
    assert response.json()["path"] == "/echo?a=1"
    assert response.json()["body"] == ""


def test_query_parameters_are_encoded(call: Call, server: str) -> None:
    response = call("GET", f"{server}/echo", params={"q": "a b&'|é", "n": ["1", "2"]})
    assert response.json()["path"] == "/echo?q=a+b%26%27%7C%C3%A9&n=1&n=2"


def test_headers_are_sent_as_they_are(call: Call, server: str) -> None:
    headers = [("X-Many", "1"), ("X-Many", "2"), ("User-Agent", "mine")]
    response = call("GET", f"{server}/echo", headers=headers)
    assert sent_headers(response, "x-many") == ["1", "2"]
    assert sent_headers(response, "user-agent") == ["mine"]
    assert sent_headers(response, "host") == [server.removeprefix("http://")]


def test_a_password_in_the_url_is_sent(call: Call, server: str) -> None:
    response = call("GET", server.replace("//", "//user:password@") + "/echo")
    assert sent_headers(response, "authorization") == ["Basic dXNlcjpwYXNzd29yZA=="]


def test_gzip_is_decompressed_by_httpx(call: Call, server: str) -> None:
    response = call("GET", f"{server}/compressed")
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.json() == {"name": "mew"}


@pytest.mark.parametrize(
    ("options", "content_type", "body"),
    [
        ({"content": b"\x00\xff"}, None, "\x00\xff"),
        ({"content": "text"}, None, "text"),
        ({"json": {"a": 1}}, "application/json", '{"a":1}'),
        ({"data": {"a": "b c"}}, "application/x-www-form-urlencoded", "a=b+c"),
        ({}, None, ""),
    ],
)
def test_a_post_has_a_body(
    call: Call, server: str, options: dict[str, Any], content_type: str | None, body: str
) -> None:
    response = call("POST", f"{server}/echo", **options)
    assert response.json()["method"] == "POST"
    assert response.json()["body"] == body
    assert sent_headers(response, "content-type") == [content_type] * bool(content_type)
    assert sent_headers(response, "content-length") == [str(len(body))]


def test_a_file_is_sent(call: Call, server: str) -> None:
    body = call("POST", f"{server}/echo", files={"file": b"the content"}).json()["body"]
    assert "the content" in body
    assert 'name="file"' in body


def parts() -> Iterator[bytes]:
    yield b"one,"
    yield b"two"


async def async_parts() -> AsyncIterator[bytes]:
    for part in parts():
        yield part


def test_a_stream_is_sent(
    client: httpx.AsyncClient | httpx.Client, call: Call, server: str
) -> None:
    content = parts() if isinstance(client, httpx.Client) else async_parts()
    response = call("POST", f"{server}/echo", content=content)
    assert response.json()["body"] == "one,two"
    assert sent_headers(response, "transfer-encoding") == ["chunked"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(call: Call, server: str, status: int) -> None:
    url = f"{server}/moved/{status}"
    assert call("GET", url).status_code == status
    response = call("GET", url, follow_redirects=True)
    assert response.json()["path"] == "/echo?was=moved"
    assert [old.status_code for old in response.history] == [status]
    posted = call("POST", url, content=b"body", follow_redirects=True).json()
    keeps = status in {307, 308}
    assert (posted["method"], posted["body"]) == (("POST", "body") if keeps else ("GET", ""))


def test_cookies_are_kept(
    client: httpx.AsyncClient | httpx.Client, call: Call, server: str
) -> None:
    assert sent_headers(call("GET", f"{server}/echo"), "cookie") == []
    assert dict(client.cookies) == {"first": "1", "second": "2"}
    assert sent_headers(call("GET", f"{server}/echo"), "cookie") == ["first=1; second=2"]


def test_head_has_headers_and_no_body(call: Call, server: str) -> None:
    response = call("HEAD", f"{server}/echo")
    assert int(response.headers["Content-Length"]) > 100
    assert response.content == b""


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_any_method_is_sent(call: Call, server: str, method: str) -> None:
    assert call(method, f"{server}/echo").json()["method"] == method


@pytest.mark.parametrize(
    ("path", "timeout"), [("hang", 0.05), ("stuck", httpx.Timeout(None, read=0.1))]
)
def test_a_timeout_raises(
    call: Call, server: str, path: str, timeout: float | httpx.Timeout
) -> None:
    with pytest.raises(httpx.TimeoutException) as caught:
        call("GET", f"{server}/{path}", timeout=timeout)
    assert caught.value.request.url == f"{server}/{path}"


def test_without_a_timeout_in_httpx_the_limits_apply(server: str) -> None:
    limits = Limits(read_timeout=0.1)
    with (
        httpx.Client(transport=BlockingTransport(limits), timeout=None) as client,  # noqa: S113
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(f"{server}/hang")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://pokeapi.invalid/"])
def test_an_unreachable_server_raises(call: Call, url: str) -> None:
    for _ in range(4):
        with pytest.raises(httpx.ConnectError) as caught:
            call("GET", url)
        assert caught.value.request.url == url


def nothing() -> None:
    pass


def read_stream(
    client: httpx.AsyncClient | httpx.Client,
    url: str,
    most: int = 9_999_999,
    begun: Callable[[], None] = nothing,
) -> int:
    """Read a body until it has at least `most` bytes, and return how many were read.

    `begun` is called as soon as the response has begun.
    """
    if isinstance(client, httpx.AsyncClient):
        return asyncio.run(read_async_stream(client, url, most, begun))
    size = 0
    with client.stream("GET", url) as response:
        assert response.status_code == 200
        begun()
        for part in response.iter_bytes():
            size += len(part)
            if size >= most:
                break
    return size


async def read_async_stream(
    client: httpx.AsyncClient, url: str, most: int, begun: Callable[[], None]
) -> int:
    size = 0
    async with client.stream("GET", url) as response:
        assert response.status_code == 200
        begun()
        async for part in response.aiter_bytes():
            size += len(part)
            if size >= most:
                break
    return size


def test_a_body_is_streamed(client: httpx.AsyncClient | httpx.Client, server: str) -> None:
    assert read_stream(client, f"{server}/large") == 3_000_000


def test_a_stream_need_not_be_read_to_its_end(
    client: httpx.AsyncClient | httpx.Client, call: Call, server: str
) -> None:
    assert read_stream(client, f"{server}/endless", most=300_000) >= 300_000
    assert call("GET", f"{server}/echo").status_code == 200


def test_a_response_is_available_before_its_body(
    client: httpx.AsyncClient | httpx.Client, pokeapi: PokeAPI, url: str
) -> None:
    go_on = threading.Event()
    pokeapi.answers[1] = answers.in_two(b"a", go_on, b"b" * 999)
    assert read_stream(client, f"{url}/pokemon/1/", begun=go_on.set) == 1000


@pytest.fixture
def five_at_once(pokeapi: PokeAPI) -> None:
    """Answer requests for number 1 only when five of them are waiting."""
    barrier = asyncio.Barrier(5)

    async def answer(_: web.Request) -> web.Response:
        await barrier.wait()
        return web.Response()

    pokeapi.answers[1] = answer


@pytest.mark.usefixtures("five_at_once")
def test_one_client_serves_one_event_loop_after_another(pokeapi: PokeAPI, url: str) -> None:
    client = httpx.AsyncClient(transport=Transport())

    async def get_all() -> list[int]:
        responses = await asyncio.gather(*[client.get(f"{url}/pokemon/1/") for _ in range(5)])
        return [response.status_code for response in responses]

    for _ in range(3):
        assert asyncio.run(get_all()) == [200] * 5
    assert len(pokeapi.connections) == 5


@pytest.mark.usefixtures("five_at_once")
def test_one_client_serves_threads_at_the_same_time(url: str) -> None:
    client = httpx.AsyncClient(transport=Transport())
    statuses = []

    def get() -> None:
        statuses.append(asyncio.run(client.get(f"{url}/pokemon/1/")).status_code)

    threads = [threading.Thread(target=get) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 5


def test_one_client_serves_two_hosts_with_and_without_tls(
    call: Call, server: str, tls: ssl.SSLContext
) -> None:
    http2 = Http2Server()
    with serving_http2(http2, tls) as port:
        for _ in range(2):
            secure = call("GET", f"https://localhost:{port}/pokemon/25/")
            plain = call("GET", f"{server}/echo")
            assert secure.json() == {"id": 25, "name": "pikachu"}
            assert secure.http_version == "HTTP/2"
            assert plain.http_version == "HTTP/1.1"
    assert len(http2.connections) == 1
    assert http2.hosts == {""}


def test_bodies_are_sent_over_http_2(call: Call, tls: ssl.SSLContext) -> None:
    http2 = Http2Server()

    def behave(connection: Connection, stream: int, _: int) -> None:
        connection.respond(stream, 201, b"done")

    http2.behave = behave
    with serving_http2(http2, tls) as port:
        for _ in range(2):
            response = call("POST", f"https://localhost:{port}/", content=b"body")
            assert response.status_code == 201
            assert response.text == "done"
    assert http2.violations == 0
    assert len(http2.connections) == 1


def test_a_server_may_speak_http_2_only_to_refuse_it(call: Call, tls: ssl.SSLContext) -> None:
    http2 = Http2Server()
    http2.alpn = ["h2", "http/1.1"]
    http2.behave = lambda connection, stream, _: connection.reset(
        stream, ErrorCodes.HTTP_1_1_REQUIRED
    )
    with serving_http2(http2, tls) as port:
        response = call("GET", f"https://localhost:{port}/pokemon/1/")
        assert response.json()["name"] == "bulbasaur"
        assert response.http_version == "HTTP/1.1"


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (b"garbage\r\n\r\n", httpx.DecodingError, "invalid HTTP version parsed"),
        (b"HTTP/1.1 abc\r\n\r\n", httpx.DecodingError, "invalid HTTP status-code parsed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            httpx.DecodingError,
            "invalid content-length parsed",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            httpx.RemoteProtocolError,
            "Invalid chunk size line",
        ),
        (b"", httpx.ReadError, "connection closed before message completed"),
    ],
)
def test_a_response_that_makes_no_sense_raises(
    call: Call, response: bytes, error: type[Exception], message: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    with serving_bytes(answer) as port, pytest.raises(error, match=message):
        call("GET", f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("body", [b'{"name": "mew"}', b" " * 200_000 + b"{}"])
def test_a_body_may_end_with_its_connection(call: Call, tls: ssl.SSLContext, body: bytes) -> None:
    with serving_bytes(ending(b"", body), tls) as port:
        response = call("GET", f"https://localhost:{port}")
    assert response.content == body


@pytest.mark.parametrize(
    "head", [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["length", "chunked"]
)
def test_a_body_that_says_where_it_ends_must_not_end_earlier(
    call: Call, tls: ssl.SSLContext, head: bytes
) -> None:
    body = b"2\r\n{}\r\n" if b"chunked" in head else b"{}"
    with (
        serving_bytes(ending(head, body), tls) as port,
        pytest.raises(httpx.RemoteProtocolError, match="close_notify"),
    ):
        call("GET", f"https://localhost:{port}")


def test_an_untrusted_certificate_raises(
    call: Call, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(PokeAPI(), ssl_context=tls) as port, pytest.raises(httpx.NetworkError):
        call("GET", f"https://localhost:{port}/api/v2/pokemon/1/")


def test_an_aborted_connection_raises(call: Call, pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers = {1: answers.reset, 2: answers.truncated}
    with pytest.raises(httpx.ReadError):
        call("GET", f"{url}/pokemon/1/")
    with pytest.raises(httpx.RemoteProtocolError):
        call("GET", f"{url}/pokemon/2/")


def test_a_header_that_is_not_ascii_is_left_out(call: Call, pokeapi: PokeAPI, url: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = [("X", "é"), ("Y", "1"), ("Y", "2")]
        return web.Response(headers=headers)

    pokeapi.answers[1] = answer
    response = call("GET", f"{url}/pokemon/1/")
    assert response.status_code == 200
    assert "X" not in response.headers
    assert response.headers.get_list("Y") == ["1", "2"]


def test_clients_are_closed_as_usual(server: str) -> None:
    async def get() -> int:
        async with httpx.AsyncClient(transport=Transport(), base_url=server) as client:
            return (await client.get("/echo")).status_code

    assert asyncio.run(get()) == 200
    with httpx.Client(transport=BlockingTransport(), base_url=server) as client:
        assert client.get("/echo").status_code == 200
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/echo")


async def test_a_request_can_be_cancelled(server: str) -> None:
    client = httpx.AsyncClient(transport=Transport())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.get(f"{server}/hang"), timeout=0.1)
    assert (await client.get(f"{server}/echo")).status_code == 200


def test_the_reader_of_a_body_is_freed_when_the_body_is_closed(
    call: Call, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not wait for the garbage collector: a hundred bodies of 4 MB may arrive at once."""
    readers: list[weakref.ref[Any]] = []

    def note(read: Call, size: int) -> Call:
        reader = partial(read, size)
        readers.append(weakref.ref(reader))
        return reader

    monkeypatch.setattr(transport, "partial", note)
    response = call("GET", f"{server}/large")
    assert len(response.content) == 3_000_000
    assert [reader() for reader in readers] == [None]
