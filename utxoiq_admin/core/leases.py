"""Leases: one holder at a time for a piece of work, without a session lock that would go with its connection.

Time is the database's. A holder that stalled beyond its time may find its lease taken; so every transaction that
must not happen twice calls `check` first, which also keeps the lease from being taken before that transaction ends.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import Error, connection, transaction

from utxoiq_admin.core.heartbeats import whereabouts
from utxoiq_admin.core.models import Lease

logger = logging.getLogger(__name__)
IDLE = "60s"  # how long a transaction that checked the lease may stand still before the server ends it

# clock_timestamp(): now() would be the start of a transaction that may have waited for the other holder's row.
ACQUIRE = """
INSERT INTO core_leases AS lease (name, token, holder, acquired_at, heartbeat_at, expires_at)
VALUES (%(name)s, %(token)s, %(holder)s, clock_timestamp(), clock_timestamp(), clock_timestamp() + %(ttl)s)
ON CONFLICT (name) DO UPDATE
   SET token = excluded.token, holder = excluded.holder, acquired_at = clock_timestamp(),
       heartbeat_at = clock_timestamp(), expires_at = clock_timestamp() + %(ttl)s
 WHERE lease.expires_at <= clock_timestamp()
RETURNING token
"""
RENEW = """
UPDATE core_leases SET heartbeat_at = clock_timestamp(), expires_at = clock_timestamp() + %(ttl)s
 WHERE name = %(name)s AND token = %(token)s
"""


class LeaseHeld(Exception):
    """Another holds it; the message says who, since when, and until when unless renewed."""


class LeaseLost(Exception):
    """It was not renewed in time, and another has taken it: stop, and commit nothing."""


@dataclass(frozen=True)
class HeldLease:
    """What `hold` gives: proof of holding, to be renewed well within `ttl`."""

    name: str
    token: uuid.UUID
    ttl: timedelta

    def renew(self) -> None:
        """Keep it for another `ttl` from now, or raise LeaseLost."""
        with connection.cursor() as cursor:
            parameters: dict[str, Any] = {"name": self.name, "token": self.token, "ttl": self.ttl}
            cursor.execute(RENEW, parameters)
            if cursor.rowcount != 1:
                raise self._lost()

    def check(self) -> None:
        """Inside a transaction: nobody else gets the lease before it ends; raises LeaseLost if somebody has it.

        Whoever takes over waits for the transaction's end, so a holder that was frozen inside is ended by the server.
        """
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError(
                f"check() of the lease {self.name!r} protects a transaction: call it inside atomic()."
            )
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE}'")
            # Shared, so that several connections of one holder may check at once; a taker's UPDATE waits.
            cursor.execute(
                "SELECT 1 FROM core_leases WHERE name = %s AND token = %s FOR SHARE", [self.name, self.token]
            )
            if cursor.fetchone() is None:
                raise self._lost()

    def release(self) -> None:
        """Give it back; nothing happens if another has taken it."""
        Lease.objects.filter(name=self.name, token=self.token).delete()

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"The lease {self.name!r} was not renewed within {self.ttl.total_seconds():g} s and is held by "
            "another now. This work stops here; what it committed so far stays."
        )


def acquire(name: str, *, ttl: timedelta, holder: str = "") -> HeldLease:
    """Take the lease if it is free or ran out, or raise LeaseHeld; committed at once, so never inside a transaction."""
    lease = HeldLease(name, uuid.uuid4(), ttl)
    holder = holder or "{host}:{pid}".format(**whereabouts())
    parameters: dict[str, Any] = {"name": name, "token": lease.token, "holder": holder, "ttl": ttl}
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(ACQUIRE, parameters)
        if cursor.fetchone():
            return lease
    raise LeaseHeld(_who_holds(name))


@contextmanager
def hold(name: str, *, ttl: timedelta, holder: str = "") -> Iterator[HeldLease]:
    """Hold the lease inside; given back at the end, however it ends."""
    lease = acquire(name, ttl=ttl, holder=holder)
    try:
        yield lease
    finally:
        try:
            lease.release()
        except Error as error:  # it runs out by itself, and the error inside matters more
            logger.warning("lease_not_released name=%s error=%r", name, str(error).strip())


def _who_holds(name: str) -> str:
    lease = Lease.objects.filter(name=name).first()
    if lease is None:
        return f"{name!r} was held by another until this moment. Try again."
    return (
        f"{name!r} is held by {lease.holder} since {lease.acquired_at:%Y-%m-%d %H:%M:%S} UTC, last renewed "
        f"{lease.heartbeat_at:%H:%M:%S}; it becomes free at {lease.expires_at:%H:%M:%S} unless it is renewed."
    )
