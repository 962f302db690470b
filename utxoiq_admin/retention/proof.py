"""What lines come to: the figures that an object is held against, and the proof by which rows may be deleted.

A line is `row_to_json` of a row, as the database wrote it; its md5 is the row's identity and content at once. Lines
may come in any order, so their md5 are added up. A sum, not XOR: a line that stands twice would vanish from XOR.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5
from itertools import repeat
from typing import Any, Protocol

READ_SIZE = 256 * 1024
BLOCK = 2 * 1024 * 1024  # of lines, at once in memory
MAX_LINE = 64 * 1024 * 1024  # a jsonb value cannot be longer than 256 MB, and none of ours is near
_MODULUS = 1 << 128
_IDS = re.compile(rb'"id":"([^"]*)"')
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

# A row of the proof as COPY reads it in its binary format, each column behind its length: id, time, md5.
# https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4
PROOF = struct.Struct(">h i16s iq i16s")
PROOF_START, PROOF_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


class Damaged(Exception):
    """An object is not what was spooled; the message says which and why."""


@dataclass
class Tally:
    """Count, first and last time, checksum of the lines seen so far. Times as the text that the database wrote."""

    rows: int = 0
    first: bytes = b"~"
    last: bytes = b""
    total: int = 0

    @property
    def checksum(self) -> str:
        return f"{self.total % _MODULUS:032x}"

    @property
    def first_at(self) -> datetime:
        return datetime.fromisoformat(self.first.decode())

    @property
    def last_at(self) -> datetime:
        return datetime.fromisoformat(self.last.decode())

    def differences(self, archive: Any) -> list[str]:
        """How the lines differ from what the manifest says was spooled."""
        wanted = (archive.rows, archive.first_at, archive.last_at, archive.checksum)
        if not self.rows:
            return ["no lines"]
        found = (self.rows, self.first_at, self.last_at, self.checksum)
        names = ("rows", "first time", "last time", "checksum")
        return [
            f"{name} {have} instead of {want}"
            for name, have, want in zip(names, found, wanted, strict=True)
            if have != want
        ]


class _Moments(dict[bytes, int]):
    """Microseconds since 2000, which is how PostgreSQL sends a time, by its text. Many rows share one."""

    def __missing__(self, text: bytes) -> int:
        self[text] = value = (datetime.fromisoformat(text.decode()) - _EPOCH) // timedelta(microseconds=1)
        return value


def tallied(
    blocks: Iterable[bytes], time: str, tally: Tally, *, proof: bytearray | None = None
) -> Iterator[bytes]:
    """Pass the blocks on (whole lines, each with its newline) and count them; into `proof` goes what `PROOF` tells.

    Times of one zone compare as text: "…:00+00:00" sorts before "…:00.5+00:00". A name in quotes with a colon
    directly behind it is a key of the row itself: quotes inside of values are escaped, and jsonb has a space there.
    Raises ValueError for a line that is no row.
    """
    times_in = re.compile(rb'"%b":"([^"]*)"' % time.encode()).findall
    for block in blocks:
        lines = block.split(b"\n")
        lines.pop()
        times = times_in(block)
        if len(times) != len(lines):
            raise ValueError(f"{len(lines)} lines have {len(times)} times")
        digests = [md5(line, usedforsecurity=False).digest() for line in lines]
        tally.rows += len(lines)
        tally.first, tally.last = min(tally.first, *times), max(tally.last, *times)
        tally.total += sum(int.from_bytes(digest, "big") for digest in digests)
        if proof is not None:
            proof += _rows_of_proof(block, times, digests)
        yield block


def _rows_of_proof(block: bytes, times: list[bytes], digests: list[bytes]) -> bytes:
    packed = bytes.fromhex(b"".join(_IDS.findall(block)).replace(b"-", b"").decode())
    if len(packed) != 16 * len(times):
        raise ValueError(f"{len(times)} lines have {len(packed) / 16} ids")
    ids = [packed[at : at + 16] for at in range(0, len(packed), 16)]
    moments = map(_Moments().__getitem__, times)
    return b"".join(map(PROOF.pack, repeat(3), repeat(16), ids, repeat(8), moments, repeat(16), digests))


class Packed(Protocol):
    """Bytes to be read once, from the start."""

    def read(self, size: int, /) -> bytes: ...


def blocks_of(packed: Packed) -> Iterator[bytes]:
    """A gzip stream unpacked, in blocks of whole lines. Raises Damaged for a stream that is broken or ends early."""
    unpack = zlib.decompressobj(wbits=31)
    rest = b""
    try:
        while chunk := unpack.unconsumed_tail or packed.read(READ_SIZE):
            text = rest + unpack.decompress(chunk, BLOCK)
            end = text.rfind(b"\n") + 1
            if end:
                yield text[:end]
            rest = text[end:]
            if len(rest) > MAX_LINE:
                raise Damaged("a line does not end")
    except zlib.error as error:
        raise Damaged(f"it cannot be unpacked ({error})") from error
    if not unpack.eof:
        raise Damaged("it ends early")
    if unpack.unused_data or rest:
        raise Damaged("something stands behind its end")


def lines_of(packed: Packed) -> Iterator[bytes]:
    """The lines of a gzip stream, without their newlines. Raises Damaged as `blocks_of`."""
    for block in blocks_of(packed):
        yield from block[:-1].split(b"\n")


def read_back(packed: Packed, archive: Any, time: str, *, proof: bytearray | None = None) -> Iterator[bytes]:
    """The object's lines in blocks; after the last one they were held against the manifest. Raises Damaged.

    Nothing may be done for good with a block before the iteration ended without an error.
    """
    tally, whole = Tally(), _Hashing(packed)
    try:
        yield from tallied(blocks_of(whole), time, tally, proof=proof)
    except ValueError as error:
        raise Damaged(f"a line is no row of {archive.table}") from error
    if wrong := tally.differences(archive):
        raise Damaged("; ".join(wrong))
    # Its rows are right. A byte that says nothing of them (gzip's header, bits that fill up the last byte) is not.
    if whole.digest.hexdigest() != archive.sha256:
        raise Damaged(
            f"its bytes were changed: sha256 {whole.digest.hexdigest()} instead of {archive.sha256}"
        )


def unchanged(packed: Packed, archive: Any) -> bool:
    """Whether the object's bytes, all of them read, are those of the manifest: its lines are then the same too."""
    whole = _Hashing(packed)
    while whole.read(READ_SIZE):
        pass
    return bool(whole.digest.hexdigest() == archive.sha256)


class _Hashing:
    """What is read passes by the hash."""

    def __init__(self, file: Packed) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self.digest.update(chunk)
        return chunk


def exhaust(blocks: Iterable[bytes]) -> None:
    for _ in blocks:
        pass
