"""Fixtures and helpers that several test files share."""

import gc
import importlib
import json
import logging
import math
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
import msgspec
import pytest
import trustme
from aiohttp import web
from aws_lambda_powertools.logging import logger as powertools_logger
from hypothesis import HealthCheck, settings
from moto import mock_aws
from moto.core.config import DefaultConfig

from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.strategies import fetch
from pokemon_names.fetching.window import Window
from pokemon_names.http.client import Answer, Clients, Decode
from pokemon_names.http.errors import GetError
from pokemon_names.model import STRATEGIES, Failure, Fetched, Found, Request
from pokemon_names.settings import Settings
from pokemon_names.stores import s3
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers, serving
from tests.tools.pokeapi.bodies import pokemon

# `make fuzz` looks for more.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=25)
settings.register_profile(
    "fuzz",
    deadline=None,
    derandomize=False,
    max_examples=10_000,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("default")

ROOT = Path(__file__).parent.parent
EVENTS = ROOT / "events"
REGION = "eu-central-1"
SETTINGS = Settings.from_environment({})
NAMES = {number: listed.name for number, listed in pokemon().items()}

# The waits before retries are a hundredth of production's, and however busy the machine is, no
# request lags behind the others.
QUICK_WAITS: dict[str, Any] = {
    "first_delay": 0.001,
    "max_delay": 0.02,
    "first_pause": 0.001,
    "max_pause": 0.02,
    "lag_timeout": 60.0,
}
QUICK = Policy(**QUICK_WAITS)
# A number fails by its first error that costs a retry, while no name has earned one.
NO_RETRIES = msgspec.structs.replace(QUICK, own_retries=0, shared_retries=0)

# The first strategy uses the async client, the second the blocking one.
BOTH_CLIENTS = ["gather", "sync"]
both_clients = pytest.mark.parametrize("strategy", BOTH_CLIENTS)
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)

Handle = Callable[..., dict[str, Any]]
LoadApp = Callable[..., ModuleType]
ReadReports = Callable[[], dict[str, dict[str, Any]]]
Capture = pytest.CaptureFixture[str]


def pytest_xdist_auto_num_workers() -> int:
    """Return one more worker than cores, because tests wait, too; each takes seconds to start."""
    return min(8, (os.cpu_count() or 1) + 1)


def make_request(**fields: Any) -> Request:
    return Request.parse(fields, max_numbers=1500)


def names_of(fetched: Fetched) -> list[str]:
    return [result.name for result in fetched.results if isinstance(result, Found)]


def failures_of(fetched: Fetched) -> list[Failure]:
    return [result for result in fetched.results if isinstance(result, Failure)]


@pytest.fixture
def pokeapi() -> PokeAPI:
    return PokeAPI()


@pytest.fixture
def url(pokeapi: PokeAPI) -> Iterator[str]:
    """Serve the local PokeAPI, and yield its URL."""
    with serving(pokeapi) as port:
        yield f"http://127.0.0.1:{port}/api/v2"


@pytest.fixture
def asked(pokeapi: PokeAPI) -> threading.Event:
    """Let the request for number 1 hang, and return the event that it has come."""
    asked = threading.Event()

    async def hang(request: web.Request) -> web.Response:
        asked.set()
        return await answers.hang(request)

    pokeapi.answers[1] = hang
    return asked


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Make a certificate authority that SSL_CERT_FILE names."""
    authority = trustme.CA()
    file = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", file)
    return authority


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return the TLS context of a server that has the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Make the TLS context of a server that is trusted."""
    return server_context(authority.issue_cert("localhost"))


@pytest.fixture
def load_app(url: str, monkeypatch: pytest.MonkeyPatch) -> LoadApp:
    """Return a function that loads the app with environment variables beside POKEAPI_URL."""

    def load_app(**environment: str) -> ModuleType:
        return load(monkeypatch, **{"POKEAPI_URL": url, **environment})

    return load_app


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> ModuleType:
    """Load the app as a new Lambda environment does."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # Powertools holds its logger, with the stdout that it found, for as long as the process lives;
    # and whether there was a cold start.
    service = os.environ.get("POWERTOOLS_SERVICE_NAME", "pokemon-names")
    logging.Logger.manager.loggerDict.pop(service, None)
    monkeypatch.setattr(powertools_logger, "is_cold_start", True)
    sys.modules.pop("pokemon_names.app", None)
    app = importlib.import_module("pokemon_names.app")
    vars(app)["policy"] = msgspec.structs.replace(app.policy, **QUICK_WAITS)
    gc.unfreeze()  # it would hide what the tests before left open
    return app


@pytest.fixture
def handle(load_app: LoadApp) -> Handle:
    """Return the handler of one Lambda environment, which the first invocation starts."""
    app = cache(load_app)

    return lambda event: invoke(app(), event)


def invoke(app: ModuleType, event: Any) -> Any:
    """Return the handler's reply, which the real runtime can send."""
    reply = app.handler(event, Context())
    json.dumps(reply, ensure_ascii=False).encode()  # or its process ends
    return reply


