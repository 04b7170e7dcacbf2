"""The bucket, in moto's S3."""

import json
from typing import Any

import pytest

from pokemon_names.stores.s3 import Bucket, NotStoredError, _make_client


async def test_a_report_is_stored_as_json(bucket: Any) -> None:
    await Bucket(bucket.name).store("results/x.json", {"count": 1})
    stored = bucket.Object("results/x.json").get()
    assert stored["ContentType"] == "application/json"
    assert json.load(stored["Body"]) == {"count": 1}


async def test_a_report_that_s3_refuses_raises(bucket: Any) -> None:
    store = Bucket("nowhere")
    with pytest.raises(NotStoredError, match=r"^results/x\.json: NoSuchBucket"):
        await store.store("results/x.json", {})
    assert list(bucket.objects.all()) == []


def test_a_changed_object_is_not_read_and_a_large_one_only_up_to_a_limit(bucket: Any) -> None:
    put = bucket.put_object(Key="requests/x.jsonl", Body=b"0123456789")
    store = Bucket(bucket.name)
    assert store.get("requests/x.jsonl", 4, put.e_tag.strip('"')) == b"0123"
    assert store.get("requests/x.jsonl", etag="another") is None
    assert list(store.get_all(["nothing", "requests/x.jsonl"])) == [None, b"0123456789"]


@pytest.mark.usefixtures("aws")
def test_the_client_times_out_before_the_invocation_does() -> None:
    config = _make_client().meta.config
    assert config.connect_timeout == 1
    assert config.read_timeout == 5
    assert config.max_pool_connections == 10
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
