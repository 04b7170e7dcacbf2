"""The local PokeAPI itself, compared with the live service."""

import gzip
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

import httpx
import pytest
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from tests.conftest import NAMES, Capture
from tests.tools.http2 import Connection, Http2Server, serving_http2
from tests.tools.options import Parser
from tests.tools.pokeapi import PokeAPI, serving, weather
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import generated, pokemon, recorded
from tests.tools.pokeapi.faults import FAULTS, Faults
from tests.tools.pokeapi.options import add_options
from tests.tools.pokeapi.weather import WEATHER, Weather

BODIES = os.environ.get("BODIES")
NUMBERS = [*range(1, 1026), *range(10001, 10327)]


# A TLS context without authorities: reading them takes longer than a request.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
get = partial(httpx.get, verify=NO_TLS, trust_env=False, timeout=60)


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, verify=NO_TLS, trust_env=False, timeout=60) as client:
        yield client


def test_every_number_has_its_own_name() -> None:
    assert list(pokemon()) == NUMBERS
    assert len({listed.name for listed in pokemon().values()}) == len(NUMBERS)


def test_generated_bodies_are_as_large_as_the_real_ones() -> None:
    every_tenth = list(pokemon().values())[::10]
    sizes = [len(gzip.decompress(generated(listed))) for listed in every_tenth]
    assert max(sizes) > 500_000
    assert min(sizes) < 20_000
    for size, listed in zip(sizes, every_tenth, strict=True):
        assert abs(size - listed.size) < 2_000


@pytest.mark.parametrize("path", ["pokemon/151", "pokemon/151/", "pokemon/mew"])
def test_a_pokemon_may_be_requested_by_number_or_by_name(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    body = response.json()
    assert body["id"] == 151
    assert body["name"] == "mew"
    assert {"abilities", "moves", "species", "sprites", "stats", "types"} < body.keys()
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Cache-Control"] == "public, max-age=86400, s-maxage=86400"
    assert response.headers["X-PokeAPI-Hash"]
    assert response.headers["X-PokeAPI-Deploy-Date"]


def test_a_client_that_does_not_accept_gzip_gets_an_uncompressed_body(http: httpx.Client) -> None:
    response = http.get("pokemon/151", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in response.headers
    assert response.json()["name"] == "mew"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("pokemon/0", 404, "Not Found"),
        ("pokemon/1026", 404, "Not Found"),
        ("pokemon/10327", 404, "Not Found"),
        ("pokemon/missingno", 404, "Not Found"),
        ("pokemon/MEW", 400, "Bad Request"),
        ("pokemon/1%20", 400, "Bad Request"),
        ("berry/1", 404, "Not Found"),
    ],
)
def test_errors_are_plain_text(http: httpx.Client, path: str, status: int, body: str) -> None:
    response = http.get(path)
    assert response.status_code == status
    assert response.text == body
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "max-age=432000" in response.headers["Cache-Control"]


def test_the_list_has_pages_of_twenty(http: httpx.Client) -> None:
    first = http.get("pokemon").json()
    bulbasaur = {"name": "bulbasaur", "url": "https://pokeapi.co/api/v2/pokemon/1/"}
    assert first["count"] == 1351
    assert len(first["results"]) == 20
    assert first["results"][0] == bulbasaur
    assert first["previous"] is None
    assert first["next"] == "https://pokeapi.co/api/v2/pokemon?offset=20&limit=20"
    last = http.get("pokemon", params={"offset": 1340, "limit": 20}).json()
    assert len(last["results"]) == 11
    assert last["previous"] == "https://pokeapi.co/api/v2/pokemon?offset=1320&limit=20"
    assert last["next"] is None


def test_a_page_of_the_list_may_have_any_size(http: httpx.Client) -> None:
    page = http.get("pokemon", params={"limit": 100_000, "offset": 0}).json()
    assert [entry["name"] for entry in page["results"]] == list(NAMES.values())
    assert page["previous"] is None
    assert page["next"] is None


