"""Count the moves between modules that `GET /pokemon/151` makes: `python -m tests.tools.moves`.

That is how often somebody who follows the request through the code moves from one module to
another. A call and its return are two moves. The request is the first in a new environment. A body
that arrives in several parts adds a few moves.
"""

import contextlib
import os
import sys
from collections import Counter
from itertools import pairwise
from types import FrameType
from typing import Any

from tests.tools import output
from tests.tools.invoke import invoke
from tests.tools.pokeapi import PokeAPI, serving

PACKAGE = "pokemon_names."
EVENT = {
    "version": "2.0",
    "rawPath": "/pokemon/151",
    "requestContext": {"http": {"method": "GET", "path": "/pokemon/151"}},
}


def modules_of_one_request() -> list[str]:
    """Return the modules that a request for one number passes through, in order."""
    with serving(PokeAPI()) as port:
        os.environ["POKEAPI_URL"] = f"http://127.0.0.1:{port}/api/v2"
        from pokemon_names import app  # noqa: F401, PLC0415  its import is not counted

        modules: list[str] = []

        def note(frame: FrameType, event: str, _: Any) -> None:
            name = frame.f_globals.get("__name__", "")
            if event == "return" and frame.f_back:
                name = frame.f_back.f_globals.get("__name__", "")
            if event in {"call", "return"} and name.startswith(PACKAGE):
                modules.append(name.removeprefix(PACKAGE))

        sys.setprofile(note)
        reply = invoke(EVENT)
        sys.setprofile(None)
    assert reply["statusCode"] == 200
    return modules


def main() -> None:
    with contextlib.redirect_stdout(sys.stderr):
        modules = modules_of_one_request()
    moves = Counter(pair for pair in pairwise(modules) if pair[0] != pair[1])
    for (here, there), count in moves.most_common():
        print(f"{count:4}  {here} -> {there}")
    print(f"{moves.total()} moves between {len(set(modules))} modules")
    sys.stdout.flush()
    os._exit(0)  # as invoke.py does


if __name__ == "__main__":
    output.run(main)
