"""The first step of a row's way: from the table into a bounded file on this machine, in one short transaction."""

import hashlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

from django.db import transaction
from psycopg import sql

from utxoiq_admin.retention.proof import Tally, tallied
from utxoiq_admin.retention.rows import AS_LINES, Due, cursor_with_pins

SLICE_ROWS = 100_000
SPOOL_BYTES = 256 * 1024 * 1024  # compressed; rows of ordinary size fill some 5 MB
FEWER = 10
GZIP_LEVEL = 6
BLOCK = 1024 * 1024

_COPY = sql.SQL(
    "COPY (SELECT row_to_json(t) FROM {source} AS t WHERE {condition} ORDER BY {time} LIMIT {limit}) TO STDOUT {how}"
)


class SpoolFull(Exception):
    """The slice's rows are so large that the file would pass SPOOL_BYTES."""


@dataclass
class Spool:
    """A slice in its file, ready to be read from the start."""

    file: IO[bytes]
    limit: int  # rows that it might have; with fewer, no more were due
    tally: Tally = field(default_factory=Tally)
    bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


@contextmanager
def spooled(due: Due, start: datetime, end: datetime) -> Iterator[Spool]:
    """At most SLICE_ROWS of the rows that are due in start <= time < end, the oldest; the file goes at the end.

    The transaction ends with the copying: no snapshot of the production database waits for a bucket.
    Raises SpoolFull when even few rows do not fit, OSError when the disk is full.
    """
    limit = SLICE_ROWS
    while True:
        with tempfile.TemporaryFile(prefix="utxoiq-spool-") as file:
            spool = Spool(file, limit)
            try:
                _copy(due, start, end, spool)
            except SpoolFull:
                if limit == 1:
                    raise
                limit = max(1, limit // FEWER)
                continue
            file.seek(0)
            yield spool
            return


@transaction.atomic
def _copy(due: Due, start: datetime, end: datetime, spool: Spool) -> None:
    query = _COPY.format(
        source=sql.Identifier(due.source),
        condition=due.condition(start, end),
        time=sql.Identifier("t", due.policy.time),
        limit=sql.Literal(spool.limit),
        how=AS_LINES,
    )
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)
    with cursor_with_pins() as cursor, cursor.copy(query) as copy:
        for block in tallied(_blocks(copy), due.policy.time, spool.tally):
            _write(spool, packer.compress(block))
    _write(spool, packer.flush())
    spool.file.flush()


def _blocks(copy: Iterable[Any]) -> Iterator[bytes]:
    """What COPY sends, a row at a time, in blocks of whole lines."""
    waiting: list[bytes] = []
    size = 0
    for line in copy:
        waiting.append(bytes(line))
        size += len(line)
        if size >= BLOCK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _write(spool: Spool, packed: bytes) -> None:
    spool.bytes += len(packed)
    if spool.bytes > SPOOL_BYTES:
        raise SpoolFull(f"{spool.limit:,} rows of it need more than {SPOOL_BYTES:,} bytes of file")
    spool.digest.update(packed)
    spool.file.write(packed)
