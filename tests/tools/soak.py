"""Soak the function: random calls in random weather, for at most an hour: `make soak`.

One process stays warm, as a Lambda environment does. After each call, the soak checks the reply and
records the process's memory, descriptors and threads; at the end, it draws them.
"""

import asyncio
import math
import os
import re
import signal
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from subprocess import DEVNULL
from time import monotonic, time_ns
from typing import NamedTuple

from pokemon_names.views.words import plural
from tests.tools import connections, output
from tests.tools.calls import CONTEXT_SECONDS, random_event, violations
from tests.tools.chart import Panel, Span, chart
from tests.tools.options import Parser, number, page_file
from tests.tools.pokeapi import PokeAPI, serving
from tests.tools.pokeapi.faults import FAULTS, Faults
from tests.tools.pokeapi.server import bound
from tests.tools.pokeapi.weather import Weather
from tests.tools.relay import Relay
from tests.tools.run import FAILED
from tests.tools.serve import Environment

HUNG_SECONDS = 60.0
CACHE_SECONDS = "60"  # so that names expire during the soak
MAX_CALLS = 6  # in the same weather

# The minimum and maximum for each kind of weather.
CONDITIONS = {
    "limit": (20, 300),
    "outage": (1, 20),
    "busy": (1, 300),
    "once": (1, 1),
    "hopeless": (2, 50),
    "cut": (1, 1000),
}
KINDS = ("clear", "clear", "clear", "slow", "faults", "refuse", *CONDITIONS)
ENDS = ("close", "reset", "forget")
LANES = ("slow", "faults", *CONDITIONS, "refuse", *ENDS, "freeze")


class Sample(NamedTuple):
    """What the process used, `at` seconds after the soak began. Memory is in MB."""

    at: float
    memory: float
    descriptors: int
    threads: int


class Network:
    """The network to PokeAPI: a relay, and a port that can refuse connections."""

    def __init__(self, target: int) -> None:
        self.relay = Relay(target)
        self._held = bound("127.0.0.1", 0)  # keeps the port while nothing listens on it
        self.port: int = self._held.getsockname()[1]

    async def open(self) -> None:
        self._server = await self.relay.listen(self.port)

    async def refuse(self, seconds: float) -> None:
        """End all connections, and accept none for this many seconds or until cancelled."""
        await connections.close(self._server)
        self.reset()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.open()

    def reset(self) -> None:
        """Reset all connections. Forgotten ones would stay open on PokeAPI's side."""
        self.relay.reset()
        asyncio.get_running_loop().call_soon(self.relay.connections.clear)

    async def close(self) -> None:
        await connections.close(self._server)
        await self.relay.stop()
        self._held.close()


class Soak:
    """The calls, the weather, and their results."""

    def __init__(self, seed: int, pokeapi: PokeAPI, network: Network) -> None:
        self.seed = seed
        self.calls = 0
        self.samples: list[Sample] = []
        self.lanes: dict[str, list[Span]] = {lane: [] for lane in LANES}
        self.names = 0
        self.refused = 0
        self.failures = Counter[str]()
        self.violations: list[str] = []
        self._random = Random(seed)  # noqa: S311  no secret
        self._pokeapi = pokeapi
        self._network = network
        variables = {
            **os.environ,
            "PYTHONPATH": "src",
            "POKEAPI_URL": f"http://127.0.0.1:{network.port}/api/v2",
            "CACHE_SECONDS": CACHE_SECONDS,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(CONTEXT_SECONDS),
        }
        self._environment = Environment(variables, DEVNULL)
        self._is_forgotten = False
        self._began = monotonic()

    @property
    def seconds(self) -> float:
        return monotonic() - self._began

    async def run(self, seconds: float) -> None:
        """Call the function until the time is up or a call hangs."""
        await self._network.open()
        try:
            # The imports may take longer than a call.
            await self._environment.invoke({"range": "1"})
            self._began = monotonic()
            self._sample()
            print(
                f"Soaking with MINUTES={seconds / 60:g} SEED={self.seed} (Ctrl-C ends it) ...",
                file=sys.stderr,
                flush=True,
            )
            while self.seconds < seconds or not self.calls:
                await self._spell(seconds)
        except TimeoutError:
            self.violations.append(f"call {self.calls + 1}: no reply after {HUNG_SECONDS:.0f} s")
        finally:
            await self._environment.close()
            await self._network.close()

    async def _spell(self, seconds: float) -> None:
        """Make a few calls in the same weather."""
        kind = self._random.choice(KINDS)
        began = self.seconds
        self._pokeapi.delay = self._random.uniform(0.1, 3) if kind == "slow" else 0.0
        rates = _rates(self._random) if kind == "faults" else {}
        self._pokeapi.faults = Faults(rates, self._random.randrange(1000))
        conditions = {}
        if kind in CONDITIONS:
            conditions = {kind: self._random.randint(*CONDITIONS[kind])}
        self._pokeapi.weather = Weather(conditions)
        refusal = None
        if kind == "refuse":
            refusal = asyncio.create_task(self._network.refuse(self._random.uniform(1, 20)))
        try:
            for _ in range(self._random.randint(1, MAX_CALLS)):
                await self._call(is_clear=kind == "clear")
                if self.seconds >= seconds:
                    break
        finally:
            if refusal:
                refusal.cancel()
                await asyncio.wait([refusal])
            if self._is_forgotten:
                self._is_forgotten = False
                self._network.reset()
            if kind != "clear":
                self.lanes[kind].append((began, self.seconds))

    async def _call(self, *, is_clear: bool) -> None:
        event = random_event(self._random)
        if self._random.random() < 0.2:
            asyncio.get_running_loop().call_later(
                self._random.uniform(0, 2), self._end, self._random.choice(ENDS)
            )
        if self._random.random() < 0.05:
            await self._freeze(self._random.uniform(1, 4))
        began = monotonic()
        async with asyncio.timeout(HUNG_SECONDS):
            reply = await self._environment.invoke(event)
        took = monotonic() - began
        self.calls += 1
        found = list(violations(event, reply, took, is_clear=is_clear))
        for violation in found:
            print(f"call {self.calls}, {event}: {violation}"[:500], file=sys.stderr)
        self.violations += found
        self.names += len(reply.get("names", []))
        self.refused += "errorType" in reply
        self.failures.update(failure["reason"] for failure in reply.get("failures", []))
        self._sample()

    def _sample(self) -> None:
        """Record what the process uses, if it is still there."""
        if not self._environment.process:
            return
        process = Path(f"/proc/{self._environment.process.pid}")
        status = (process / "status").read_text(encoding="utf-8")
        kilobytes, threads = (
            int(re.findall(rf"^{field}:\s+(\d+)", status, re.MULTILINE)[0])
            for field in ("VmRSS", "Threads")
        )
        descriptors = len(list((process / "fd").iterdir()))
        self.samples.append(Sample(self.seconds, kilobytes / 1024, descriptors, threads))

    def _end(self, how: str) -> None:
        """Close, reset or forget all connections."""
        end_connections = getattr(self._network.relay, how)
        end_connections()
        self.lanes[how].append((self.seconds, self.seconds))
        self._is_forgotten |= how == "forget"

    async def _freeze(self, seconds: float) -> None:
        process = self._environment.process
        if process:
            began = self.seconds
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            process.send_signal(signal.SIGCONT)
            self.lanes["freeze"].append((began, self.seconds))


