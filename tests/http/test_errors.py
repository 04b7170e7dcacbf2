"""What a server or network does, and the kind, reason and detail of the resulting error."""

import asyncio
import email.utils
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from h2.errors import ErrorCodes

from pokemon_names.http.client import Clients
from pokemon_names.http.errors import GetError, Kind
from pokemon_names.model import Failure
from tests.conftest import QUICK, both_clients, fetch_range, server_context
from tests.http.servers import Serve, get, serving_bytes
from tests.tools.http2 import Behaviour, Connection, Http2Server, serving_http2
from tests.tools.pokeapi import PokeAPI, answers, serving


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (404, "final", "not_found"),
        *[(status, "final", "bad_status") for status in (302, 403, 501, 505)],
        *[(status, "service", "bad_status") for status in (408, 425, 429, 500, 503)],
    ],
)
async def test_the_status_decides_the_kind_of_an_error(
    pokeapi: PokeAPI, url: str, status: int, kind: str, reason: str
) -> None:
    pokeapi.answers[1] = answers.status(status)
    error = (await get(Clients(url))).error
    assert error
    assert (error.kind, error.reason, error.status) == (kind, reason, status)


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("0", 0, 0),
        ("7", 7, 7),
        (email.utils.formatdate(time.time() + 3600, usegmt=True), 1800, 3600),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0, 0),
    ],
    ids=["zero", "seconds", "date", "past date"],  # without times, because workers compare ids
)
async def test_an_error_has_the_seconds_of_retry_after(
    pokeapi: PokeAPI, url: str, retry_after: str, least: float, most: float
) -> None:
    pokeapi.answers[1] = answers.status(429, retry_after)
    answer = await get(Clients(url))
    assert answer.error
    assert answer.error.retry_after is not None
    assert least <= answer.error.retry_after <= most


@pytest.mark.parametrize("retry_after", ["soon", "-1", "1.5", "Thu, 01 Jan 2026 00:00:00 -0000"])
async def test_a_malformed_retry_after_is_ignored(
    pokeapi: PokeAPI, url: str, retry_after: str
) -> None:
    pokeapi.answers[1] = answers.status(429, retry_after)
    answer = await get(Clients(url))
    assert answer.error
    assert answer.error.retry_after is None


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("\x1b[2J\x07no", r"\x1b[2J\x07no"),
        ("one\r\ntwo\x85three\u2028four", "one two three four"),
        ("\u202eevil \x9b", r"\u202eevil \x9b"),
        ("\x00", r"\x00"),
        ("Pokémon 日本 🙂", "Pokémon 日本 🙂"),
        ("\x1b" * 1000, r"\x1b" * 50),
    ],
    ids=["escapes", "lines", "direction", "nothing else", "other scripts", "many"],
)
async def test_the_text_of_an_error_is_one_line_without_control_characters(
    pokeapi: PokeAPI, url: str, text: str, detail: str
) -> None:
    pokeapi.answers[1] = answers.text(503, text)
    answer = await get(Clients(url))
    assert answer.error
    assert answer.error.detail == detail


async def test_the_error_of_a_body_has_no_control_characters(url: str) -> None:
    def decode(_: bytes | bytearray) -> None:
        raise ValueError("\x1b[2J\n")

    answer = await get(Clients(url), decode=decode)
    assert answer.error
    assert answer.error.detail == r"\x1b[2J"


def abort(connection: Connection, *_: int) -> None:
    connection.transport.abort()


def abort_after_a_byte(connection: Connection, stream: int, _: int) -> None:
    connection.begin(stream)
    connection.flush()
    connection.transport.abort()


def go_away(connection: Connection, *_: int) -> None:
    connection.go_away(0)


def refuse(connection: Connection, stream: int, _: int) -> None:
    connection.reset(stream, ErrorCodes.REFUSED_STREAM)


def reset(connection: Connection, stream: int, _: int) -> None:
    connection.reset(stream, ErrorCodes.INTERNAL_ERROR)


def reset_after_a_byte(connection: Connection, stream: int, _: int) -> None:
    connection.begin(stream)
    connection.reset(stream, ErrorCodes.INTERNAL_ERROR)


def break_the_rules(connection: Connection, stream: int, _: int) -> None:
    connection.respond(stream, 200, b"{}", **{"content-length": "1000"})


@both_clients
@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (
            go_away,
            GetError(
                kind="unprocessed",
                reason="unreachable",
                detail="connection error received: not a result of an error",
                requests=0,
            ),
        ),
        (
            refuse,  # pyreqwest sends each request three times
            GetError(
                kind="refused",
                reason="unreachable",
                detail="stream error received: refused stream before processing any application"
                " logic",
                requests=3,
            ),
        ),
        (
            reset,
            GetError(
                kind="service",
                reason="unreachable",
                detail="stream error received: unexpected internal error encountered",
            ),
        ),
        (
            reset_after_a_byte,
            GetError(
                kind="service",
                reason="bad_body",
                detail="stream error received: unexpected internal error encountered",
            ),
        ),
        (
            break_the_rules,
            GetError(
                kind="unreadable",
                reason="bad_body",
                detail="stream error detected: unspecific protocol error detected",
            ),
        ),
    ],
)
async def test_each_error_over_http_2_has_a_kind(
    tls: ssl.SSLContext, strategy: str, behave: Behaviour, error: GetError
) -> None:
    server = Http2Server()
    server.behave = behave
    with serving_http2(server, tls) as port:
        answer = await get(Clients(f"https://localhost:{port}"), strategy)
    assert answer.error == error
    if error.requests:  # an unprocessed request may have been sent more than once
        assert len(server.requests) == error.requests
    if behave is reset_after_a_byte:
        assert answer.begun_at is not None


