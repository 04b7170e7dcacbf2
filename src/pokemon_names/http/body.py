"""Decompression of response bodies: only gzip, and only up to a limit."""

import zlib
from contextlib import suppress

import httpx
from deflate import DeflateError, gzip_decompress

from pokemon_names.http.errors import TooLargeError

_MAX_MEMBERS = 16  # in a gzip stream; each member costs a copy of everything after it
_MAX_CODINGS = 4  # because a gzip stream can be made that decompresses to itself
_GZIP_CODINGS = {"gzip", "x-gzip"}  # case-insensitive (RFC 9110, 8.4.1)
_NO_CODINGS = {"identity", ""}
_MEMBER = b"\x1f\x8b\x08"  # the first bytes of every member of a gzip stream
_GZIP_WBITS = 31  # tells zlib to expect a gzip header and trailer


def decompress(body: bytes | bytearray, codings: str, limit: int) -> bytes | bytearray:
    """Return the content of a body.

    Args:
        body: The bytes received. The caller may stop reading once they exceed the limit.
        codings: The Content-Encoding header: all codings, in the order in which they were applied.
        limit: The maximum size in bytes, both as received and decompressed.

    Raises:
        TooLargeError: The body exceeds the limit, as received or decompressed.
        httpx.DecodingError: The body is corrupt, or its coding is not gzip.
    """
    content = body
    names = [coding.strip() for coding in codings.lower().split(",")]
    applied = [name for name in names if name not in _NO_CODINGS]
    if not _GZIP_CODINGS.issuperset(applied) or len(applied) > _MAX_CODINGS:
        raise httpx.DecodingError(f"Content-Encoding is {codings}, but only gzip is accepted")
    for _ in applied:
        if len(content) > limit:
            break
        content = _decompress_gzip(content, limit)
    if len(content) > limit:
        raise TooLargeError(f"more than {limit} bytes")
    return content


def _decompress_gzip(body: bytes | bytearray, limit: int) -> bytes | bytearray:
    """Return the content. If possible, libdeflate decompresses it, in a fifth of zlib's time.

    libdeflate has to know the size of the content. The last four bytes of a gzip stream hold the
    size of its last member. This is the size of the content only if there is no other member.
    """
    size = int.from_bytes(body[-4:], "little")
    has_one_member = body.find(_MEMBER, 1) == -1
    if has_one_member and 0 < size <= limit:
        with suppress(DeflateError):  # zlib then says what is wrong
            return gzip_decompress(body, size)
    return _decompress_members(body, limit)


def _decompress_members(body: bytes | bytearray, limit: int) -> bytearray:
    """Return the content of all members (RFC 1952, 2.2), cut off one byte after the limit.

    Raises:
        httpx.DecodingError: The stream is corrupt, is truncated or has too many members.
    """
    content = bytearray()
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP_WBITS)
        try:
            content += member.decompress(body, limit + 1 - len(content))
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error
        if not member.eof and len(content) <= limit:
            raise httpx.DecodingError("the gzip stream is truncated")
        body = member.unused_data
        if len(content) > limit or not body.startswith(_MEMBER):
            return content
    raise httpx.DecodingError(f"more than {_MAX_MEMBERS} gzip members")
