"""Take in metrics: from the bytes of a request to a receipt."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from django.db import transaction

from metrics import ingest_copy
from metrics.bodies import BatchRefused, Stream, read_body
from metrics.parsing import Rejected, parse
from metrics.rows import Batch, make_batch, reject
from utxoiq_admin.accounts.models import ServiceToken
from utxoiq_admin.accounts.usage import Rejection, usage_note
from utxoiq_admin.core import cache

MAX_KEYS = 100  # services bumped one by one
_NO_PARTITION = "There is no partition for this time yet; run `manage.py partitions`."


@dataclass(frozen=True)
class Receipt:
    """What became of the rows: stored now, stored before, not stored."""

    accepted: int
    duplicate: int
    rejected: list[Rejected]

    @property
    def stored(self) -> bool:
        return bool(self.accepted or self.duplicate)


def metrics_receive(
    *, token: ServiceToken, stream: Stream, encoding: str, length: int, many: bool, now: datetime
) -> Receipt:
    """Read a list of metrics (or, not `many`, one), store what can be stored, and note it for the token.

    Raises BatchRefused when the body as a whole cannot be taken, and OperationalError when the database cannot.
    """
    try:
        body = read_body(stream, encoding=encoding, length=length)
        with _uncollected():
            batch = make_batch(parse(body, many=many), now=now)
        receipt = _stored(batch)
    except BatchRefused as refusal:
        usage_note(token=token, now=now, rejections=[Rejection(refusal.where, refusal.why, rows=0)])
        raise
    usage_note(
        token=token,
        now=now,
        accepted=receipt.accepted,
        duplicate=receipt.duplicate,
        rejections=[Rejection(each.field, each.reason, about=each.about) for each in receipt.rejected],
    )
    return receipt


@contextmanager
def _uncollected() -> Iterator[None]:
    """Inside, Python looks for no garbage. [5,000 rows: 15 ms less.]

    Thousands of new objects set off full collections, 90 ms each with everything that Django holds; rows have no
    cycles and need none. Whoever found it on turns it on again, so that threads cannot leave it off between them.
    """
    found_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if found_on:
            gc.enable()


def _stored(batch: Batch) -> Receipt:
    try:
        new = _store(batch)
    except ingest_copy.NoPartition:
        batch.rows, outside = ingest_copy.covered(batch.rows)
        batch.twins, more = ingest_copy.covered(batch.twins)
        batch.rejected += [reject(row, "timestamp", _NO_PARTITION) for row in [*outside, *more]]
        batch.rejected.sort(key=attrgetter("index"))
        new = _store(batch)
    return Receipt(new, len(batch.twins) + len(batch.rows) - new, batch.rejected)


def _store(batch: Batch) -> int:
    if not batch.rows:
        return 0
    new = ingest_copy.store(batch.rows, may_exist=batch.has_ids)
    services = {row.service_name for row in batch.rows}
    keys = [f"service:{name}" for name in services] if len(services) <= MAX_KEYS else ["service:*"]
    # The trigger tells the listener too; this only makes it quicker.
    transaction.on_commit(lambda: cache.bump(*keys), robust=True)
    return new
