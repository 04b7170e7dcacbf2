"""Checks of what the environment says of PokeAPI, made at init: later, a slip looks like a network that fails."""

from pathlib import Path

import httpx
from pyreqwest.http import Url

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


class InvalidSetting(ValueError):  # noqa: N818  like InvalidRequest
    """A mistake in the environment; the message names the variable, what it is and what is allowed."""

    def __init__(self, name: str, given: str, allowed: str) -> None:
        super().__init__(f"{name}: got {given!r}, allowed: {allowed}")


def checked_url(name: str, given: str) -> str:
    """Return a URL that requests can be sent to; raise InvalidSetting for any other."""
    allowed = "a URL with http or https and a host, such as https://pokeapi.co/api/v2"
    try:
        schemes = {httpx.URL(given).scheme, Url(given).scheme}  # one builds the requests, the other sends them
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidSetting(name, given, f"{allowed} ({error})") from None
    if not schemes <= {"http", "https"}:
        raise InvalidSetting(name, given, allowed)
    return given


def check_certificates(name: str, given: str | None) -> None:
    """Raise InvalidSetting for a file without certificates, with which pyreqwest trusts nobody and says no more."""
    if given is None:
        return
    try:
        found = _CERTIFICATE in Path(given).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidSetting(name, given, f"a readable file of certificates in PEM format ({error})") from None
    if not found:
        raise InvalidSetting(name, given, "a file of certificates in PEM format, and it has none")
