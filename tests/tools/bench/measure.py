"""One measurement: a program called a few times in a process of its own, on a core of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pokemon_names.request import Request

CORE, SERVERS_CORE = 0, 1
CGROUP_1, CGROUP_2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
PERIOD = 20_000  # microseconds; with the default of 100 ms a call may end before its share is used up


class Side(NamedTuple):
    """What is measured: a program, the range that it is asked for, its share of a core, and how often it is called."""

    program: str = "gather"
    range: str = "1-150"
    share: float = 1.0
    calls: int = 4

    def __str__(self) -> str:
        return self.program if self.share >= 1 else f"{self.program}, both on {self.share} of a core"


class Run(NamedTuple):
    """What a side took: seconds to import and of the first call; of the later ones medians; its peak memory in MB.

    Where there is one call alone, it counts as a later one, too.
    """

    init: float
    first: float
    later: float
    cpu: float
    per_name: float
    peak_mb: float


@contextmanager
def held(share: float) -> Iterator[list[str]]:
    """Give what to write before a command to hold it to a share of a core; OSError where nobody may."""
    if share >= 1:
        yield []
        return
    quota = int(share * PERIOD)
    files_1 = {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": f"{quota}"}
    root, files = (CGROUP_1, files_1) if CGROUP_1.is_dir() else (CGROUP_2, {"cpu.max": f"{quota} {PERIOD}"})
    group = Path(tempfile.mkdtemp(prefix="bench-", dir=root))
    try:
        for name, text in files.items():
            (group / name).write_text(text, encoding="ascii")
        yield ["sh", "-c", 'echo $$ >"$0" && exec "$@"', f"{group}/cgroup.procs"]
    finally:
        group.rmdir()


def run(environment: Mapping[str, str], side: Side) -> Run:
    program = [sys.executable, "-m", "tests.tools.bench.programs", side.program, side.range, str(side.calls)]
    with held(side.share) as prefix:
        done = subprocess.run(
            [*prefix, "taskset", "--cpu-list", str(CORE), *program],
            env={**os.environ, "PYTHONPATH": "src", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    took = json.loads(done.stdout)
    later, cpu = (statistics.median(took[clock][1:] or took[clock]) for clock in ("wall", "cpu"))
    per_name = later / len(Request(range=side.range).numbers)
    return Run(took["init"], took["wall"][0], later, cpu, per_name, took["peak_mb"])
