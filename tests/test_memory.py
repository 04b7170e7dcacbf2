"""Peak memory, as the process itself reports it: failed requests leave nothing behind."""

import json
import os
import subprocess
import sys

from tests.tools.pokeapi import PokeAPI, answers

# Prints the peak memory after each fetch. It forks first, because a process started by exec
# inherits the peak of its parent, here pytest, and a forked one does not.
PROGRAM = """
import asyncio, json, os, resource, sys, time
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import fetch
from pokemon_names.fetching.window import Window
from pokemon_names.http.client import Clients
from pokemon_names.model import Found, Request
clients = Clients(sys.argv[1])
policy = Policy(own_retries=0, shared_retries=-100, max_list_attempts=1, lag_timeout=60.0)
async def fetch_range(expression):
    request = Request.parse({"range": expression}, max_numbers=1500)
    deadline = time.monotonic() + 60
    return await fetch(request, clients, Cache(0), Window(policy), deadline, policy)
peaks = []
for expression in sys.argv[2:]:
    results = asyncio.run(fetch_range(expression)).results
    assert all(isinstance(one, Found) == (expression == "1-20") for one in results), results
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(json.dumps(peaks))
"""


def test_failures_leave_nothing_behind(pokeapi: PokeAPI, url: str) -> None:
    """The answers are bombs, and complete bodies without a name."""
    pokeapi.answers = dict.fromkeys(range(21, 31), answers.large(16_000_000))
    pokeapi.answers |= dict.fromkeys(range(31, 61), answers.large(3_000_000))
    pokeapi.answers[PokeAPI.LIST] = answers.status(501)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, "1-20", "21-60", "21-60"],
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        check=True,
    )
    healthy, failed_once, failed_twice = json.loads(done.stdout)
    # Bodies are decompressed one at a time, up to 4 MB each. Together, those of one fetch are at
    # least 130 MB.
    assert failed_once < healthy + 60_000
    assert failed_twice < healthy + 60_000
