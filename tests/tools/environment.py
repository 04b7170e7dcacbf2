"""A Lambda environment with quick retries, which reports what it leaves behind.

With the argument `timeouts`, its requests time out soon; without it, practically never. Each line
of stdin has the name of a function below and its arguments, and each line of stdout is the result.
Everything else goes to stderr.
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
from typing import TYPE_CHECKING, Any, cast

import msgspec

from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.http.client import Clients
from pokemon_names.http.connections import Limits
from tests.tools.invoke import Context

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

POLICY = Policy(
    shared_retries=12, first_delay=0.001, max_delay=0.002, first_pause=0.001, max_pause=0.002
)
SHORT = Limits(read_timeout=0.3, ping_interval=0.1, ping_timeout=0.1)
LONG = Limits(
    connect_timeout=60.0,
    read_timeout=60.0,
    total_timeout=60.0,
    ping_interval=60.0,
    ping_timeout=60.0,
)

results: list[Any] = []  # of the last invocation's jobs
tasks: list[str] = []  # that the last invocation left behind in its event loop


def prepare(limits: Limits) -> None:
    """Give the app clients with these limits, and record the outcomes and the tasks left behind."""
    from pokemon_names import app  # noqa: PLC0415  its logger keeps this stdout

    run_jobs = app._run_jobs  # noqa: SLF001

    async def watch_jobs(*arguments: Any) -> Any:
        results[:] = await run_jobs(*arguments)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        tasks[:] = map(repr, others)
        return results

    vars(app)["_run_jobs"] = watch_jobs
    vars(app)["clients"] = Clients(app.settings.pokeapi_url, app.settings.max_body_bytes, limits)


def begin() -> int:
    """Forget all names, and return the id of the process."""
    from pokemon_names import app  # noqa: PLC0415

    app.cache = Cache(app.settings.cache_seconds)
    return os.getpid()


def invoke(  # noqa: PLR0913, PLR0917  one for each wait
    event: Any, seconds: float, now: float, silence: float, straggler: float, lag: float
) -> Any:
    """Return the reply to an event, how long it took, the reports, and the tasks left behind.

    `now` is the time on the cache's clock. A fetch ends after `silence` seconds without a response,
    or when the last numbers have had no result for `straggler` seconds. A request lags after `lag`
    seconds at the earliest.
    """
    from pokemon_names import app  # noqa: PLC0415

    app.cache._clock = lambda: now  # noqa: SLF001
    app.policy = msgspec.structs.replace(
        POLICY,
        silence_timeout=silence,
        promise_timeout=silence,
        straggler_timeout=straggler,
        lag_timeout=lag,
    )
    results.clear()
    tasks.clear()
    started = time.monotonic()
    try:
        reply = app.handler(event, cast("LambdaContext", Context(seconds=seconds)))
    except Exception as error:  # noqa: BLE001  as Lambda does
        reply = {"errorType": type(error).__name__, "errorMessage": str(error)}
    elapsed = time.monotonic() - started
    reports = [result.report.as_dict() for result in results if result.report]
    results.clear()
    return {"reply": reply, "seconds": elapsed, "reports": reports, "tasks": list(tasks)}


def left() -> dict[str, int]:
    """Return what is left behind between two invocations, and the peak memory."""
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
    """Yield for each open file whether it is a socket."""
    for descriptor in os.listdir("/dev/fd"):  # noqa: PTH208  names, not paths
        with contextlib.suppress(OSError):  # closed in the meantime
            yield stat.S_ISSOCK(os.fstat(int(descriptor)).st_mode)


if __name__ == "__main__":
    # A process started by exec inherits the peak memory of its parent; a forked one does not.
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    replies = sys.stdout
    functions: dict[str, Callable[..., Any]] = {"begin": begin, "invoke": invoke, "left": left}
    with contextlib.redirect_stdout(sys.stderr):
        prepare(SHORT if "timeouts" in sys.argv else LONG)
        for line in sys.stdin:
            name, arguments = json.loads(line)
            print(json.dumps(functions[name](**arguments)), file=replies, flush=True)
    sys.stderr.flush()
    os._exit(0)  # as invoke.py does
