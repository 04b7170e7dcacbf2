"""The process's own account of its memory: failures leave nothing behind."""

import json
import os
import subprocess
import sys

import pytest

from tests.tools.pokeapi import PokeAPI, answers

# It prints the peak memory after each fetch. A process made by exec begins with the peak of the one
# that made it, here pytest's; a forked one begins anew.
PROGRAM = """
import asyncio, json, os, resource, sys
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
from tests.conftest import NO_RETRIES, fetch_range, names_of
from pokemon_names.http.client import Clients
clients = Clients(sys.argv[1])
peaks = []
for expression in sys.argv[2:]:
    fetched = asyncio.run(fetch_range(clients, policy=NO_RETRIES, range=expression))
    assert len(names_of(fetched)) == (150 if expression == "1-150" else 0)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(json.dumps(peaks))
"""


@pytest.mark.parametrize("size", [16_000_000, 1_000_000])
def test_failures_leave_nothing_behind(pokeapi: PokeAPI, url: str, size: int) -> None:
    """Answer with bombs, and then with bodies that are whole but lack a name."""
    pokeapi.answers = dict.fromkeys(range(151, 301), answers.large(size))
    pokeapi.answers[PokeAPI.LIST] = answers.status(501)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, "1-150", "151-300", "151-300", "151-300"],
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        check=True,
    )
    healthy, failed_once, _, failed_thrice = json.loads(done.stdout)
    assert failed_once < healthy * 2  # with 100 in flight
    assert failed_thrice < failed_once * 1.25
