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

# `make fuzz` selects the profile "fuzz".
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

# Waits before retries last at most a fiftieth as long as in production, and no request counts as
# lagging, however busy the machine is.
QUICK_WAITS: dict[str, Any] = {
    "first_delay": 0.001,
    "max_delay": 0.02,
    "first_pause": 0.001,
    "max_pause": 0.02,
    "lag_timeout": 60.0,
}
QUICK = Policy(**QUICK_WAITS)
# The first error that costs a retry fails its number, unless a name received has added a retry.
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
    """Return the number of cores plus one, because tests often wait.

    At most eight, because each worker takes seconds to start.
    """
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
    """Serve the local PokeAPI and yield its URL."""
    with serving(pokeapi) as port:
        yield f"http://127.0.0.1:{port}/api/v2"


@pytest.fixture
def asked(pokeapi: PokeAPI) -> threading.Event:
    """Let requests for number 1 hang, and return an event that is set when one arrives."""
    asked = threading.Event()

    async def hang(request: web.Request) -> web.Response:
        asked.set()
        return await answers.hang(request)

    pokeapi.answers[1] = hang
    return asked


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Create a certificate authority and point SSL_CERT_FILE at it."""
    authority = trustme.CA()
    file = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", file)
    return authority


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return the TLS context of a server with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of a server that clients trust."""
    return server_context(authority.issue_cert("localhost"))


@pytest.fixture
def load_app(url: str, monkeypatch: pytest.MonkeyPatch) -> LoadApp:
    """Return a function that loads the app with POKEAPI_URL and more environment variables."""

    def load_app(**environment: str) -> ModuleType:
        return load(monkeypatch, **{"POKEAPI_URL": url, **environment})

    return load_app


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> ModuleType:
    """Load the app as a new Lambda environment does."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # For the life of the process, Powertools keeps its logger, which writes to the stdout that it
    # found first, and remembers whether there has been a cold start.
    service = os.environ.get("POWERTOOLS_SERVICE_NAME", "pokemon-names")
    logging.Logger.manager.loggerDict.pop(service, None)
    monkeypatch.setattr(powertools_logger, "is_cold_start", True)
    sys.modules.pop("pokemon_names.app", None)
    app = importlib.import_module("pokemon_names.app")
    vars(app)["policy"] = msgspec.structs.replace(app.policy, **QUICK_WAITS)
    gc.unfreeze()  # the app's gc.freeze would hide what earlier tests left open
    return app


@pytest.fixture
def handle(load_app: LoadApp) -> Handle:
    """Return the handler of one Lambda environment, which the first invocation starts."""
    app = cache(load_app)

    return lambda event: invoke(app(), event)


def invoke(app: ModuleType, event: Any) -> Any:
    """Return the handler's reply, after checking that the real runtime could send it."""
    reply = app.handler(event, Context())
    json.dumps(reply, ensure_ascii=False).encode()  # on Lambda, an error here would end the process
    return reply


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Run in the clone's folder, without a proxy, and with credentials that are valid nowhere."""
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
    """Replace AWS with moto and an empty account."""
    with mock_aws(config=config), patch.object(boto3, "DEFAULT_SESSION", _session()):
        yield


@cache
def _session() -> boto3.Session:
    """Return one session for all accounts, because a new one reads megabytes for its clients."""
    return boto3.Session()


@pytest.fixture
def aws() -> Iterator[None]:
    """Replace AWS with moto for one test."""
    with account():
        yield


@pytest.fixture
def bucket(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001  the bucket's account
    """Create a bucket and return it as a boto3 resource."""
    monkeypatch.setattr(s3, "STORE_TIMEOUT", 10.0)  # importing boto3 takes a while
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
    """Return a function that reads all reports in the bucket, by key."""
    return lambda: reports_in(bucket)


def reports_in(bucket: Any) -> dict[str, dict[str, Any]]:
    """Return all reports in a bucket, by key."""
    reports = {}
    for listed in bucket.objects.filter(Prefix="results/"):
        reports[listed.key] = json.load(listed.get()["Body"])
    return reports


class TimingOut(Clients):
    """Clients whose requests for some numbers fail at once, as if they had timed out.

    With `times`, only the first `times` requests for each of these numbers fail.
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
    """Fetch what a request with these fields asks for, within this many seconds.

    Given a URL, create new clients for it.
    """
    if isinstance(clients, str):
        clients = Clients(clients)
    deadline = time.monotonic() + seconds
    request = make_request(**fields)
    return await fetch(request, clients, cache or Cache(0), Window(policy), deadline, policy)


def sample(name: str) -> dict[str, Any]:
    """Return a sample event from events/."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def http_event(
    path: str, accept: str | None = None, method: str = "GET", **query: str
) -> dict[str, Any]:
    """Return the event that an HTTP API sends for a request."""
    event = sample("http-api")
    event["rawPath"] = path
    event["queryStringParameters"] = query
    event["requestContext"]["http"]["method"] = method
    if accept is not None:
        event["headers"]["accept"] = accept
    return event


def header_of(reply: dict[str, Any], name: str) -> Any:
    """Return a header of an HTTP reply in either of its shapes, or None if it is missing."""
    if "headers" in reply:
        return reply["headers"].get(name)
    (value,) = reply["multiValueHeaders"].get(name, [None])
    return value


def run_module(
    module: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a module to its end, in its own process with only these environment variables."""
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
    """Write a shell script into a folder that serves as PATH."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def add_programs(folder: Path, *names: str) -> None:
    """Link installed programs into a folder that serves as PATH."""
    for name in names:
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
