"""The programs that are measured: `python -m tests.tools.bench.programs NAME RANGE CALLS` prints their times as JSON.

Every program answers a range with its names, but for curl and h2load: they fetch the same bodies and decode none.
"""

import asyncio
import contextlib
import json
import os
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import cast

from pokemon_names.request import STRATEGIES, Request

URL = os.environ.get("POKEAPI_URL", "")

Program = Callable[[str], Sequence[str]]


def tutorial() -> Program:
    """Make the one it all grew out of: stock httpx, gathered, `response.json()`; only its timeout is lifted."""
    import httpx

    context = ssl.create_default_context()

    async def fetch(numbers: Sequence[int]) -> list[str]:
        async with httpx.AsyncClient(timeout=None, verify=context) as client:  # noqa: S113
            responses = await asyncio.gather(*(client.get(f"{URL}/pokemon/{number}") for number in numbers))
        return [response.json()["name"] for response in responses]

    return lambda expression: asyncio.run(fetch(Request(range=expression).numbers))


def aiohttp() -> Program:
    """Make what one would write by hand to be fast: aiohttp and msgspec, with one event loop and session for good."""
    import aiohttp
    import msgspec

    class Pokemon(msgspec.Struct):
        name: str

    loop = asyncio.new_event_loop()
    context = ssl.create_default_context()

    async def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    client = loop.run_until_complete(session())

    async def one(number: int) -> str:
        async with client.get(f"{URL}/pokemon/{number}") as response:
            return msgspec.json.decode(await response.read(), type=Pokemon).name

    async def fetch(numbers: Sequence[int]) -> list[str]:
        return await asyncio.gather(*map(one, numbers))

    return lambda expression: loop.run_until_complete(fetch(Request(range=expression).numbers))


def limit() -> Program:
    """Make what Python can do at most: pyreqwest, libdeflate and msgspec by hand, on one connection, without httpx."""
    import msgspec
    from deflate import gzip_decompress
    from pyreqwest.client import ClientBuilder

    class Pokemon(msgspec.Struct):
        name: str

    loop = asyncio.new_event_loop()
    in_flight = asyncio.Semaphore(100)
    builder = ClientBuilder().http2_prior_knowledge().gzip(enable=False)
    client = builder.http2_initial_stream_window_size(2**20).http2_initial_connection_window_size(2**24).build()

    async def one(number: int) -> str:
        async with in_flight:
            request = client.get(f"{URL}/pokemon/{number}").header("Accept-Encoding", "gzip")
            body = await (await request.build().send()).bytes()
            size = int.from_bytes(bytes(body[-4:]), "little")
            return msgspec.json.decode(gzip_decompress(body, size), type=Pokemon).name

    async def fetch(numbers: Sequence[int]) -> list[str]:
        return await asyncio.gather(*map(one, numbers))

    return lambda expression: loop.run_until_complete(fetch(Request(range=expression).numbers))


def curl() -> Program:
    """Make the wire, as curl uses it."""

    def fetch(expression: str) -> list[str]:
        urls = _urls(expression)
        trust = f'cacert = "{os.environ["SSL_CERT_FILE"]}"'
        outputs = [f'url = "{url}"\noutput = "/dev/null"' for url in urls]
        _fed("curl --config - --parallel --parallel-max 100 --fail --silent", [trust, *outputs])
        return urls

    return fetch


def h2load() -> Program:
    """Make the wire, as an HTTP/2 load generator uses it."""

    def fetch(expression: str) -> list[str]:
        urls = _urls(expression)
        told = _fed(f"h2load --input-file=- --requests={len(urls)} --clients=1 --max-concurrent-streams=100", urls)
        assert f" {len(urls)} 2xx" in told
        return urls

    return fetch


def _urls(expression: str) -> list[str]:
    return [f"{URL}/pokemon/{number}" for number in Request(range=expression).numbers]


def _fed(command: str, lines: Sequence[str]) -> str:
    arguments = [*command.split(), "--header", "Accept-Encoding: gzip"]
    return subprocess.run(arguments, input="\n".join(lines), stdout=subprocess.PIPE, check=True, text=True).stdout


def function(strategy: str, *, fresh: bool = True) -> Callable[[], Program]:
    """Make the function itself, called as Lambda calls it."""

    def make() -> Program:
        from pokemon_names import app  # noqa: F401  now, and not in the first call
        from tests.tools.invoke import invoke

        def call(expression: str) -> list[str]:
            return cast("list[str]", invoke({"range": expression, "strategy": strategy, "fresh": fresh})["names"])

        return call

    return make


PROGRAMS = {
    "tutorial": tutorial,
    "aiohttp": aiohttp,
    "limit": limit,
    "curl": curl,
    "h2load": h2load,
    "cached": function("gather", fresh=False),
    **{strategy: function(strategy) for strategy in STRATEGIES},
}


def main() -> None:
    name, expression, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    wall, cpu = [], []
    with contextlib.redirect_stdout(sys.stderr):
        started = time.perf_counter()
        program = PROGRAMS[name]()
        init = time.perf_counter() - started
        for _ in range(calls):
            started, used = time.perf_counter(), time.process_time()
            names = program(expression)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - used)
            assert len(names) == len(Request(range=expression).numbers)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"init": init, "wall": wall, "cpu": cpu, "peak_mb": peak_kb / 1024}), flush=True)
    os._exit(0)  # without the clients' farewells


if __name__ == "__main__":
    main()