def _rates(random: Random) -> dict[str, float]:
    """Return the rates of a few faults, which add up to at most 0.6."""
    faults = random.sample(list(FAULTS), random.randint(1, 4))
    return {fault: random.uniform(0.01, 0.6 / len(faults)) for fault in faults}


def summary(soak: Soak) -> Iterator[str]:
    """Yield the results of the soak, in a few lines."""
    minutes = soak.seconds / 60
    yield f"calls        {soak.calls:,} in {minutes:.1f} minutes, {soak.refused} of them refused"
    yield f"names        {soak.names:,}"
    counts = soak.failures.most_common()
    failures = ", ".join(f"{count:,} {reason}" for reason, count in counts)
    yield f"failures     {failures or 'none'}"
    tenth = max(1, len(soak.samples) // 10)
    for name in ("memory", "descriptors", "threads"):
        values = [getattr(one, name) for one in soak.samples]
        first = median(values[:tenth])
        last = median(values[-tenth:])
        unit = " MB" if name == "memory" else ""
        yield (
            f"{name:<12} {first:.0f}{unit} in the first tenth of the calls, "
            f"{last:.0f}{unit} in the last, {max(values):.0f}{unit} at most"
        )
    yield f"violations   {len(soak.violations)}"


def picture(soak: Soak) -> str:
    """Return the SVG."""

    def line(name: str) -> list[tuple[float, float]]:
        return [(one.at, getattr(one, name)) for one in soak.samples]

    memory = Panel("Memory, MB", {"memory": line("memory")})
    others = Panel(
        "After each call", {"descriptors": line("descriptors"), "threads": line("threads")}
    )
    title = f"{plural(soak.calls, 'call')} in random weather"
    return chart(title, soak.lanes, [memory, others])


async def soaking(options: Namespace, pokeapi: PokeAPI, target: int) -> Soak:
    """Run a soak until its time is up or a signal ends it, and return it."""
    soak = Soak(options.seed, pokeapi, Network(target))
    running = asyncio.create_task(soak.run(options.minutes * 60))
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
    return soak


def main() -> int:
    parser = Parser(prog="python -m tests.tools.soak", description=__doc__)
    minutes = number(float, "minutes from 0 to 60, such as 10", end=math.nextafter(60, 61))
    seed = number(int, "a whole number, such as 7", minimum=-math.inf)
    parser.add_argument("file", metavar="TO", type=partial(page_file, endings=(".svg",)))
    parser.add_argument("--minutes", type=minutes, default=60.0)
    parser.add_argument("--seed", type=seed, default=time_ns() % 10_000)
    options = parser.parse_args()
    if not Path("/proc/self/fd").exists():
        parser.error("make soak needs Linux, because it reads memory and descriptors from /proc")
    pokeapi = PokeAPI()
    with serving(pokeapi) as target:
        soak = asyncio.run(soaking(options, pokeapi, target))
    if not soak.samples:
        print("Ended before the first call")
        return FAILED
    options.file.write_text(picture(soak), encoding="utf-8")
    print("\n".join(summary(soak)))
    print(f"\nWritten to {options.file}")
    return FAILED if soak.violations else 0


if __name__ == "__main__":
    output.run(main)
