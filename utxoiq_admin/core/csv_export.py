"""CSV as a stream: one page of rows in memory, cells that no spreadsheet takes for a formula, and a broken export that
shows.
"""

import csv
import io
import json
import logging
import re
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import Error
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from utxoiq_admin.core import cursors

logger = logging.getLogger(__name__)
BATCH = 2000  # rows a query: some 10 ms, and under a megabyte
# What makes a spreadsheet calculate: OWASP's list, full-width forms included.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def keyset_rows(
    queryset: QuerySet[Any, Any],
    order: Sequence[str],
    fields: Sequence[str],
    limit: int | None = None,
    batch: int = BATCH,
) -> Iterator[tuple[Any, ...]]:
    """The rows' `fields` in `order`, at most `limit`, read in pages; each is a short query of its own.

    Never `.iterator()`: outside a transaction PostgreSQL would first write the whole answer to disk (WITH HOLD).
    """
    names = list(dict.fromkeys([*fields, *(name.removeprefix("-") for name in order)]))
    rows, cursor, left = queryset.values(*names), None, limit
    while left is None or left > 0:
        size = batch if left is None else min(batch, left)
        page = cursors.page(rows, order=order, cursor=cursor, size=size)
        for row in page.rows:
            yield tuple(row[name] for name in fields)
        cursor, left = page.next, left if left is None else left - len(page.rows)
        if cursor is None:
            return


def stream_csv(
    filename: str,
    header: Sequence[str],
    rows: Iterator[Sequence[Any]],
    *,
    limit: int | None = None,
    note: str = "",
) -> StreamingHttpResponse:
    """A download called `filename-20261124T140140Z.csv`. Rows past `limit` are left out, and a last line says so.

    `note` is a last line too: what whoever reads the rows must know of others that are not there.

    The first rows are read before the answer begins, so that a database that is away or too slow is told by a status.
    """
    parts = _parts(header, rows, limit, note)
    response = StreamingHttpResponse(_resume(next(parts), parts), content_type="text/csv; charset=utf-8")
    name = f"{filename}-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _parts(
    header: Sequence[str], rows: Iterator[Sequence[Any]], limit: int | None, note: str
) -> Generator[bytes, None, None]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([neutral(cell) for cell in header])
    for count, row in enumerate(rows):
        if count == limit:
            buffer.write(f"# CUT: the first {limit} rows. Narrow the filters for the others.\r\n")
            break
        if count and count % BATCH == 0:
            yield _emptied(buffer)
        writer.writerow([neutral(cell) for cell in row])
    if note:
        buffer.write(f"# NOTE: {note}\r\n")
    yield _emptied(buffer)


def _resume(first: bytes, parts: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Two signs of a broken stream: a last line, and a connection cut before its end, which a browser reports."""
    yield first
    try:
        yield from parts
    except Exception as error:
        logger.error("export_broken error=%r", str(error).strip())
        why = "the database failed" if isinstance(error, Error) else "an error on the server"
        yield f"# INCOMPLETE: {why} at this row. Export again.\r\n".encode()
        raise


def _emptied(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "replace")


def neutral(cell: Any) -> Any:
    """The cell as text that a spreadsheet shows and does not calculate; numbers stay numbers."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        return cell
    if isinstance(cell, datetime):
        return cell.isoformat()
    text = json.dumps(cell, ensure_ascii=False, default=str) if isinstance(cell, dict | list) else str(cell)
    if text.startswith(FORMULA_STARTS) and not NUMBER.fullmatch(text):
        return "'" + text
    return text
