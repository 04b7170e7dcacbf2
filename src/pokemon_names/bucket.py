"""The bucket: requests that lie in it, reports that nobody waits for, and what the state machine passes on.

boto3 takes 0.3 s to import and to make a client, and threads take 10 ms: that happens when the bucket is first used.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

KEEP_SECONDS = 3.0  # for a report on its way into the bucket, boto3's import included
READ_SECONDS = 5.0
AT_ONCE = 10


class NotKeptError(Exception):
    """A report did not come into the bucket."""


class Bucket:
    """The bucket of that name, with this function's permissions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._making = Lock()  # boto3 cannot make clients in several threads

    async def keep(self, key: str, value: Any) -> None:
        """Put a report, at the latest in KEEP_SECONDS; raises NotKeptError."""
        putting = asyncio.get_running_loop().run_in_executor(self._threads, self.put, key, value)
        try:
            await asyncio.wait_for(putting, KEEP_SECONDS)
        except Exception as error:
            raise NotKeptError(f"{key}: {error!r}") from error

    def put(self, key: str, value: Any) -> None:
        """Put a value as JSON in place of what was there."""
        body = msgspec.json.encode(value)
        self._client.put_object(Bucket=self.name, Key=key, Body=body, ContentType="application/json")

    def get(self, key: str, most: int | None = None, **conditions: str) -> bytes | None:
        """Give an object's content, or so many bytes at most; None where there is no such object."""
        client = self._client
        try:
            with closing(client.get_object(Bucket=self.name, Key=key, **conditions)["Body"]) as body:
                content: bytes = body.read(most)
        except client.exceptions.NoSuchKey:
            return None
        return content

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """Give several objects' contents in the order of their keys."""
        return self._threads.map(self.get, keys)

    @cached_property
    def _threads(self) -> "ThreadPoolExecutor":
        # Of its own: asyncio.run waits for its default threads, and a bucket that hangs would hold up the reply.
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        return ThreadPoolExecutor(AT_ONCE)

    @property
    def _client(self) -> Any:
        with self._making:
            return self._made

    @cached_property
    def _made(self) -> Any:
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        retries = {"mode": "standard", "total_max_attempts": 3}
        limits = {"connect_timeout": 1, "read_timeout": READ_SECONDS, "max_pool_connections": AT_ONCE}
        return boto3.client("s3", config=Config(retries=retries, **limits))
