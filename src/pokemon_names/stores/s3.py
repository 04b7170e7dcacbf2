"""The bucket: requests to read, reports to store, and the state machine's objects.

Importing boto3 and making a client takes a quarter of a second, so this happens only when the
bucket is first used.
"""

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cached_property, partial
from typing import Any

import msgspec

STORE_TIMEOUT = 3.0  # seconds to store a report, including the import of boto3
CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 5.0
MAX_CONNECTIONS = 10


class NotStoredError(Exception):
    """A report could not be stored in the bucket."""


class Bucket:
    """The bucket with the given name. Its methods block, except `store`."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Not asyncio's own pool: asyncio.run waits for its threads, so a bucket that hangs would
        # delay the reply.
        self._threads = ThreadPoolExecutor(MAX_CONNECTIONS)

    async def store(self, key: str, value: Any) -> None:
        """Store a report as JSON; raise NotStoredError if that fails or exceeds STORE_TIMEOUT."""
        put = partial(_put, self._client, self.name, key, value)
        putting = asyncio.get_running_loop().run_in_executor(self._threads, put)
        try:
            await asyncio.wait_for(putting, STORE_TIMEOUT)
        except Exception as error:
            raise NotStoredError(f"{key}: {error!r}") from error

    def put(self, key: str, value: Any) -> None:
        """Store a value as JSON. It replaces any object with the same key."""
        _put(self._client, self.name, key, value)

    def get(self, key: str, max_bytes: int | None = None, etag: str | None = None) -> bytes | None:
        """Return the content of an object, cut off after `max_bytes`.

        The result is None if there is no such object, or if its entity tag is not `etag`.

        Raises:
            botocore.exceptions.ClientError: S3 refuses the request.
        """
        return _get(self._client, self.name, key, max_bytes, etag)

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """Return the contents of several objects in the order of their keys, None if missing."""
        return self._threads.map(partial(_get, self._client, self.name), keys)

    @cached_property
    def _client(self) -> Future[Any]:
        """The only boto3 client, made in a thread. Making several at the same time is not safe."""
        return self._threads.submit(_make_client)


def _make_client() -> Any:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=MAX_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    return boto3.client("s3", config=config)


def _put(client: Future[Any], bucket: str, key: str, value: Any) -> None:
    body = msgspec.json.encode(value)
    client.result().put_object(
        Bucket=bucket,
        Key=key,
        Body=body,
        ContentType="application/json",
    )


def _get(
    client: Future[Any],
    bucket: str,
    key: str,
    max_bytes: int | None = None,
    etag: str | None = None,
) -> bytes | None:
    s3 = client.result()
    conditions = {}
    if etag is not None:
        conditions["IfMatch"] = etag
    try:
        answer = s3.get_object(Bucket=bucket, Key=key, **conditions)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "PreconditionFailed"}:
            return None
        raise
    with closing(answer["Body"]) as body:
        content: bytes = body.read(max_bytes)
    return content
