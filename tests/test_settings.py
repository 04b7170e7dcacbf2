"""The environment variables, and what may be in them."""

import math
from pathlib import Path

import pytest

from pokemon_names.settings import InvalidSetting, Settings, check_certificates, checked_url
from tests.conftest import load

URLS = "a URL with http or https and a host, such as https://pokeapi.co/api/v2"
READABLE_FILES = "a readable file of certificates in PEM format"


@pytest.mark.parametrize(
    "url", ["https://pokeapi.co/api/v2", "http://127.0.0.1:8000/api/v2/", "HTTPS://пример.рф"]
)
def test_a_url_that_requests_can_be_sent_to(url: str) -> None:
    assert checked_url("POKEAPI_URL", url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pokeapi.co/api/v2",
        "htps://pokeapi.co",
        "https://",
        "http://[x",
        "https://x:99999",
        "https://x\x00",
    ],
)
def test_any_other_url_ends_the_init_and_the_message_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr("os.environ", {"POKEAPI_URL": url})
    with pytest.raises(InvalidSetting) as caught:
        load(monkeypatch)
    assert str(caught.value).startswith(f"POKEAPI_URL: got {url!r}, allowed: {URLS}")


def test_a_file_of_certificates(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("# an authority\n-----BEGIN CERTIFICATE-----\n", encoding="ascii")
    check_certificates("SSL_CERT_FILE", str(file))


def test_no_file_of_certificates_is_needed() -> None:
    check_certificates("SSL_CERT_FILE", None)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("no-such-file.pem", f"{READABLE_FILES} ([Errno 2] No such file or directory"),
        ("", f"{READABLE_FILES} ([Errno 21] Is a directory"),
        ("\x00", f"{READABLE_FILES} (embedded null byte)"),
        ("empty.pem", "a file of certificates in PEM format, and it has none"),
    ],
)
def test_a_file_without_certificates_ends_the_init(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, allowed: str
) -> None:
    (tmp_path / "empty.pem").touch()
    file = str(tmp_path / name)
    monkeypatch.setattr("os.environ", {"SSL_CERT_FILE": file})
    with pytest.raises(InvalidSetting) as caught:
        load(monkeypatch)
    assert str(caught.value).startswith(f"SSL_CERT_FILE: got {file!r}, allowed: {allowed}")


def test_without_any_variable_there_are_defaults() -> None:
    assert Settings.from_environment({}) == Settings(
        service="pokemon-names",
        namespace="PokemonNames",
        pokeapi_url="https://pokeapi.co/api/v2",
        max_concurrency=100,
        max_requests_per_second=math.inf,
        max_numbers=1500,
        max_sequential_numbers=150,
        max_body_bytes=4_000_000,
        chunk_numbers=500,
        cache_seconds=604_800,
        names_table=None,
        results_bucket=None,
    )


every_count = pytest.mark.parametrize(
    "name",
    [
        "MAX_CONCURRENCY",
        "MAX_NUMBERS",
        "MAX_SEQUENTIAL_NUMBERS",
        "MAX_BODY_BYTES",
        "CHUNK_NUMBERS",
    ],
)


@every_count
def test_the_smallest_count_is_1(name: str) -> None:
    settings = Settings.from_environment({name: "1"})
    assert getattr(settings, name.lower()) == 1


@every_count
@pytest.mark.parametrize("given", ["", "0", "-1", "1.5", "many"])
def test_any_other_count_is_refused(name: str, given: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment({name: given})
    assert str(caught.value) == f"{name}: got {given!r}, allowed: a whole number from 1"


@pytest.mark.parametrize("given", ["0.05", "0.5", "1", "50", "1e3"])
def test_a_rate_is_a_number_above_0(given: str) -> None:
    settings = Settings.from_environment({"MAX_REQUESTS_PER_SECOND": given})
    assert settings.max_requests_per_second == float(given)


def test_an_empty_rate_is_no_limit() -> None:
    settings = Settings.from_environment({"MAX_REQUESTS_PER_SECOND": ""})
    assert settings.max_requests_per_second == math.inf


@pytest.mark.parametrize("given", [" ", "0", "0.0", "-1", "nan", "inf", "-inf", "1e999", "50/s"])
def test_any_other_rate_is_refused(given: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment({"MAX_REQUESTS_PER_SECOND": given})
    allowed = "a number above 0, such as 50 or 0.5"
    assert str(caught.value) == f"MAX_REQUESTS_PER_SECOND: got {given!r}, allowed: {allowed}"


@pytest.mark.parametrize("given", ["0", "0.5", "604800"])
def test_seconds_are_a_number_from_0(given: str) -> None:
    assert Settings.from_environment({"CACHE_SECONDS": given}).cache_seconds == float(given)


@pytest.mark.parametrize("given", ["", "-1", "nan", "inf", "a week"])
def test_any_other_seconds_are_refused(given: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment({"CACHE_SECONDS": given})
    assert str(caught.value) == f"CACHE_SECONDS: got {given!r}, allowed: seconds, from 0"


def test_sam_local_has_no_bucket_for_results() -> None:
    environment = {"RESULTS_BUCKET": "results"}
    assert Settings.from_environment(environment).results_bucket == "results"
    environment["AWS_SAM_LOCAL"] = "true"
    assert Settings.from_environment(environment).results_bucket is None
