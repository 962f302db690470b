"""What lines come to: the figures that an object is held against, and the proof by which rows may be deleted.

A line is `row_to_json` of a row, as the database wrote it; its md5 is the row's identity and content at once. Lines
may come in any order, so their md5 are added up. A sum, not XOR: a line that stands twice would vanish from XOR.
"""

import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol

READ_SIZE = 256 * 1024
MAX_LINE = 64 * 1024 * 1024  # a jsonb value cannot be longer than 256 MB, and none of ours is near
_MODULUS = 1 << 128


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


def tallied(
    lines: Iterable[bytes], time: str, tally: Tally, *, proof: bytearray | None = None
) -> Iterator[bytes]:
    """Pass the lines on (without their newline) and count them; into `proof` goes a line for COPY of each.

    Times of one zone compare as text: "…:00+00:00" sorts before "…:00.5+00:00". A name in quotes with a colon
    directly behind it is a key of the row itself: quotes inside of values are escaped, and jsonb has a space there.
    """
    time_mark, id_mark = f'"{time}":"'.encode(), b'"id":"'
    time_length, md5, from_bytes = len(time_mark), hashlib.md5, int.from_bytes
    rows, first, last, total = tally.rows, tally.first, tally.last, tally.total
    try:
        for line in lines:
            start = line.index(time_mark) + time_length
            at = line[start : line.index(b'"', start)]
            digest = md5(line, usedforsecurity=False)
            total += from_bytes(digest.digest(), "big")
            rows += 1
            if at < first:
                first = at
            if at > last:
                last = at
            if proof is not None:
                place = line.index(id_mark) + 6
                proof += b"%b\t%b\t%b\n" % (line[place : place + 36], at, digest.hexdigest().encode())
            yield line
    finally:
        tally.rows, tally.first, tally.last, tally.total = rows, first, last, total


class Packed(Protocol):
    """Bytes to be read once, from the start."""

    def read(self, size: int, /) -> bytes: ...


def lines_of(packed: Packed) -> Iterator[bytes]:
    """The lines of a gzip stream, without their newlines. Raises Damaged for a stream that is broken or ends early."""
    unpack = zlib.decompressobj(wbits=31)
    rest = b""
    try:
        while chunk := packed.read(READ_SIZE):
            text = rest + unpack.decompress(chunk)
            *lines, rest = text.split(b"\n")
            yield from lines
            if len(rest) > MAX_LINE:
                raise Damaged("a line does not end")
    except zlib.error as error:
        raise Damaged(f"it cannot be unpacked ({error})") from error
    if not unpack.eof:
        raise Damaged("it ends early")
    if unpack.unused_data or rest:
        raise Damaged("something stands behind its end")


def read_back(packed: Packed, archive: Any, time: str, *, proof: bytearray | None = None) -> Iterator[bytes]:
    """The object's lines; after the last one they were held against the manifest. Raises Damaged.

    Nothing may be done for good with a line before the iteration ended without an error.
    """
    tally, whole = Tally(), _Hashing(packed)
    try:
        yield from tallied(lines_of(whole), time, tally, proof=proof)
    except ValueError as error:
        raise Damaged(f"a line is no row of {archive.table}") from error
    if wrong := tally.differences(archive):
        raise Damaged("; ".join(wrong))
    # Its rows are right. A byte that says nothing of them (gzip's header, bits that fill up the last byte) is not.
    if whole.digest.hexdigest() != archive.sha256:
        raise Damaged(
            f"its bytes were changed: sha256 {whole.digest.hexdigest()} instead of {archive.sha256}"
        )


class _Hashing:
    """What is read passes by the hash."""

    def __init__(self, file: Packed) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self.digest.update(chunk)
        return chunk


def exhaust(lines: Iterable[bytes]) -> None:
    for _ in lines:
        pass


def proof_file(proof: bytearray) -> IO[bytes]:
    return io.BytesIO(proof)
