"""The programs that are measured.

`python -m tests.tools.bench.programs NAME RANGE CALLS` prints the times of one as JSON.

Every program except curl and h2load returns the names of a range. Those two fetch the same bodies
but decode nothing.
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

from pokemon_names.model import STRATEGIES
from pokemon_names.ranges import parse_range

URL = os.environ.get("POKEAPI_URL", "")

Program = Callable[[str], Sequence[str]]


def tutorial() -> Program:
    """Make the program that the function grew out of.

    It gathers the requests of stock httpx, without a timeout, and decodes with `response.json()`.
    """
    import httpx

    context = ssl.create_default_context()

    async def fetch(numbers: Sequence[int]) -> list[str]:
        async with httpx.AsyncClient(timeout=None, verify=context) as client:  # noqa: S113
            requests = [client.get(f"{URL}/pokemon/{number}") for number in numbers]
            responses = await asyncio.gather(*requests)
        return [response.json()["name"] for response in responses]

    return lambda expression: asyncio.run(fetch(parse_range(expression, 1500)))


def aiohttp() -> Program:
    """Make a fast handwritten program: aiohttp and msgspec, with one session for all calls."""
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

    return lambda expression: loop.run_until_complete(fetch(parse_range(expression, 1500)))


def limit() -> Program:
    """Make the limit in Python: pyreqwest, libdeflate and msgspec, called by hand."""
    import msgspec
    from deflate import gzip_decompress
    from pyreqwest.client import ClientBuilder

    class Pokemon(msgspec.Struct):
        name: str

    loop = asyncio.new_event_loop()
    in_flight = asyncio.Semaphore(100)
    builder = ClientBuilder().http2_prior_knowledge().gzip(enable=False)
    builder = builder.http2_initial_stream_window_size(2**20)
    builder = builder.http2_initial_connection_window_size(2**24)
    client = builder.build()

    async def one(number: int) -> str:
        async with in_flight:
            request = client.get(f"{URL}/pokemon/{number}").header("Accept-Encoding", "gzip")
            body = await (await request.build().send()).bytes()
            size = int.from_bytes(bytes(body[-4:]), "little")
            return msgspec.json.decode(gzip_decompress(body, size), type=Pokemon).name

    async def fetch(numbers: Sequence[int]) -> list[str]:
        return await asyncio.gather(*map(one, numbers))

    return lambda expression: loop.run_until_complete(fetch(parse_range(expression, 1500)))


def curl() -> Program:
    """Make a program that fetches with curl, and decodes nothing."""

    def fetch(expression: str) -> list[str]:
        urls = _urls(expression)
        trust = f'cacert = "{os.environ["SSL_CERT_FILE"]}"'
        outputs = [f'url = "{url}"\noutput = "/dev/null"' for url in urls]
        command = "curl --config - --parallel --parallel-max 100 --fail --silent"
        _output_of(command, [trust, *outputs])
        return urls

    return fetch


def h2load() -> Program:
    """Make a program that fetches with an HTTP/2 load generator, and decodes nothing."""

    def fetch(expression: str) -> list[str]:
        urls = _urls(expression)
        command = f"h2load --input-file=- --requests={len(urls)} --clients=1"
        output = _output_of(f"{command} --max-concurrent-streams=100", urls)
        assert f" {len(urls)} 2xx" in output
        return urls

    return fetch


def _urls(expression: str) -> list[str]:
    return [f"{URL}/pokemon/{number}" for number in parse_range(expression, 1500)]


def _output_of(command: str, lines: Sequence[str]) -> str:
    """Run a command that reads the lines, and return its output."""
    arguments = [*command.split(), "--header", "Accept-Encoding: gzip"]
    text = "\n".join(lines)
    done = subprocess.run(arguments, input=text, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout


def function(strategy: str, *, fresh: bool = True) -> Callable[[], Program]:
    """Return a function that makes this project's program, called as Lambda calls it."""

    def make() -> Program:
        from pokemon_names import app  # noqa: F401  now, not in the first call
        from tests.tools.invoke import invoke

        def call(expression: str) -> list[str]:
            reply = invoke({"range": expression, "strategy": strategy, "fresh": fresh})
            return cast("list[str]", reply["names"])

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
    name = sys.argv[1]
    expression = sys.argv[2]
    calls = int(sys.argv[3])
    wall = []
    cpu = []
    with contextlib.redirect_stdout(sys.stderr):
        started = time.perf_counter()
        program = PROGRAMS[name]()
        init = time.perf_counter() - started
        for _ in range(calls):
            started = time.perf_counter()
            used = time.process_time()
            names = program(expression)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - used)
            assert len(names) == len(parse_range(expression, 1500))
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = {"init": init, "wall": wall, "cpu": cpu, "peak_mb": peak_kb / 1024}
    print(json.dumps(times), flush=True)
    os._exit(0)  # without waiting until the clients are closed


if __name__ == "__main__":
    main()
