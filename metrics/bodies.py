"""Read a request's body within a limit, unpacked where it came packed.

Danger: 8 KiB of gzip unpack to 8 MiB, and 8 MiB to 8 GiB. Nothing here holds more than the limit and one step: what
is beyond it is never unpacked.
"""

import zlib
from typing import Protocol

from metrics.schemas import MAX_BYTES

STEP = 64 * 1024
MAX_MEMBERS = 100  # gzip may be several files in a row; many empty ones would be work without bytes
GZIP = 16 + zlib.MAX_WBITS


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class BatchRefused(Exception):
    """A body of which nothing was stored: the status to answer, a word for programs, a sentence for people.

    `why` never varies with what was sent, so that the same reasons can be counted together.
    """

    def __init__(self, status: int, where: str, what: str, why: str) -> None:
        super().__init__(why)
        self.status, self.where, self.what, self.why = status, where, what, why


def read_body(stream: Stream, *, encoding: str, length: int) -> bytes:
    """The whole body. Raises BatchRefused 413 above MAX_BYTES, 415 or 422 for a packing that cannot be read."""
    if length > MAX_BYTES:
        raise _too_large()
    if encoding in ("", "identity"):
        return _plain(stream)
    if encoding in ("gzip", "x-gzip"):
        return _unpacked(stream)
    why = "A body may come as it is, or packed with gzip."
    raise BatchRefused(415, "header.Content-Encoding", "encoding", why)


def _plain(stream: Stream) -> bytes:
    # One read: the server has the declared length ready, and the limit bounds it.
    body = stream.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise _too_large()
    return body


def _unpacked(stream: Stream) -> bytes:
    body, members = bytearray(), 0
    unpacker = zlib.decompressobj(GZIP)
    packed = stream.read(STEP)
    try:
        while packed:
            body += unpacker.decompress(packed, MAX_BYTES + 1 - len(body))
            if len(body) > MAX_BYTES:
                raise _too_large()
            packed = unpacker.unconsumed_tail or unpacker.unused_data
            if unpacker.eof and packed:
                members += 1
                if members == MAX_MEMBERS:
                    raise _unreadable(f"more than {MAX_MEMBERS} files in a row")
                unpacker = zlib.decompressobj(GZIP)
            packed = packed or stream.read(STEP)
    except zlib.error:
        raise _unreadable("it is damaged, or no gzip at all") from None
    if not unpacker.eof:
        raise _unreadable("it ends early")
    return bytes(body)


def _too_large() -> BatchRefused:
    why = f"A body may have at most {MAX_BYTES:,} bytes, unpacked; nothing was stored. Send several smaller ones."
    return BatchRefused(413, "body", "too_large", why)


def _unreadable(reason: str) -> BatchRefused:
    return BatchRefused(
        422, "body", "gzip", f"The gzip body cannot be unpacked ({reason}); nothing was stored."
    )