def test_the_version_of_the_data_is_also_in_the_headers(http: httpx.Client) -> None:
    response = http.get("meta/")
    assert response.json()["hash"] == response.headers["X-PokeAPI-Hash"]


def test_recorded_bodies_are_served_unchanged(tmp_path: Path) -> None:
    body = b'{"name":"mew","recorded":true}'
    (tmp_path / "151.json.gz").write_bytes(gzip.compress(body))
    with serving(PokeAPI(tmp_path)) as port:
        response = get(f"http://127.0.0.1:{port}/api/v2/pokemon/151")
    assert response.json() == {"name": "mew", "recorded": True}


def test_the_server_runs_in_its_own_process_and_stops_cleanly() -> None:
    options = ["--host", "localhost", "--port", "0", "--delay", "0.001"]
    command = [sys.executable, "-m", "tests.tools.pokeapi", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2]
        assert url.startswith("http://localhost:")
        assert get(f"{url}/pokemon/151").json()["name"] == "mew"
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def next_faults(seed: int) -> list[Answer | None]:
    faults = Faults({"500": 0.2, "reset": 0.1}, seed)
    return [faults.next(f"/pokemon/{number}") for number in range(1000)]


def test_faults_occur_at_their_rates() -> None:
    faults = Counter(next_faults(seed=1))
    assert 150 < faults[FAULTS["500"]] < 250
    assert 50 < faults[FAULTS["reset"]] < 150
    assert faults.keys() == {FAULTS["500"], FAULTS["reset"], None}


def test_the_seed_decides_which_requests_get_faults() -> None:
    assert next_faults(seed=1) == next_faults(seed=1)
    assert next_faults(seed=1) != next_faults(seed=2)


def test_each_request_for_a_path_may_get_a_different_fault() -> None:
    faults = Faults({"500": 0.5}, seed=0)
    assert {faults.next("/pokemon/1") for _ in range(20)} == {FAULTS["500"], None}


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^flood: no such fault; the faults are 429, 500, "):
        Faults({"flood": 1}, seed=0)


def statuses(http: httpx.Client, numbers: Iterable[int]) -> list[int]:
    return [http.get(f"pokemon/{number}").status_code for number in numbers]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"outage": 60}, [503, 503, 503, 503]),
        ({"outage": 0}, [200, 200, 200, 200]),
        ({"busy": 3}, [429, 429, 429, 200]),
        ({"once": 1}, [503, 503, 200, 503]),
        ({"hopeless": 2}, [200, 500, 200, 200]),
        ({"once": 1, "hopeless": 1}, [503, 503, 500, 503]),
        ({"missing": 60}, [404, 404, 404, 404]),
        ({"flap": 60}, [503, 503, 503, 503]),
        ({"flap": 0}, [200, 200, 200, 200]),
        ({"redirect": 1}, [301, 301, 301, 301]),
        ({"redirect": 0}, [200, 200, 200, 200]),
        ({"redirect": 1, "busy": 1}, [429, 301, 301, 301]),
    ],
)
def test_weather_lasts(
    pokeapi: PokeAPI, http: httpx.Client, conditions: dict[str, float], expected: list[int]
) -> None:
    pokeapi.weather = Weather(conditions)
    assert statuses(http, (1, 2, 1, 3)) == expected


def test_a_limit_lets_ten_through_at_once(pokeapi: PokeAPI, http: httpx.Client) -> None:
    pokeapi.weather = Weather({"limit": 0.001})
    assert statuses(http, range(1, 13)) == [200] * 10 + [503] * 2


def test_a_server_that_refuses_connections_stops_cleanly(
    pokeapi: PokeAPI, http: httpx.Client
) -> None:
    pokeapi.weather = Weather({"refuse": 3600})
    error: Exception | None = None
    while not isinstance(error, httpx.ConnectError):  # before that, connections are reset
        with pytest.raises(httpx.TransportError) as refused:
            statuses(http, [1])
        error = refused.value


