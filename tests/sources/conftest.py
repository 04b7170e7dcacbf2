"""Lambda environments and helpers that several tests share.

Tests share an environment if it does not matter what other tests have left there.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import boto3
import pytest
from aiohttp import web

from pokemon_names import ranges
from pokemon_names.stores import s3
from tests.conftest import REGION, Handle, account, invoke, load
from tests.tools.pokeapi import PokeAPI, serving
from tests.tools.pokeapi.answers import Answer


@contextmanager
def environment(**variables: str) -> Iterator[ModuleType]:
    """Yield the app of a new Lambda environment, with a local PokeAPI until the block ends."""
    with serving(PokeAPI()) as port:
        variables["POKEAPI_URL"] = f"http://127.0.0.1:{port}/api/v2"
        with pytest.MonkeyPatch.context() as monkeypatch:
            app = load(monkeypatch, **variables)
        yield app


@contextmanager
def environment_with_bucket() -> Iterator[tuple[ModuleType, Any]]:
    """Yield the app of a new environment with a bucket, and the bucket as a boto3 resource."""
    with account(), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(s3, "STORE_TIMEOUT", 10.0)  # importing boto3 takes a while
        bucket = boto3.resource("s3").create_bucket(
            Bucket="pokemon-names", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        with environment(RESULTS_BUCKET=bucket.name) as app:
            yield app, bucket


@pytest.fixture(scope="module")
def warm() -> Iterator[Handle]:
    """Yield the handler of one environment without a bucket."""
    with environment() as app:
        yield lambda event: invoke(app, event)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[ModuleType, Any]]:
    """Yield one environment with a bucket, and the bucket."""
    with environment_with_bucket() as shared:
        yield shared


@pytest.fixture
def bucket(shared: tuple[ModuleType, Any]) -> Any:
    """Empty the shared bucket and return it."""
    _, bucket = shared
    bucket.objects.delete()
    return bucket


@pytest.fixture
def warm_with_bucket(shared: tuple[ModuleType, Any], bucket: Any) -> Handle:  # noqa: ARG001
    """Empty the shared bucket, and return the handler of its environment."""
    app, _ = shared
    return lambda event: invoke(app, event)


REPEATED = ",".join(["1-1500"] * 2857)  # 19,998 of the 20,000 characters allowed


class Parsed:
    """The work of parsing ranges: how many parts were read, and how many numbers they became."""

    def __init__(self) -> None:
        self.parts = 0
        self.numbers = 0

    def count(self, part: range) -> "Part":
        self.parts += 1
        return Part(part, self)


class Part:
    """A part of a range, which counts its numbers when it is expanded."""

    def __init__(self, part: range, parsed: Parsed) -> None:
        self._part = part
        self._parsed = parsed

    def __len__(self) -> int:
        return len(self._part)

    def __iter__(self) -> Iterator[int]:
        self._parsed.numbers += len(self._part)
        return iter(self._part)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    """Return an object that counts the work of parsing ranges from now on."""
    parsed = Parsed()
    parse_part = vars(ranges)["_parse_part"]
    monkeypatch.setattr(ranges, "_parse_part", lambda *given: parsed.count(parse_part(*given)))
    return parsed


def together(count: int) -> Answer:
    """Return an answer that waits until `count` requests have arrived, then answers them all."""
    barrier = asyncio.Barrier(count)

    async def answer(_: web.Request) -> web.Response:
        await barrier.wait()
        return web.json_response({"name": "mew"})

    return answer
