"""`RuntimeError: Event loop is closed`: what the README says about it, shown by running it.

Each program keeps an HTTP client between the invocations of a handler that runs `asyncio.run`. It
runs in its own process, because a client that outlives its event loop leaves warnings behind.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import EVENTS, ROOT
from tests.http.servers import serving_bytes

CALLS = 6
CLOSED = "Event loop is closed"
NAME = "mew"
BODY = b'{"name": "mew"}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)

IMPORTS = """
import asyncio, json, os, sys
import aiohttp, httpx, httpx2
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pokemon_names.http.transport import Transport
from pyreqwest.compatibility.httpx import HttpxTransport
url, event = sys.argv[1], json.loads(sys.argv[2])
"""

GLOBAL_CLIENT = """
client = {client}
def handler(event, context):
    response = asyncio.run(client.get(url))
    return response.json()["name"]
"""

GLOBAL_SESSION = """
session = None
async def get_name():
    global session
    session = session or aiohttp.ClientSession()
    async with session.get(url) as response:
        return (await response.json())["name"]
def handler(event, context):
    return asyncio.run(get_name())
"""

# The event is for this path.
POWERTOOLS = """
app = APIGatewayHttpResolver()
client = {client}
@app.get("/pokemon")
async def get_name():
    response = await client.get(url)
    return response.json()
def handler(event, context):
    reply = asyncio.run(app.resolve_async(event, context))
    return json.loads(reply["body"])["name"]
"""

CLIENT_IN_EACH_RUN = """
async def get_name():
    async with {client} as client:
        response = await client.get(url)
        return response.json()["name"]
def handler(event, context):
    return asyncio.run(get_name())
"""

# Exits as abruptly as tests/tools/invoke.py, which explains why.
INVOKE = f"""
outcomes = []
for _ in range({CALLS}):
    try:
        outcomes.append(handler(event, None))
    except RuntimeError as error:
        outcomes.append(str(error))
print(json.dumps(outcomes), flush=True)
os._exit(0)
"""


class Server:
    """A server that keeps connections open, and counts them."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(RESPONSE)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with serving_bytes(server.serve) as port:
        server.url = f"http://127.0.0.1:{port}/"
        yield server


def outcomes_of(program: str, server: Server) -> list[str]:
    """Run a program and return what its handler returned or raised in each invocation."""
    event = (EVENTS / "http-api.json").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS + program + INVOKE, server.url, event],
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        check=True,
    )
    outcomes: list[str] = json.loads(done.stdout)
    return outcomes


@pytest.mark.parametrize("client", ["httpx.AsyncClient()", "httpx2.AsyncClient()"])
@pytest.mark.parametrize("program", [GLOBAL_CLIENT, POWERTOOLS])
def test_a_global_client_fails_in_every_second_invocation(
    server: Server, program: str, client: str
) -> None:
    """The failure removes the dead connection, so the next invocation opens a new one."""
    assert outcomes_of(program.format(client=client), server) == [NAME, CLOSED] * (CALLS // 2)


def test_a_global_session_of_aiohttp_fails_in_all_later_invocations(server: Server) -> None:
    assert outcomes_of(GLOBAL_SESSION, server) == [NAME] + [CLOSED] * (CALLS - 1)


@pytest.mark.parametrize("transport", ["Transport()", "HttpxTransport()"])
@pytest.mark.parametrize("program", [GLOBAL_CLIENT, POWERTOOLS])
def test_a_global_client_over_pyreqwest_works_and_stays_connected(
    server: Server, program: str, transport: str
) -> None:
    client = f"httpx.AsyncClient(transport={transport})"
    assert outcomes_of(program.format(client=client), server) == [NAME] * CALLS
    assert server.connections == 1


@pytest.mark.parametrize("client", ["httpx.AsyncClient()", "httpx2.AsyncClient()"])
def test_a_client_in_each_run_works_but_connects_every_time(server: Server, client: str) -> None:
    assert outcomes_of(CLIENT_IN_EACH_RUN.format(client=client), server) == [NAME] * CALLS
    assert server.connections == CALLS


def test_the_program_in_the_readme_works(server: Server) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## `RuntimeError: Event loop is closed`")[2]
    program = section.partition("```python\n")[2].partition("```")[0]
    program = program.replace("https://pokeapi.co/api/v2/pokemon/151/", server.url)
    assert outcomes_of(program, server) == [NAME] * CALLS
    assert server.connections == 1
