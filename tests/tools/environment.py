"""One environment of Lambda whose waits are short, and which says what it has left.

Each line of stdin is the name of a function here with its arguments, and each of stdout what it
returns; everything else goes to stderr.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from pokemon_names.fetching import connections, patience, retry, window
from pokemon_names.fetching.cache import Cache
from tests.tools.invoke import Context

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SHARED_RETRIES = 20
READ_TIMEOUT = timedelta(seconds=0.3)
PING_TIMEOUT = timedelta(seconds=0.1)


def shorten() -> None:
    """Shorten the waits, before the app is imported."""
    retry.FIRST_DELAY = window.FIRST_PAUSE = 0.001
    retry.MAX_DELAY = window.MAX_PAUSE = 0.004
    retry.SHARED_RETRIES = SHARED_RETRIES
    connections.READ_TIMEOUT = READ_TIMEOUT
    connections.PING_INTERVAL = connections.PING_TIMEOUT = PING_TIMEOUT


def begin() -> int:
    """Forget all names, and return the id of the process."""
    from pokemon_names import app  # noqa: PLC0415  its logger uses the stdout that it finds

    app.cache = Cache(app.settings.cache_seconds)
    return os.getpid()


def invoke(event: Any, seconds: float, now: float, silence: float, straggler: float) -> Any:
    """Return the reply to an event at this time of the cache, and the seconds that it took.

    PokeAPI is given up after so many seconds of silence, and a straggler after so many others.
    """
    from pokemon_names import app  # noqa: PLC0415

    app.cache._clock = lambda: now  # noqa: SLF001
    vars(app)["STRAGGLER_TIMEOUT"] = straggler
    vars(patience).update(SILENCE_TIMEOUT=silence, PROMISE_TIMEOUT=silence)
    started = time.monotonic()
    try:
        reply = app.handler(event, cast("LambdaContext", Context(seconds=seconds)))
    except Exception as error:  # noqa: BLE001  as Lambda does
        reply = {"errorType": type(error).__name__, "errorMessage": str(error)}
    return {"reply": reply, "seconds": time.monotonic() - started}


def left() -> dict[str, int]:
    """Return what is left between two invocations, and the peak memory."""
    gc.collect()
    objects = gc.get_objects()
    are_sockets = list(_open_files())
    return {
        "sockets": are_sockets.count(True),
        "tasks": sum(isinstance(one, asyncio.Task) for one in objects),
        "threads": threading.active_count() - 1,
        "files": are_sockets.count(False),
        "objects": len(objects),
        "kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def _open_files() -> Iterator[bool]:
    """Yield of each open file whether it is a socket."""
    for descriptor in os.listdir("/dev/fd"):  # noqa: PTH208  names, not paths
        with contextlib.suppress(OSError):  # closed since then
            yield stat.S_ISSOCK(os.fstat(int(descriptor)).st_mode)


if __name__ == "__main__":
    # A process made by exec begins with the peak memory of the one that made it.
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    shorten()
    replies = sys.stdout
    functions: dict[str, Callable[..., Any]] = {"begin": begin, "invoke": invoke, "left": left}
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            name, arguments = json.loads(line)
            print(json.dumps(functions[name](**arguments)), file=replies, flush=True)
    sys.stderr.flush()
    os._exit(0)  # as invoke.py does
