"""The environment variables, and the values that they may have."""

import math
import os
import traceback
from pathlib import Path

import pytest
import trustme

from pokemon_names.settings import InvalidSetting, Settings, check_certificates, checked_url
from tests.conftest import load

URLS = (
    "an http or https URL with a host, but without a query, fragment or white space, such as "
    "https://pokeapi.co/api/v2"
)
FILES = "a readable file of PEM certificates"
FOLDERS = "folders with files of PEM certificates"
NONSENSE = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "url", ["https://pokeapi.co/api/v2", "http://127.0.0.1:8000/api/v2/", "HTTPS://пример.рф"]
)
def test_a_url_that_requests_can_be_sent_to_is_accepted(url: str) -> None:
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
        "http://:80/api",
        " https://pokeapi.co",
        "https://pokeapi.co/api/v2\n",
        "https://pokeapi.co/a\u00a0b",
    ],
)
def test_with_any_other_url_init_fails_and_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr("os.environ", {"POKEAPI_URL": url})
    with pytest.raises(InvalidSetting) as caught:
        load(monkeypatch)
    assert str(caught.value).startswith(f"POKEAPI_URL: got {url!r}, allowed: {URLS}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://pokeapi.co/api/v2#x", "https://pokeapi.co/api/v2#…"),
        ("https://pokeapi.co/api/v2?token=secret", "https://pokeapi.co/api/v2?…"),
        ("https://pokeapi.co/api/v2?", "https://pokeapi.co/api/v2?…"),
        ("https://me:secret@", "…"),
        ("https://me:sec/ret@pokeapi.co?", "…"),
        ("https://me:secret\n@pokeapi.co", "…"),
        ("https://me:secret@pokeapi.co:99999", "…"),
        ("https://me:secret@[x", "…"),
        ("https:me:secret@pokeapi.co#", "…"),
        ("me:secret@pokeapi.co", "…"),
    ],
)
def test_a_refused_url_is_shown_without_what_may_be_secret(
    monkeypatch: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load(monkeypatch, POKEAPI_URL=url)
    assert str(caught.value) == f"POKEAPI_URL: got {shown!r}, allowed: {URLS}"
    assert "ret" not in "".join(traceback.format_exception(caught.value)).partition("got")[2]


@pytest.mark.usefixtures("authority")  # SSL_CERT_FILE
def test_a_file_of_certificates_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    check_certificates(os.environ)


@pytest.mark.parametrize("name", ["ca.pem", "5ed36f99.0"])
def test_a_folder_of_certificates_is_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / name))
    (tmp_path / "nonsense.pem").write_text(NONSENSE, encoding="ascii")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", f"/missing:{tmp_path}")
    check_certificates(os.environ)


def test_no_certificates_are_needed() -> None:
    check_certificates({})


@pytest.mark.parametrize("name", ["no-such-file.pem", "", "empty.pem", "nonsense.pem", "cut.pem"])
def test_without_certificates_in_the_file_init_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty.pem").touch()
    (tmp_path / "nonsense.pem").write_text(NONSENSE, encoding="ascii")
    (tmp_path / "cut.pem").write_text("-----BEGIN CERTIFICATE-----\n", encoding="ascii")
    file = str(tmp_path / name) if name else ""
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with pytest.raises(InvalidSetting) as caught:
        load(monkeypatch, SSL_CERT_FILE=file)
    assert str(caught.value) == f"SSL_CERT_FILE: got {file!r}, allowed: {FILES}"


@pytest.mark.parametrize("name", ["no-such-folder", "", "empty", "nonsense"])
def test_without_certificates_in_the_folder_init_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "nonsense").mkdir()
    (tmp_path / "nonsense" / "ca.pem").write_text(NONSENSE, encoding="ascii")
    folder = str(tmp_path / name) if name else ""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(InvalidSetting) as caught:
        load(monkeypatch, SSL_CERT_DIR=folder)
    assert str(caught.value) == f"SSL_CERT_DIR: got {folder!r}, allowed: {FOLDERS}"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.usefixtures("authority")
def test_if_one_variable_is_wrong_init_fails_even_if_the_other_is_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(InvalidSetting, match=f"^{name}: got '/missing'"):
        load(monkeypatch, **{name: "/missing"})


def test_if_both_variables_are_wrong_both_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    with pytest.raises(InvalidSetting) as caught:
        load(monkeypatch, SSL_CERT_FILE=str(file), SSL_CERT_DIR=str(tmp_path))
    both = f"SSL_CERT_FILE and SSL_CERT_DIR: got '{file} and {tmp_path}'"
    assert str(caught.value) == f"{both}, allowed: {FILES} and {FOLDERS}"


@pytest.mark.parametrize("given", ["", " "])
def test_metrics_need_a_namespace(given: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment({"POWERTOOLS_METRICS_NAMESPACE": given})
    problem = f"POWERTOOLS_METRICS_NAMESPACE: got {given!r}"
    assert str(caught.value) == f"{problem}, allowed: a name, such as PokemonNames"


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
    assert str(caught.value) == f"{name}: got {given!r}, allowed: a whole number, 1 or more"


@pytest.mark.parametrize("given", ["0.05", "0.5", "1", "50", "1e3"])
def test_a_rate_is_a_number_above_0(given: str) -> None:
    settings = Settings.from_environment({"MAX_REQUESTS_PER_SECOND": given})
    assert settings.max_requests_per_second == float(given)


def test_an_empty_rate_means_no_limit() -> None:
    settings = Settings.from_environment({"MAX_REQUESTS_PER_SECOND": ""})
    assert settings.max_requests_per_second == math.inf


@pytest.mark.parametrize("given", [" ", "0", "0.0", "-1", "nan", "inf", "-inf", "1e999", "50/s"])
def test_any_other_rate_is_refused(given: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment({"MAX_REQUESTS_PER_SECOND": given})
    allowed = "a number above 0, such as 50 or 0.5"
    assert str(caught.value) == f"MAX_REQUESTS_PER_SECOND: got {given!r}, allowed: {allowed}"


@pytest.mark.parametrize("given", ["0", "0.5", "604800"])
def test_seconds_are_a_number_of_0_or_more(given: str) -> None:
    assert Settings.from_environment({"CACHE_SECONDS": given}).cache_seconds == float(given)


@pytest.mark.parametrize("given", ["", "-1", "nan", "inf", "a week"])
def test_any_other_seconds_are_refused(given: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment({"CACHE_SECONDS": given})
    assert (
        str(caught.value)
        == f"CACHE_SECONDS: got {given!r}, allowed: a number of seconds, 0 or more"
    )


def test_sam_local_has_no_bucket_for_results() -> None:
    environment = {"RESULTS_BUCKET": "results"}
    assert Settings.from_environment(environment).results_bucket == "results"
    environment["AWS_SAM_LOCAL"] = "true"
    assert Settings.from_environment(environment).results_bucket is None