@both_clients
@pytest.mark.parametrize("behave", [abort, abort_after_a_byte])
async def test_a_request_whose_connection_ends_is_disconnected(
    tls: ssl.SSLContext, strategy: str, behave: Behaviour
) -> None:
    server = Http2Server()
    server.behave = behave
    with serving_http2(server, tls) as port:
        error = (await get(Clients(f"https://localhost:{port}"), strategy)).error
    assert error
    assert (error.kind, error.reason) == ("disconnected", "unreachable")
    # The message depends on whether the server had read everything it had received.
    ended = "peer closed connection without sending TLS close_notify"
    assert error.detail in {ended, "connection reset"}


@both_clients
@pytest.mark.parametrize(
    ("head", "detail"),
    [
        (b"X: 1\r\n" * 101, "message head is too large"),
        (b"Content-Length: 3\r\n", "invalid content-length parsed"),
    ],
    ids=["101 headers", "two lengths"],
)
async def test_a_head_that_cannot_be_read_is_an_unreadable_body(
    strategy: str, head: bytes, detail: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: 2\r\n\r\n{}")
        writer.close()

    with serving_bytes(serve) as port:
        answer = await get(Clients(f"http://127.0.0.1:{port}"), strategy)
    assert answer.error == GetError(kind="unreadable", reason="bad_body", detail=detail)


# No connection can work.


def issue_by_another_authority(_: trustme.CA) -> trustme.LeafCert:
    return trustme.CA().issue_cert("localhost")


def issue_for_another_host(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("example.org")


def issue_for_no_host(authority: trustme.CA) -> trustme.LeafCert:
    """Put the host only into the common name, as people did before subjectAltName."""
    issuer = load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(issuer, EllipticCurvePrivateKey)
    key = generate_private_key(SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(issuer, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return trustme.LeafCert(private, certificate.public_bytes(Encoding.PEM), [])


def the_authoritys_own(authority: trustme.CA) -> trustme.LeafCert:
    """Return a self-signed certificate that may sign others, as `openssl req -x509` creates."""
    return trustme.LeafCert(authority.private_key_pem.bytes(), authority.cert_pem.bytes(), [])


def issue_expired(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("issue", "problem"),
    [
        (
            issue_by_another_authority,
            "UnknownIssuer; set SSL_CERT_FILE to a file with the issuer's certificate",
        ),
        (
            issue_for_another_host,
            'certificate not valid for name "localhost"; correct the host in POKEAPI_URL',
        ),
        (
            issue_expired,
            "certificate expired; the server needs a new one",
        ),
        (
            issue_for_no_host,
            (
                'certificate not valid for name "localhost"; the server needs a certificate with a'
                " subjectAltName"
            ),
        ),
        (
            the_authoritys_own,
            (
                "Other(OtherError(CaUsedAsEndEntity)); the server needs a certificate other than"
                " the authority's own"
            ),
        ),
    ],
)
async def test_the_error_says_what_to_do_about_a_certificate(
    authority: trustme.CA, issue: Callable[[trustme.CA], trustme.LeafCert], problem: str
) -> None:
    with serving_http2(Http2Server(), server_context(issue(authority))) as port:
        answer = await get(Clients(f"https://localhost:{port}"))
    detail = f"invalid peer certificate: {problem}"
    assert answer.error == GetError(kind="fatal", reason="unreachable", detail=detail)


@both_clients
async def test_an_invalid_certificate_ends_a_fetch_at_once_until_it_is_replaced(
    authority: trustme.CA, strategy: str
) -> None:
    context = server_context(issue_expired(authority))
    policy = msgspec.structs.replace(QUICK, concurrency=5)
    with serving_http2(Http2Server(), context) as port:
        clients = Clients(f"https://localhost:{port}")
        fetched = await fetch_range(clients, policy=policy, range="1-20", strategy=strategy)
        authority.issue_cert("localhost").configure_cert(context)
        answer = await get(clients, strategy)
    failures = [result for result in fetched.results if isinstance(result, Failure)]
    detail = "invalid peer certificate: certificate expired; the server needs a new one"
    assert len(failures) == 20
    assert {failure.reason for failure in failures} == {"unreachable"}
    assert {failure.detail for failure in failures} == {detail, f"not sent; last error: {detail}"}
    assert all(attempt.ordinal == 1 for attempt in fetched.attempts)
    assert len(fetched.attempts) <= 5  # those that were in flight
    assert answer.body == {"id": 1, "name": "bulbasaur"}


@both_clients
async def test_ssl_cert_file_names_the_trusted_authorities(
    tls: ssl.SSLContext, strategy: str
) -> None:
    with serving(PokeAPI(), ssl_context=tls) as port:
        answer = await get(Clients(f"https://localhost:{port}/api/v2"), strategy)
    assert answer.error is None


def proxy(response: bytes) -> Serve:
    """Return a proxy that answers each CONNECT with this response, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    return serve


PROXY = "the proxy in HTTPS_PROXY or ALL_PROXY failed: "


@both_clients
@pytest.mark.parametrize(
    ("response", "kind", "detail"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "fatal",
            f"{PROXY}proxy authorization required; put a user name and a password into its URL",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "service", f"{PROXY}unsuccessful"),
        (b"", "service", f"{PROXY}unexpected end of file"),
    ],
    ids=["needs a password", "refuses", "hangs up"],
)
async def test_a_proxy_that_does_not_connect_is_named(
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
    response: bytes,
    kind: Kind,
    detail: str,
) -> None:
    with serving_bytes(proxy(response)) as port:
        monkeypatch.setenv(
            "HTTPS_PROXY" if strategy == "sync" else "ALL_PROXY",
            f"http://me:secret@127.0.0.1:{port}",
        )
        answer = await get(Clients("https://pokeapi.test"), strategy)
    assert answer.error == GetError(kind=kind, reason="unreachable", detail=detail)


@both_clients
async def test_a_proxy_that_is_down_is_named(
    monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:1")
    error = (await get(Clients("https://pokeapi.test"), strategy)).error
    assert error
    assert (error.kind, error.reason) == ("service", "unreachable")
    assert error.detail.startswith(f"{PROXY}Connection refused")


async def test_a_proxy_that_does_not_speak_tls_needs_another_url(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url.replace("http:", "https:"))
    error = (await get(Clients("https://pokeapi.test"))).error
    assert error
    problem = "received corrupt message of type InvalidContentType"
    assert error.detail == f"{PROXY}{problem}; it does not speak TLS: correct its URL"


async def test_the_error_says_that_a_server_does_not_speak_tls(pokeapi: PokeAPI, url: str) -> None:
    answer = await get(Clients(url.replace("http:", "https:")))
    problem = "received corrupt message of type InvalidContentType"
    remedy = "the server does not speak TLS: correct POKEAPI_URL"
    detail = f"{problem}; {remedy}"
    assert answer.error == GetError(kind="fatal", reason="unreachable", detail=detail)
    assert pokeapi.requests == 0


async def test_a_connection_that_is_refused_may_work_later() -> None:
    error = (await get(Clients("https://127.0.0.1:1"))).error
    assert error
    assert (error.kind, error.reason) == ("service", "unreachable")


def tls_1_1(context: ssl.SSLContext, _: trustme.CA) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.deprecated_call():
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def no_forward_secrecy(context: ssl.SSLContext, _: trustme.CA) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:AES128-SHA:@SECLEVEL=0")


def client_certificate_in_tls_1_2(context: ssl.SSLContext, authority: trustme.CA) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client_certificate(context, authority)


def client_certificate(context: ssl.SSLContext, authority: trustme.CA) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)


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


NO_SECRECY = "the server must offer a cipher with forward secrecy"


@pytest.mark.parametrize("alpn", [["h2", "http/1.1"], ["http/1.1"], None], ids=str)
@pytest.mark.parametrize(
    ("configure", "detail"),
    [
        (tls_1_1, "ProtocolVersion; the server must speak TLS 1.2 or 1.3"),
        # The next two causes lead to the same alert, so the remedy names both.
        (
            no_forward_secrecy,
            f"HandshakeFailure; {NO_SECRECY}, and must not ask for a client certificate",
        ),
        (
            client_certificate_in_tls_1_2,
            f"HandshakeFailure; {NO_SECRECY}, and must not ask for a client certificate",
        ),
        (
            client_certificate,
            "CertificateRequired; the server must not ask for a client certificate",
        ),
    ],
)
async def test_the_error_says_why_tls_cannot_work(
    authority: trustme.CA,
    tls: ssl.SSLContext,
    alpn: list[str] | None,
    configure: Callable[[ssl.SSLContext, trustme.CA], None],
    detail: str,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send TLS alerts, as nginx does and asyncio's own servers do not."""
        incoming = ssl.MemoryBIO()
        outgoing = ssl.MemoryBIO()
        connection = tls.wrap_bio(incoming, outgoing, server_side=True)
        with suppress(OSError):
            while not is_over(connection):
                writer.write(outgoing.read())
                await writer.drain()
                data = await reader.read(65_536)
                if not data:
                    break
                incoming.write(data)
            writer.write(outgoing.read())
            writer.write_eof()
            await reader.read()  # closing with unread data would reset the connection
        writer.close()

    configure(tls, authority)
    if alpn:
        tls.set_alpn_protocols(alpn)
    with serving_bytes(serve) as port:
        answer = await get(Clients(f"https://localhost:{port}"))
    detail = f"received fatal alert: {detail}"
    assert answer.error == GetError(kind="fatal", reason="unreachable", detail=detail)
