"""Settings from environment variables, validated at start-up.

Found later, a mistake would look like a network failure.
"""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx
import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import BuilderError
from pyreqwest.http import Url

_CERTIFICATES = {  # pyreqwest reads these variables itself
    "SSL_CERT_FILE": "a readable file of PEM certificates",
    "SSL_CERT_DIR": "folders with files of PEM certificates",
}
_URLS = (
    "an http or https URL with a host, but without a query, fragment or white space, such as "
    "https://pokeapi.co/api/v2"
)


class InvalidSetting(ValueError):  # noqa: N818  like InvalidRequest
    """A mistake in an environment variable. The message has its name, its value and what to set."""

    def __init__(self, name: str, given: str, allowed: str) -> None:
        super().__init__(f"{name}: got {given!r}, allowed: {allowed}")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a deployment.

    `names_table` and `results_bucket` are None if they are not set. Without a limit,
    `max_requests_per_second` is infinite.
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
        """Parse the environment variables. Absent ones take their defaults.

        Raises:
            InvalidSetting: The value of a variable is not allowed.
        """
        check_certificates(environment)
        results_bucket = environment.get("RESULTS_BUCKET")
        if "AWS_SAM_LOCAL" in environment:
            results_bucket = None  # `sam local` sets it to a logical ID, not to a bucket's name
        url = environment.get("POKEAPI_URL", "https://pokeapi.co/api/v2")
        max_numbers = _count(environment, "MAX_NUMBERS", 1500)
        return cls(
            service=environment.get("POWERTOOLS_SERVICE_NAME", "pokemon-names"),
            namespace=_name(environment, "POWERTOOLS_METRICS_NAMESPACE", "PokemonNames"),
            pokeapi_url=checked_url("POKEAPI_URL", url),
            max_concurrency=_count(environment, "MAX_CONCURRENCY", 100),
            max_requests_per_second=_rate(environment, "MAX_REQUESTS_PER_SECOND"),
            max_numbers=max_numbers,
            # 150 take 15 s at PokeAPI's 100 ms per request. A request by URL has 27 s.
            max_sequential_numbers=_count(environment, "MAX_SEQUENTIAL_NUMBERS", 150),
            max_body_bytes=_count(environment, "MAX_BODY_BYTES", 4_000_000),
            chunk_numbers=min(_count(environment, "CHUNK_NUMBERS", 500), max_numbers),
            cache_seconds=_seconds(environment, "CACHE_SECONDS", 604_800),
            names_table=environment.get("NAMES_TABLE"),
            results_bucket=results_bucket,
        )


def checked_url(name: str, given: str) -> str:
    """Return the URL if requests can be sent to it, or raise InvalidSetting."""
    # Leave out what may be a password or a token.
    shown = "…" if "@" in given else re.sub(r"(?<=[?#]).*", "…", given, flags=re.DOTALL)
    try:
        # httpx builds the requests and pyreqwest sends them, so both must accept the URL.
        urls = httpx.URL(given), Url(given)
    except (httpx.InvalidURL, ValueError):
        raise InvalidSetting(name, shown, _URLS) from None
    schemes = {url.scheme for url in urls}
    if not (schemes <= {"http", "https"} and urls[0].host) or re.search(r"[\s?#]", given):
        raise InvalidSetting(name, shown, _URLS)
    return given


def check_certificates(environment: Mapping[str, str]) -> None:
    """Raise InvalidSetting if a variable names certificates that do not exist or are unreadable.

    pyreqwest reads both variables itself, but does not complain if only one of them is wrong.
    """
    given = {name: environment[name] for name in _CERTIFICATES if name in environment}
    for name, value in given.items():
        paths = [value] if name == "SSL_CERT_FILE" else value.split(os.pathsep)
        if not any(path and Path(path).exists() for path in paths):
            raise InvalidSetting(name, value, _CERTIFICATES[name])
    try:
        if given:
            ClientBuilder().build()
    except BuilderError:
        values = " and ".join(given.values())
        allowed = " and ".join(_CERTIFICATES[name] for name in given)
        raise InvalidSetting(" and ".join(given), values, allowed) from None


def _name(environment: Mapping[str, str], name: str, default: str) -> str:
    given = environment.get(name, default)
    if not given.strip():
        raise InvalidSetting(name, given, f"a name, such as {default}")
    return given


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name, str(default))
    if not given.isdecimal() or int(given) < 1:
        raise InvalidSetting(name, given, "a whole number, 1 or more")
    return int(given)


def _rate(environment: Mapping[str, str], name: str) -> float:
    given = environment.get(name)
    if not given:  # the template's parameter is empty by default
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
        raise InvalidSetting(name, given, "a number of seconds, 0 or more")
    return seconds
