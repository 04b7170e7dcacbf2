import asyncio
import socket
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme
from anyio.from_thread import start_blocking_portal
from hypercorn.asyncio import serve
from hypercorn.config import Config

from pokemon_names import __version__
from pokemon_names.client import Clients, cause
from pokemon_names.outcome import Found
from pokemon_names.request import STRATEGIES
from tests.conftest import both_clients, fetched
from tests.tools.pokeapi import PokeAPI, serving


def test_the_user_agent_names_the_project_and_its_version(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    for strategy in STRATEGIES:
        asyncio.run(fetched(clients, range="1-2", strategy=strategy))
    assert pokeapi.agents == {f"pokemon-names/{__version__}"}


def test_connections_stay_warm_from_one_event_loop_to_the_next(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    pokeapi.delay = 0.1
    for _ in range(3):
        asyncio.run(fetched(clients, range="1-20"))
    assert len(pokeapi.connections) == 20


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Make a certificate authority that SSL_CERT_FILE names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_ssl_cert_file_is_honoured(authority: trustme.CA, strategy: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(PokeAPI(), ssl_context=context) as port:
        clients = Clients(f"https://localhost:{port}/api/v2")
        result = asyncio.run(fetched(clients, range="25", strategy=strategy))
    assert result.outcomes == [Found(25, "pikachu")]


@both_clients
def test_over_tls_all_requests_share_one_http_2_connection(
    authority: trustme.CA, tmp_path: Path, strategy: str
) -> None:
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    scopes: list[Any] = []

    async def pokemon(scope: Any, _: Any, send: Any) -> None:
        assert scope["type"] == "http"
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"name": "mew"}'})

    config = Config()
    config.certfile = config.keyfile = str(tmp_path / "server.pem")
    listening = socket.create_server(("127.0.0.1", 0))
    clients = Clients(f"https://localhost:{listening.getsockname()[1]}/api/v2")
    config.bind = [f"fd://{listening.detach()}"]
    with start_blocking_portal() as thread:
        stop = thread.call(anyio.Event)
        thread.start_task_soon(partial(serve, pokemon, config, shutdown_trigger=stop.wait, mode="asgi"))
        for _ in range(2):
            asyncio.run(fetched(clients, range="1-20", strategy=strategy))
        thread.call(stop.set)
    assert [scope["http_version"] for scope in scopes] == ["2"] * 40
    assert len({scope["client"] for scope in scopes}) == 1
    assert "host" not in {name for scope in scopes for name, _ in scope["headers"]}


def test_whatever_the_transport_raises_is_an_error_of_httpx(url: str) -> None:
    with pytest.raises(httpx.DecodingError, match="negative"):
        Clients(url).get_blocking("pokemon/1", -1)


def test_the_cause_of_a_fault_from_elsewhere_is_its_message() -> None:
    assert cause(ValueError("no digits")) == "no digits"
