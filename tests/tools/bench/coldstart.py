"""What a cold start loads: the package, and the time that importing it takes."""

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
    "import httpx; from aws_lambda_powertools import Logger, Metrics;"
    "Logger(service='bench'); Metrics(service='bench', namespace='Bench')"
)


def import_seconds(statements: str) -> float:
    """Run the statements in a new process, which has imported nothing else."""
    timed = f"from time import perf_counter as now; started = now(); {statements}; print(now() - started)"
    command = ["taskset", "--cpu-list", str(CORE), sys.executable, "-c", timed]
    return float(subprocess.check_output(command, env={**os.environ, "PYTHONPATH": "src"}))


def package() -> tuple[str, float, float]:
    """Give who built the package, and its megabytes unpacked and zipped."""
    with tempfile.TemporaryDirectory() as name:
        folder = BUILT
        if not BUILT.is_dir():
            folder = Path(name, "package")
            _build(folder)
        unpacked = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        zipped = Path(shutil.make_archive(f"{name}/zipped", "zip", folder)).stat().st_size
        return "sam" if folder is BUILT else "pip", unpacked / 1e6, zipped / 1e6


def _build(folder: Path) -> None:
    """Put together what `sam build` does: the code and its requirements, without bytecode."""
    shutil.copytree("src", folder, ignore=shutil.ignore_patterns("__pycache__"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
    arguments = ["--no-compile", "--requirement", "src/requirements.txt", "--target", str(folder)]
    subprocess.run([*install, *arguments], check=True)