def test_a_server_that_refused_connections_listens_on_the_same_port_again(
    pokeapi: PokeAPI, http: httpx.Client
) -> None:
    pokeapi.weather = Weather({"refuse": 0.001})
    with pytest.raises(httpx.TransportError):
        statuses(http, [1])
    for _ in range(1000):
        with suppress(httpx.TransportError):
            assert statuses(http, [1]) == [200]
            break
        sleep(0.01)
    else:
        pytest.fail("the server does not listen again")


def test_a_list_cut_short_says_so(pokeapi: PokeAPI, http: httpx.Client) -> None:
    pokeapi.weather = Weather({"cut": 2})
    page = http.get("pokemon?limit=100000&offset=0").json()
    assert [entry["name"] for entry in page["results"]] == ["bulbasaur", "ivysaur"]
    assert page["next"]


class Clock:
    """The weather's clock. A test sets it, and each request reads it once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return self.now

    def wait_for_requests(self, count: int) -> None:
        while self.readings < count:
            sleep(0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(weather, "monotonic", clock)
    return clock


def test_the_first_request_for_a_number_may_have_either_spelling(
    pokeapi: PokeAPI, http: httpx.Client
) -> None:
    pokeapi.weather = Weather({"once": 1})
    paths = ["pokemon/1/", "pokemon/1", "pokemon/2", "pokemon/2/", "pokemon", "pokemon/"]
    assert [http.get(path).status_code for path in paths] == [503, 200] * 3


def test_a_poisoned_number_is_404_in_one_spelling(pokeapi: PokeAPI, http: httpx.Client) -> None:
    pokeapi.weather = Weather({"poison": 30})
    for _ in range(2):
        poisoned = http.get("pokemon/60/")
        assert (poisoned.status_code, poisoned.text) == (404, "Not Found")
        assert http.get("pokemon/60").json()["id"] == 60
        assert http.get("pokemon/61/").json()["id"] == 61
        for path in "pokemon/", "pokemon":
            page = http.get(path, params={"limit": 100}).json()
            assert page["results"][59]["name"] == NAMES[60]


@pytest.mark.parametrize("query", ["", "?limit=100000&offset=0"])
def test_a_redirect_leads_to_the_path_with_a_slash(
    pokeapi: PokeAPI, http: httpx.Client, query: str
) -> None:
    pokeapi.weather = Weather({"redirect": 1, "once": 1})
    response = http.get(f"pokemon{query}")
    assert response.status_code == 301
    assert response.headers["Location"] == f"/api/v2/pokemon/{query}"
    assert response.content == b""
    again = http.get(f"pokemon{query}", follow_redirects=True)
    assert again.status_code == 503  # a redirect is not the first request for the list
    assert len(again.history) == 1
    assert http.get(f"pokemon/{query}").json()["count"] == len(NAMES)


@pytest.fixture
def ask(url: str) -> Iterator[Callable[..., socket.socket]]:
    """Yield a function that sends a request over a new connection, or over a given one."""
    address = httpx.URL(url)
    with ExitStack() as connections:

        def ask(path: str, connection: socket.socket | None = None) -> socket.socket:
            if not connection:
                connection = socket.create_connection((address.host, address.port))
                connections.enter_context(connection)
            request = f"GET /api/v2/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(request.encode())
            return connection

        yield ask


def is_silent(connection: socket.socket) -> bool:
    """Return whether nothing has arrived yet, not even the end."""
    connection.settimeout(0)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    return False


def test_a_stuck_connection_never_answers_and_a_new_one_does(
    pokeapi: PokeAPI, http: httpx.Client, ask: Callable[..., socket.socket], clock: Clock
) -> None:
    pokeapi.weather = Weather({"stuck": 5})
    stuck = [ask(path) for path in ("pokemon/1", "pokemon/2", "pokemon/")]
    clock.wait_for_requests(3)
    assert pokeapi.in_flight == 3
    clock.now += 5
    ask("pokemon/1", stuck[0])
    assert statuses(http, [1, 2]) == [200, 200]
    assert all(map(is_silent, stuck))


def test_silent_numbers_get_no_answer(
    pokeapi: PokeAPI, http: httpx.Client, ask: Callable[..., socket.socket], clock: Clock
) -> None:
    pokeapi.weather = Weather({"silent": 2})
    silent = [ask(path) for path in ("pokemon/2", "pokemon/2/", "pokemon/4")]
    clock.wait_for_requests(3)
    assert statuses(http, [1, 3]) == [200, 200]
    assert http.get("pokemon/").status_code == 200
    assert all(map(is_silent, silent))


def test_flapping_never_stops(pokeapi: PokeAPI, http: httpx.Client, clock: Clock) -> None:
    pokeapi.weather = Weather({"flap": 2})
    found = []
    for _ in range(8):
        found += statuses(http, [1])
        clock.now += 1
    assert found == [503, 503, 200, 200, 503, 503, 200, 200]


def test_garbled_answers_are_pages(pokeapi: PokeAPI, http: httpx.Client, clock: Clock) -> None:
    pokeapi.weather = Weather({"garbled": 2})
    for path in "pokemon/1", "pokemon/":
        response = http.get(path)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/html")
        assert response.text.startswith("<!DOCTYPE html>")
    clock.now += 2
    assert http.get("pokemon/1").json()["id"] == 1


def test_everything_may_be_missing_for_a_while(
    pokeapi: PokeAPI, http: httpx.Client, clock: Clock
) -> None:
    pokeapi.weather = Weather({"missing": 2})
    paths = ["pokemon/1/", "pokemon/1", "pokemon/", "pokemon", "meta/"]
    assert [http.get(path).status_code for path in paths] == [404] * 5
    clock.now += 2
    assert [http.get(path).status_code for path in paths] == [200] * 5


@pytest.mark.parametrize(
    ("number", "got"), [(1, 1), (25, 26), (50, 51), (1025, 10001), (10325, 10326)]
)
def test_a_swapped_body_is_that_of_the_next_pokemon(
    pokeapi: PokeAPI, http: httpx.Client, number: int, got: int
) -> None:
    pokeapi.weather = Weather({"swapped": 25})
    for path in f"pokemon/{number}/", f"pokemon/{number}":
        body = http.get(path).json()
        assert (body["id"], body["name"]) == (got, NAMES[got])


def test_the_body_swapped_for_the_last_is_the_first(pokeapi: PokeAPI, http: httpx.Client) -> None:
    pokeapi.weather = Weather({"swapped": 1})
    assert http.get("pokemon/10326").json()["id"] == 1


@pytest.mark.parametrize(("seconds", "promised"), [(7, "7"), (0.5, "1")])
def test_every_thirtieth_number_is_answered_later(
    pokeapi: PokeAPI, http: httpx.Client, seconds: float, promised: str
) -> None:
    pokeapi.weather = Weather({"later": seconds})
    paths = ["pokemon/30/", "pokemon/30", "pokemon/60", "pokemon/31", "pokemon/"]
    responses = [http.get(path) for path in paths]
    assert [response.status_code for response in responses] == [429, 200, 429, 200, 200]
    for response in responses[0], responses[2]:
        assert response.headers["Retry-After"] == promised


def test_unknown_weather_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^fog: no such weather; the kinds are refuse, outage, "):
        Weather({"fog": 1})


def parse_weather(text: str) -> dict[str, float]:
    parser = Parser()
    add_options(parser)
    conditions: dict[str, float] = parser.parse_args(["--weather", text]).weather
    return conditions


def test_the_option_takes_every_kind_of_weather() -> None:
    text = " ".join(f"{condition}=30" for condition in WEATHER)
    assert parse_weather(text) == dict.fromkeys(WEATHER, 30)


@pytest.mark.parametrize("mistake", ["poison", "stuck=-1", "later=inf", "OK=1"])
def test_a_mistake_in_the_weather_says_what_to_write(capsys: Capture, mistake: str) -> None:
    with pytest.raises(SystemExit):
        parse_weather(f"outage=2 {mistake}")
    allowed = f"NAME=NUMBER, with a name of {', '.join(WEATHER)}, such as 'outage=2 poison=50'"
    assert capsys.readouterr().err == f"WEATHER: got {mistake!r}, allowed: {allowed}\n"


class Http2(NamedTuple):
    """The HTTP/2 server, and a client that speaks both versions of HTTP."""

    server: Http2Server
    client: httpx.Client


@pytest.fixture
def http2(tls: ssl.SSLContext) -> Iterator[Http2]:
    server = Http2Server()
    with (
        serving_http2(server, tls) as port,
        client_over_tls(f"https://localhost:{port}/api/v2", http2=True) as client,
    ):
        yield Http2(server, client)


def client_over_tls(url: httpx.URL | str, *, http2: bool) -> httpx.Client:
    trusting = ssl.create_default_context()
    return httpx.Client(base_url=url, verify=trusting, http2=http2, trust_env=False, timeout=60)


def test_both_spellings_are_the_same_number_over_http_2(http2: Http2) -> None:
    paths = ["pokemon/1", "pokemon/1/", "pokemon/?limit=9", "pokemon?limit=9", "pokemon/2/?a=/3"]
    bodies = [http2.client.get(path).json() for path in paths]
    assert bodies[0] == bodies[1] == {"id": 1, "name": NAMES[1]}
    assert len(bodies[2]["results"]) == len(bodies[3]["results"]) == len(NAMES)
    assert bodies[4]["id"] == 2
    assert http2.server.requests == [1, 1, 0, 0, 2]
    assert http2.server.paths == [f"/api/v2/{path}" for path in paths]


def test_a_connection_may_allow_no_streams(tls: ssl.SSLContext) -> None:
    server = Http2Server()
    server.max_streams = 0
    with serving_http2(server, tls) as port:
        client = Http2Client(port)
        assert client.h2.remote_settings.max_concurrent_streams == 0
        client.h2.ping(b"is alive")
        assert isinstance(client.receive(PingAckReceived), PingAckReceived)
        client.close()
    assert server.requests == []
    assert server.violations == 0


def test_a_connection_may_answer_only_pings(tls: ssl.SSLContext) -> None:
    server = Http2Server()
    server.behave = lambda *_: None
    with serving_http2(server, tls) as port:
        client = Http2Client(port)
        client.get("/pokemon/1/")
        client.h2.ping(b"is alive")
        assert isinstance(client.receive(PingAckReceived, StreamEnded), PingAckReceived)
        client.close()
    assert server.paths == ["/pokemon/1/"]


def test_headers_over_http_2_may_be_large(tls: ssl.SSLContext) -> None:
    server = Http2Server()
    large = {f"x-large-{index}": "x" * 10_000 for index in range(4)}
    server.behave = lambda connection, stream, _: connection.respond(stream, 200, b"{}", **large)
    with serving_http2(server, tls) as port:
        client = Http2Client(port)
        client.get("/pokemon/1/")
        response = client.receive(ResponseReceived)
        client.close()
    headers = dict(response.headers)
    assert sum(len(headers[name.encode()]) for name in large) == 40_000


def test_http_1_1_may_be_required(tls: ssl.SSLContext) -> None:
    server = Http2Server()
    server.behave = lambda connection, stream, _: connection.reset(
        stream, ErrorCodes.HTTP_1_1_REQUIRED
    )
    with serving_http2(server, tls) as port:
        client = Http2Client(port)
        client.get("/pokemon/1/")
        reset = client.receive(StreamReset)
        client.close()
    assert reset.error_code == ErrorCodes.HTTP_1_1_REQUIRED


@pytest.mark.parametrize("error", [ErrorCodes.NO_ERROR, ErrorCodes.HTTP_1_1_REQUIRED])
def test_a_connection_may_go_away(tls: ssl.SSLContext, error: ErrorCodes) -> None:
    server = Http2Server()
    server.behave = lambda connection, *_: connection.go_away(0, error)
    with serving_http2(server, tls) as port:
        client = Http2Client(port)
        client.get("/pokemon/1/")
        end = client.receive(ConnectionTerminated)
        client.close()
    assert (end.last_stream_id, end.error_code) == (0, error)


def test_http_2_can_be_switched_off_and_on(http2: Http2) -> None:
    def get(path: str = "pokemon/1/") -> httpx.Response:
        return http2.client.get(path)

    assert get().http_version == "HTTP/2"
    http2.server.alpn = ["http/1.1"]
    assert get().http_version == "HTTP/2"  # over the open connection
    http2.server.behave = lambda connection, *_: connection.transport.abort()
    with pytest.raises(httpx.TransportError):
        get()
    for path in "pokemon/1/", "pokemon/1":
        response = get(path)
        assert response.http_version == "HTTP/1.1"
        assert response.json() == {"id": 1, "name": NAMES[1]}
    assert len(get("pokemon?limit=1").json()["results"]) == len(NAMES)
    assert get("pokemon/5000/").status_code == 404
    assert len(http2.server.connections) == 1
    assert http2.server.requests == [1, 1, 1, 1, 1, 0, 5000]
    http2.server.alpn = ["h2", "http/1.1"]
    http2.server.behave = Connection.answer
    for speaks_http_2, version in [(True, "HTTP/2"), (False, "HTTP/1.1")]:
        with client_over_tls(http2.client.base_url, http2=speaks_http_2) as client:
            assert client.get("pokemon/1/").http_version == version


@pytest.mark.parametrize("alpn", [[], ["http/1.1"]])
def test_while_http_2_is_switched_off_it_is_a_bad_request(
    tls: ssl.SSLContext, alpn: list[str]
) -> None:
    server = Http2Server()
    server.alpn = alpn
    with serving_http2(server, tls) as port, connect_tls(port) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert connection.recv(1000) == b""
    assert server.paths == []
    assert server.connections == []


def connect_tls(port: int) -> ssl.SSLSocket:
    """Connect as a client that speaks HTTP/2 or HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    connection = socket.create_connection(("localhost", port), timeout=60)
    return context.wrap_socket(connection, server_hostname="localhost")


