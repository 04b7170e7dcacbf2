"""The process's own account of its memory: what fails leaves nothing behind."""

import json
import os
import subprocess
import sys

import pytest

from tests.tools.pokeapi import PokeAPI, answers

# A process made by exec begins with the highest figure of the one that made it, here pytest's; a forked one anew.
PROGRAM = """
import asyncio, json, os, resource, sys
if child := os.fork():
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
from tests.conftest import fetched
from pokemon_names.client import Clients
clients = Clients(sys.argv[1])
peaks = []
for asked in sys.argv[2:]:
    asyncio.run(fetched(clients, range=asked))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(json.dumps(peaks))
"""


@pytest.mark.parametrize("size", [16_000_000, 1_000_000])
def test_failures_leave_nothing_behind(pokeapi: PokeAPI, url: str, size: int) -> None:
    """Send bombs, and then bodies that are whole but lack a name."""
    pokeapi.answers = dict.fromkeys(range(151, 301), answers.large(size))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, "1-150", "151-300", "151-300", "151-300"],
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        check=True,
    )
    healthy, once, *_, often = json.loads(done.stdout)
    assert once < healthy * 2  # with 100 in flight
    assert often < once * 1.25
