"""A client that openapi-python-client generates from openapi.yaml calls `make serve`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pokemon_names.views import pages
from tests.tools.test_serve import end, race_of, started

pytestmark = pytest.mark.sam

GENERATOR = "openapi-python-client==0.29.1"
DESCRIPTION = Path(pages.__file__).with_name("openapi.yaml")

# It runs in the generator's virtual environment, which has the packages that the client imports.
CALLS = """
import json, sys
from client import Client
from client.api.default import get_name, get_names, race

with Client(sys.argv[1]) as client:
    mew = get_name.sync(151, client=client)
    names = get_names.sync(client=client, range_="1-3,9999", trace=True)
    refusal = get_names.sync(client=client, range_="1-x")
    trouble = get_names.sync(client=client, range_="9999")
    result = race.sync(client=client, range_="1-2", strategies="gather,sync")
print(json.dumps({
    "types": [type(one).__name__ for one in (mew, names, refusal, trouble, result)],
    "names": [mew.names, names.names],
    "failures": [[one.number, one.reason] for one in names.failures],
    "traced": len(names.trace) == names.timing.requests,
    "refusal": [refusal.status, refusal.field, refusal.given, refusal.allowed],
    "trouble": [trouble.status, trouble.title, trouble.count],
    "race": [[one.strategy, one.cut_off, one.speedup > 0, one.names] for one in result.race],
}))
"""


def test_a_generated_client_reads_every_member(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    python = str(venv / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GENERATOR]
    subprocess.run(install, check=True)
    generate = ["generate", "--path", str(DESCRIPTION), "--output-path", "client", "--meta", "none"]
    environment = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(
        [str(venv / "bin" / "openapi-python-client"), *generate],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    with started() as process:
        url = race_of(process).removesuffix("/race")
        done = subprocess.run(
            [python, "-c", CALLS, url],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        end(process, signal.SIGTERM)
    pair = ["bulbasaur", "ivysaur"]
    assert json.loads(done.stdout) == {
        "types": ["Report", "Report", "Refusal", "ReportProblem", "Race"],
        "names": [["mew"], [*pair, "venusaur"]],
        "failures": [[9999, "not_found"]],
        "traced": True,
        "refusal": [400, "range", "1-x", "up to 1,500 numbers, as in 1-151,10001-10010"],
        "trouble": [404, "Not Found", 0],
        "race": [["gather", False, True, pair], ["sync", False, True, pair]],
    }
