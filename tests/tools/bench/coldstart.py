"""A cold start: the size of the package, and the time to import it."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tools.bench.measure import CORE

BUILT = Path(".aws-sam/build/PokemonNames")
HANDLER = "import pokemon_names.app"
LIBRARIES = (
    "import asyncio; import httpx; from aws_lambda_powertools import Logger, Metrics;"
    "Logger(service='bench'); Metrics(service='bench', namespace='Bench')"
)


def import_seconds(statements: str) -> float:
    """Return how long the statements take in a new process that has imported nothing else.

    It reads and writes bytecode, because the package on Lambda contains bytecode.
    """
    start = "from time import perf_counter as now; started = now()"
    timed = f"{start}; {statements}; print(now() - started)"
    command = ["taskset", "--cpu-list", str(CORE), sys.executable, "-c", timed]
    env = {**os.environ, "PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": ""}
    return float(subprocess.check_output(command, env=env))


def package() -> tuple[str, float, float]:
    """Return what built the package, and its size in MB, unpacked and compressed."""
    with tempfile.TemporaryDirectory() as name:
        builder = "sam"
        folder = BUILT
        if not BUILT.is_dir():
            builder = "pip"
            folder = Path(name, "package")
            _build(folder)
        unpacked = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        archive = Path(shutil.make_archive(f"{name}/archive", "zip", folder))
        compressed = archive.stat().st_size
        return builder, unpacked / 1e6, compressed / 1e6


def _build(folder: Path) -> None:
    """Make the package as `sam build` does: the code and its requirements, without bytecode."""
    shutil.copytree("src", folder, ignore=shutil.ignore_patterns("__pycache__"))
    install = [sys.executable, "-m", "pip", "install"]
    output = ["--quiet", "--quiet", "--disable-pip-version-check"]
    arguments = ["--no-compile", "--requirement", "src/requirements.txt", "--target", str(folder)]
    subprocess.run([*install, *output, *arguments], check=True)
