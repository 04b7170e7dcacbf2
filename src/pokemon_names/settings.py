"""The environment, checked at init: later, a mistake in it looks like a network that fails."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx
import msgspec
from pyreqwest.http import Url

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_URLS = "a URL with http or https and a host, such as https://pokeapi.co/api/v2"


class InvalidSetting(ValueError):  # noqa: N818  like InvalidRequest
    """A mistake in the environment. The message names the variable, what it is and what to set."""

    def __init__(self, name: str, given: str, allowed: str) -> None:
        super().__init__(f"{name}: got {given!r}, allowed: {allowed}")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment sets. `names_table` and `results_bucket` are None where there are none.

    `max_requests_per_second` is infinite if there is no limit.
    """

    service: str
    namespace: str
    pokeapi_url: str
    max_concurrency: int
    max_requests_per_second: float
    max_numbers: int
    max_sequential_numbers: int
    max_body_bytes: int
    chunk_numbers: int
    cache_seconds: float
    names_table: str | None
    results_bucket: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings of an environment.

        Raises:
            InvalidSetting: A variable has a value that is not allowed.
        """
        check_certificates("SSL_CERT_FILE", environment.get("SSL_CERT_FILE"))
        results_bucket = environment.get("RESULTS_BUCKET")
        if "AWS_SAM_LOCAL" in environment:
            results_bucket = None  # its name would be the template's, and there is no such bucket
        url = environment.get("POKEAPI_URL", "https://pokeapi.co/api/v2")
        return cls(
            service=environment.get("POWERTOOLS_SERVICE_NAME", "pokemon-names"),
            namespace=environment.get("POWERTOOLS_METRICS_NAMESPACE", "PokemonNames"),
            pokeapi_url=checked_url("POKEAPI_URL", url),
            max_concurrency=_count(environment, "MAX_CONCURRENCY", 100),
            max_requests_per_second=_rate(environment, "MAX_REQUESTS_PER_SECOND"),
            max_numbers=_count(environment, "MAX_NUMBERS", 1500),
            # By URL: 15 s at PokeAPI's 100 ms a request, of the 27 s that the caller leaves.
            max_sequential_numbers=_count(environment, "MAX_SEQUENTIAL_NUMBERS", 150),
            max_body_bytes=_count(environment, "MAX_BODY_BYTES", 4_000_000),
            chunk_numbers=_count(environment, "CHUNK_NUMBERS", 500),
            cache_seconds=_seconds(environment, "CACHE_SECONDS", 604_800),
            names_table=environment.get("NAMES_TABLE"),
            results_bucket=results_bucket,
        )


def checked_url(name: str, given: str) -> str:
    """Return a URL that requests can be sent to; raise InvalidSetting for any other."""
    try:
        # httpx builds the requests, and pyreqwest sends them.
        schemes = {httpx.URL(given).scheme, Url(given).scheme}
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidSetting(name, given, f"{_URLS} ({error})") from None
    if not schemes <= {"http", "https"}:
        raise InvalidSetting(name, given, _URLS)
    return given


def check_certificates(name: str, given: str | None) -> None:
    """Raise InvalidSetting for a file without certificates, of which pyreqwest says nothing."""
    if given is None:
        return
    try:
        content = Path(given).read_bytes()
    except (OSError, ValueError) as error:
        allowed = f"a readable file of certificates in PEM format ({error})"
        raise InvalidSetting(name, given, allowed) from None
    if _CERTIFICATE not in content:
        raise InvalidSetting(name, given, "a file of certificates in PEM format, and it has none")


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name, str(default))
    if not given.isdecimal() or int(given) < 1:
        raise InvalidSetting(name, given, "a whole number from 1")
    return int(given)


def _rate(environment: Mapping[str, str], name: str) -> float:
    given = environment.get(name)
    if not given:  # the default of the template's parameter
        return math.inf
    try:
        rate = float(given)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise InvalidSetting(name, given, "a number above 0, such as 50 or 0.5")
    return rate


def _seconds(environment: Mapping[str, str], name: str, default: int) -> float:
    given = environment.get(name, str(default))
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise InvalidSetting(name, given, "seconds, from 0")
    return seconds
