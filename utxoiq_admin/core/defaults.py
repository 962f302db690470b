"""Defaults that stand in the tables themselves: time-ordered ids (UUIDv7, RFC 9562 section 5.7) and now()."""

import os
import time
import uuid

from django.db.models import DateTimeField, Func, UUIDField


def uuid7() -> uuid.UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, then 74 random bits; ids made later sort later (to the ms)."""
    value = int.from_bytes((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


class UUID7(Func):
    """The same made by the database: `uuid7()` of migration core.0001, for writers that are not Django."""

    function = "uuid7"
    arity = 0
    output_field = UUIDField()


class DatabaseNow(Func):
    """`now()`, the description's default; Django's own `Now` would write STATEMENT_TIMESTAMP() into the table."""

    function = "now"
    arity = 0
    output_field = DateTimeField()
