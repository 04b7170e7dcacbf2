import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from pokemon_names import __version__
from pokemon_names.client import Clients, cause
from pokemon_names.fetch import Found, fetch
from pokemon_names.request import STRATEGIES, Request
from tests.pokeapi import PokeAPI, serving


def test_the_user_agent_names_the_project_and_its_version(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    for strategy in STRATEGIES:
        asyncio.run(fetch(Request(range="1-2", strategy=strategy), clients, asyncio.Semaphore(1)))
    assert pokeapi.agents == {f"pokemon-names/{__version__}"}


def test_connections_stay_warm_from_one_event_loop_to_the_next(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    pokeapi.delay = 0.1
    for _ in range(3):
        asyncio.run(fetch(Request(range="1-20"), clients, asyncio.Semaphore(20)))
    assert len(pokeapi.connections) == 20


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_ssl_cert_file_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serving(PokeAPI(), ssl_context=context) as port:
        clients = Clients(f"https://localhost:{port}/api/v2")
        fetched = asyncio.run(fetch(Request(range="25", strategy=strategy), clients, asyncio.Semaphore(1)))
    assert fetched.outcomes == [Found(25, "pikachu")]


def test_the_cause_of_a_fault_from_elsewhere_is_its_message() -> None:
    assert cause(ValueError("no digits")) == "no digits"