@pytest.fixture(scope="session", autouse=True)
def shell() -> Iterator[None]:
    """Be in the clone's folder, with no proxy, and with credentials that open nobody's account."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ROOT)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        yield


@contextmanager
def account(config: DefaultConfig | None = None) -> Iterator[None]:
    """Put moto in AWS's place, with nothing in the account."""
    with mock_aws(config=config), patch.object(boto3, "DEFAULT_SESSION", _session()):
        yield


@cache
def _session() -> boto3.Session:
    """Return the session of all accounts, because each reads megabytes for its first clients."""
    return boto3.Session()


@pytest.fixture
def aws() -> Iterator[None]:
    """Put moto in AWS's place for one test."""
    with account():
        yield


@pytest.fixture
def bucket(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001  it is made in the account
    """Make a bucket, and return boto3's own view of it."""
    monkeypatch.setattr(s3, "STORE_TIMEOUT", 10.0)  # importing boto3 among other tests
    location = {"LocationConstraint": REGION}
    return boto3.resource("s3").create_bucket(
        Bucket="pokemon-names", CreateBucketConfiguration=location
    )


@pytest.fixture
def handle_with_bucket(load_app: LoadApp, bucket: Any) -> Handle:
    """Return the handler of one Lambda environment that has the bucket."""
    app = cache(load_app)
    return lambda event: invoke(app(RESULTS_BUCKET=bucket.name), event)


@pytest.fixture
def read_reports(bucket: Any) -> ReadReports:
    """Return a function that reads all reports in the bucket, by their keys."""
    return lambda: reports_in(bucket)


def reports_in(bucket: Any) -> dict[str, dict[str, Any]]:
    """Return all reports in a bucket, by their keys."""
    reports = {}
    for listed in bucket.objects.filter(Prefix="results/"):
        reports[listed.key] = json.load(listed.get()["Body"])
    return reports


class TimingOut(Clients):
    """Clients whose first requests for some numbers return at once what a timeout returns.

    By default all requests for these numbers do.
    """

    def __init__(self, base_url: str, *numbers: int, times: float = math.inf) -> None:
        super().__init__(base_url)
        self._times = dict.fromkeys(map(str, numbers), times)

    async def get(
        self, path: str, decode: Decode[Any], seconds: float | None = None
    ) -> Answer[Any]:
        return self._time_out(path) or await super().get(path, decode, seconds)

    def get_blocking(
        self, path: str, decode: Decode[Any], seconds: float | None = None
    ) -> Answer[Any]:
        return self._time_out(path) or super().get_blocking(path, decode, seconds)

    def _time_out(self, path: str) -> Answer[Any] | None:
        key = path.rstrip("/").rpartition("/")[2]
        if self._times.get(key, 0) <= 0:
            return None
        self._times[key] -= 1
        error = GetError(kind="service", reason="timeout", detail="operation timed out")
        return Answer(error=error)


async def fetch_range(
    clients: Clients | str,
    *,
    seconds: float = 30.0,
    policy: Policy = QUICK,
    cache: Cache | None = None,
    **fields: Any,
) -> Fetched:
    """Fetch what a request with these fields asks for, within that many seconds.

    For a URL there are new clients.
    """
    if isinstance(clients, str):
        clients = Clients(clients)
    deadline = time.monotonic() + seconds
    request = make_request(**fields)
    return await fetch(request, clients, cache or Cache(0), Window(policy), deadline, policy)


def sample(name: str) -> dict[str, Any]:
    """Return a sample event, as events/ has it."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def http_event(
    path: str, accept: str | None = None, method: str = "GET", **query: str
) -> dict[str, Any]:
    """Return the event that an HTTP API makes of a request."""
    event = sample("http-api")
    event["rawPath"] = path
    event["queryStringParameters"] = query
    event["requestContext"]["http"]["method"] = method
    if accept is not None:
        event["headers"]["accept"] = accept
    return event


def header_of(reply: dict[str, Any], name: str) -> Any:
    """Return a header of an HTTP reply in either shape, None where it has none of that name."""
    if "headers" in reply:
        return reply["headers"].get(name)
    (value,) = reply["multiValueHeaders"].get(name, [None])
    return value


def run_module(
    module: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a module to its end, in a process of its own that has these environment variables."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": "src", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def add_program(folder: Path, name: str, script: str) -> None:
    """Write a program for a folder that is somebody's PATH."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def add_programs(folder: Path, *names: str) -> None:
    """Link programs of this machine into such a folder."""
    for name in names:
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
