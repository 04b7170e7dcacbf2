"""Bodies as they come from the network, and what their gzip holds."""

import zlib
from contextlib import suppress

import httpx
from deflate import DeflateError, gzip_decompress

from pokemon_names.http.errors import TooLargeError

_MAX_MEMBERS = 16  # of a gzip stream: each costs a copy of what follows it
_MAX_CODINGS = 4  # there is a gzip stream that holds itself
_GZIP_CODINGS = {"gzip", "x-gzip"}  # in any case (RFC 9110, 8.4.1)
_NO_CODINGS = {"identity", ""}
_MEMBER = b"\x1f\x8b\x08"  # each member of a gzip stream begins with it
_GZIP_WBITS = 31  # zlib's window bits for a gzip header and trailer


def decompress(body: bytes | bytearray, codings: str, limit: int) -> bytes | bytearray:
    """Return the content of a body, which may have been cut after `limit` bytes and one more.

    Args:
        body: What was received.
        codings: Its Content-Encoding, a list in the order in which they were applied.
        limit: The most bytes of the body, and of its content.

    Raises:
        TooLargeError: The body or its content has more than `limit` bytes.
        httpx.DecodingError: The body is broken, or has another coding than gzip.
    """
    content = body
    names = [coding.strip() for coding in codings.lower().split(",")]
    applied = [name for name in names if name not in _NO_CODINGS]
    if not _GZIP_CODINGS.issuperset(applied) or len(applied) > _MAX_CODINGS:
        raise httpx.DecodingError(f"the Content-Encoding is {codings}, and only gzip is accepted")
    for _ in applied:
        if len(content) > limit:
            break
        content = _decompress_gzip(content, limit)
    if len(content) > limit:
        raise TooLargeError(f"more than {limit} bytes")
    return content


def _decompress_gzip(body: bytes | bytearray, limit: int) -> bytes | bytearray:
    """Return the content, by libdeflate in a fifth of zlib's time.

    libdeflate needs the size of the content. gzip's last bytes hold that of its last member.
    """
    size = int.from_bytes(body[-4:], "little")
    has_one_member = body.find(_MEMBER, 1) == -1
    if has_one_member and 0 < size <= limit:
        with suppress(DeflateError):  # zlib says what is wrong
            return gzip_decompress(body, size)
    return _decompress_members(body, limit)


def _decompress_members(body: bytes | bytearray, limit: int) -> bytearray:
    """Return the content of all members (RFC 1952, 2.2), at most a byte more than the limit."""
    content = bytearray()
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP_WBITS)
        try:
            content += member.decompress(body, limit + 1 - len(content))
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error
        if not member.eof and len(content) <= limit:
            raise httpx.DecodingError("the gzip stream breaks off")
        body = member.unused_data
        if len(content) > limit or not body.startswith(_MEMBER):
            return content
    raise httpx.DecodingError(f"more than {_MAX_MEMBERS} gzip members")