class Http2Client:
    """A client that sees each event of one HTTP/2 connection."""

    def __init__(self, port: int) -> None:
        self.h2 = H2Connection()
        self._socket = connect_tls(port)
        self.h2.initiate_connection()
        self.receive(RemoteSettingsChanged)

    def get(self, path: str) -> None:
        pseudo = {":method": "GET", ":scheme": "https", ":authority": "localhost", ":path": path}
        self.h2.send_headers(1, list(pseudo.items()), end_stream=True)

    def receive(self, *kinds: type[Event]) -> Any:
        """Return the first event of one of these kinds."""
        while True:
            self._socket.sendall(self.h2.data_to_send())
            data = self._socket.recv(65536)
            assert data, "the server has closed the connection"
            for event in self.h2.receive_data(data):
                if isinstance(event, kinds):
                    return event

    def close(self) -> None:
        self._socket.close()


def field_names(body: bytes) -> list[str]:
    return list(json.loads(gzip.decompress(body)))


if BODIES:  # with PokeAPI's real bodies: `make test BODIES=folder`
    real = recorded(Path(BODIES))

    def test_names_and_sizes_are_the_recorded_ones() -> None:
        for one in pokemon().values():
            body = gzip.decompress(real(one))
            assert json.loads(body)["name"] == one.name
            assert len(body) == one.size

    def test_generated_bodies_have_the_fields_of_the_recorded_ones() -> None:
        mew = pokemon()[151]
        assert field_names(generated(mew)) == field_names(real(mew))
