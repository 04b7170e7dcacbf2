import gc
import importlib
import json
import logging
import math
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
import httpx
import pytest
import trustme
from aws_lambda_powertools.logging import logger as powertools_logger
from hypothesis import HealthCheck, settings
from moto import mock_aws
from moto.core.config import DefaultConfig

from pokemon_names import bucket as bucket_module
from pokemon_names import retry, window
from pokemon_names.cache import Cache
from pokemon_names.client import Clients
from pokemon_names.fetch import fetch
from pokemon_names.outcome import Failed, Fetched, Found
from pokemon_names.request import Request
from pokemon_names.window import Window
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, serving

settings.register_profile("default", deadline=None, derandomize=True)  # `make fuzz` looks for more
settings.register_profile(
    "fuzz", deadline=None, derandomize=False, max_examples=10_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("default")

EVENTS = Path(__file__).parent.parent / "events"

REGION = "eu-central-1"

BOTH_CLIENTS = ["gather", "sync"]  # the first strategy uses the async client, the second the blocking one
both_clients = pytest.mark.parametrize("strategy", BOTH_CLIENTS)

Handle = Callable[..., dict[str, Any]]
Kept = Callable[[], dict[str, dict[str, Any]]]


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers a core, because tests wait as much as they compute; at most 8: each imports for seconds."""
    return min(8, 2 * (os.cpu_count() or 1))


def names(result: Fetched) -> list[str]:
    return [outcome.name for outcome in result.outcomes if isinstance(outcome, Found)]


def failures(result: Fetched) -> list[Failed]:
    return [outcome for outcome in result.outcomes if isinstance(outcome, Failed)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries wait for hundredths of what they do otherwise, and as often."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(retry, "MAX_WAIT", 0.02)
    monkeypatch.setattr(window, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(window, "MAX_PAUSE", 0.02)


@pytest.fixture
def pokeapi() -> PokeAPI:
    return PokeAPI()


@pytest.fixture
def url(pokeapi: PokeAPI) -> Iterator[str]:
    """Where the local PokeAPI answers."""
    with serving(pokeapi) as port:
        yield f"http://127.0.0.1:{port}/api/v2"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Make a certificate authority that SSL_CERT_FILE names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


def certified(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return the TLS context of a server that has the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Make the TLS context of a server that is trusted."""
    return certified(authority.issue_cert("localhost"))


@pytest.fixture
def load_app(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Load the app with these environment variables beside POKEAPI_URL."""
    return lambda **environment: load(monkeypatch, **{"POKEAPI_URL": url, **environment})


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> ModuleType:
    """Load the app as a new Lambda environment does."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # Powertools keeps its logger, with the stdout that it found, and its cold start as long as the process lives.
    logging.Logger.manager.loggerDict.pop(os.environ.get("POWERTOOLS_SERVICE_NAME", "pokemon-names"), None)
    monkeypatch.setattr(powertools_logger, "is_cold_start", True)
    sys.modules.pop("pokemon_names.app", None)
    app = importlib.import_module("pokemon_names.app")
    gc.unfreeze()  # it would hide what the tests before left open
    return app


@pytest.fixture
def handle(load_app: Callable[..., ModuleType]) -> Handle:
    """Invoke the handler of one Lambda environment, which the first invocation starts."""
    app = cache(load_app)

    def handle(event: Any) -> dict[str, Any]:
        reply: dict[str, Any] = app().handler(event, Context())
        json.dumps(reply)  # or Lambda could not send it
        return reply

    return handle


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """Set what boto3 insists on, which opens nobody's account."""
    with pytest.MonkeyPatch.context() as monkeypatch:
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
    """Return one session for all accounts: each session reads megabytes of JSON for its first clients."""
    return boto3.Session()


@pytest.fixture
def aws() -> Iterator[None]:
    """Put moto in AWS's place for one test."""
    with account():
        yield


@pytest.fixture
def bucket(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001
    """Make a bucket; gives boto3's own view of it."""
    monkeypatch.setattr(bucket_module, "KEEP_SECONDS", 10.0)  # importing boto3 among other tests
    return boto3.resource("s3").create_bucket(
        Bucket="pokemon-names", CreateBucketConfiguration={"LocationConstraint": REGION}
    )


@pytest.fixture
def keeping(load_app: Callable[..., ModuleType], bucket: Any) -> Handle:
    """Invoke the handler of one Lambda environment that has the bucket."""
    app = load_app(RESULTS_BUCKET=bucket.name)
    return lambda event: app.handler(event, Context())


@pytest.fixture
def kept(bucket: Any) -> Kept:
    """Read all reports in the bucket, by their keys."""

    def kept() -> dict[str, dict[str, Any]]:
        return {one.key: json.load(one.get()["Body"]) for one in bucket.objects.filter(Prefix="results/")}

    return kept


class TimingOut(Clients):
    """Clients whose first requests for some numbers raise at once what a timeout raises; all of them by default."""

    def __init__(self, base_url: str, *numbers: int, times: float = math.inf) -> None:
        super().__init__(base_url)
        self._left = {f"pokemon/{number}": times for number in numbers}

    async def get(self, path: str) -> httpx.Response:
        self._time_out(path)
        return await super().get(path)

    def get_blocking(self, path: str, seconds: float) -> httpx.Response:
        self._time_out(path)
        return super().get_blocking(path, seconds)

    def _time_out(self, path: str) -> None:
        if self._left.get(path, 0) > 0:
            self._left[path] -= 1
            raise httpx.ReadTimeout("operation timed out")


def over_both_clients(name: str, values: Iterable[str], smoke: str) -> pytest.MarkDecorator:
    """Parametrize a test by strategy and value.

    Every value meets both clients, and the smoke case the strategies that share the async client with gather.
    """
    cases = [*product(BOTH_CLIENTS, values), ("sequential", smoke), ("index", smoke)]
    return pytest.mark.parametrize(("strategy", name), cases)


async def fetched(
    clients: Clients | str,
    *,
    size: int = 100,
    seconds: float = 30.0,
    straggler_timeout: float = 5.0,
    cache: Cache | None = None,
    **fields: Any,
) -> Fetched:
    """Fetch in so many seconds what a request of these fields asks for."""
    clients = Clients(clients) if isinstance(clients, str) else clients
    deadline = time.monotonic() + seconds
    return await fetch(Request(**fields), clients, cache or Cache(0), Window(size), deadline, straggler_timeout)


def sample(name: str) -> dict[str, Any]:
    """Read a sample event as it lies in events/."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event
