"""One measurement: a program that runs a few times, in its own process and on its own core."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pokemon_names.ranges import parse_range

CORE = 0
SERVERS_CORE = 1
CGROUP_1 = Path("/sys/fs/cgroup/cpu")
CGROUP_2 = Path("/sys/fs/cgroup")

# In microseconds. With the default of 100 ms, a call may end before its share is used up.
PERIOD = 20_000


class Side(NamedTuple):
    """What is measured: a program, its range, its share of a core, and its number of calls."""

    program: str = "gather"
    range: str = "1-150"
    share: float = 1.0
    calls: int = 4

    def __str__(self) -> str:
        if self.share >= 1:
            return self.program
        return f"{self.program}, both on {self.share} of a core"


class Run(NamedTuple):
    """What one side took: times in seconds, and peak memory in MB.

    `init` is how long its imports took, and `first` how long its first call took.
    `later`, `cpu` and `per_name` are medians of the later calls, or of the only call.
    """

    init: float
    first: float
    later: float
    cpu: float
    per_name: float
    peak_mb: float


@contextmanager
def limited_to(share: float) -> Iterator[list[str]]:
    """Yield the arguments that limit the command after them to a share of a core.

    Raise OSError if the system does not permit that.
    """
    if share >= 1:
        yield []
        return
    quota = int(share * PERIOD)
    if CGROUP_1.is_dir():
        root = CGROUP_1
        files = {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": f"{quota}"}
    else:
        root = CGROUP_2
        files = {"cpu.max": f"{quota} {PERIOD}"}
    group = Path(tempfile.mkdtemp(prefix="bench-", dir=root))
    try:
        for name, text in files.items():
            (group / name).write_text(text, encoding="ascii")
        yield ["sh", "-c", 'echo $$ >"$0" && exec "$@"', f"{group}/cgroup.procs"]
    finally:
        group.rmdir()


def run(environment: Mapping[str, str], side: Side) -> Run:
    program = [sys.executable, "-m", "tests.tools.bench.programs"]
    arguments = [side.program, side.range, str(side.calls)]
    with limited_to(side.share) as prefix:
        done = subprocess.run(
            [*prefix, "taskset", "--cpu-list", str(CORE), *program, *arguments],
            env={
                **os.environ,
                "PYTHONPATH": "src",
                "PYTHONDONTWRITEBYTECODE": "",  # the package on Lambda contains bytecode
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    took = json.loads(done.stdout)
    later = _median_of_later(took["wall"])
    cpu = _median_of_later(took["cpu"])
    per_name = later / len(parse_range(side.range, 1500))
    return Run(took["init"], took["wall"][0], later, cpu, per_name, took["peak_mb"])


def _median_of_later(times: Sequence[float]) -> float:
    return statistics.median(times[1:] or times)
