"""The programs that are measured: `python -m tests.bench.programs NAME RANGE CALLS` prints as JSON what they took.

Every program answers a range with its names.
"""

import asyncio
import contextlib
import json
import os
import resource
import ssl
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


def function(strategy: str) -> Callable[[], Program]:
    """Make the function itself, called as Lambda calls it."""

    def make() -> Program:
        from pokemon_names import app  # noqa: F401  now, and not in the first call
        from tests.invoke import invoke

        return lambda expression: cast("list[str]", invoke({"range": expression, "strategy": strategy})["names"])

    return make


PROGRAMS = {"tutorial": tutorial, "aiohttp": aiohttp} | {strategy: function(strategy) for strategy in STRATEGIES}


def main() -> None:
    name, expression, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    wall, cpu = [], []
    with contextlib.redirect_stdout(sys.stderr):
        program = PROGRAMS[name]()
        for _ in range(calls):
            started, used = time.perf_counter(), time.process_time()
            names = program(expression)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - used)
            assert len(names) == len(Request(range=expression).numbers)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak_kb / 1024}), flush=True)
    os._exit(0)  # without the clients' farewells


if __name__ == "__main__":
    main()
