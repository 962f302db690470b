"""Rows as lines, and which of them are due: the SQL that spooling, deleting, restoring and previews share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from psycopg import sql

from metrics import partitions
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import Policy, midnight

# CSV with a quote and a delimiter that JSON never holds, since it escapes control characters: lines come and go as
# they are. The text format would double every backslash, and what reads the object would find broken JSON.
AS_LINES = sql.SQL(r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')")

# What decides how a row is written as JSON; a role or a database may have other defaults.
PINS = """SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres';
SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'"""
# Nobody waits long for this, nor this for others.
BOUNDS = "SET LOCAL lock_timeout = '2s'"


@dataclass(frozen=True)
class Due:
    """The rows of one table, or of one partition of it, that may leave before `cutoff`."""

    policy: Policy
    source: str
    cutoff: datetime
    held: tuple[tuple[datetime, datetime], ...] = ()

    def condition(self, start: datetime | None = None, end: datetime | None = None) -> sql.Composed:
        """On `t`, with constants: without them the planner cannot use the index on time, nor skip partitions."""
        time = sql.Identifier("t", self.policy.time)
        parts = [sql.SQL("{} < {}").format(time, sql.Literal(min(end, self.cutoff) if end else self.cutoff))]
        if start:
            parts.append(sql.SQL("{} >= {}").format(time, sql.Literal(start)))
        if self.policy.stays:
            parts.append(sql.SQL("({}) IS NOT TRUE").format(sql.SQL(self.policy.stays)))
        parts += [
            sql.SQL("NOT ({0} >= {1} AND {0} <= {2})").format(time, sql.Literal(first), sql.Literal(last))
            for first, last in self.held
        ]
        return sql.SQL(" AND ").join(parts)

    def first_at(self, after: datetime | None = None) -> datetime | None:
        """The time of the oldest row that is due (from `after` on); None when none is."""
        query = sql.SQL("SELECT {0} FROM {1} AS t WHERE {2} ORDER BY {0} LIMIT 1").format(
            sql.Identifier("t", self.policy.time), sql.Identifier(self.source), self.condition(after)
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone()
        return row[0] if row else None

    def days(self) -> Iterator[datetime]:
        """The UTC days (midnights) with rows that are due, oldest first; each is looked for when asked."""
        day: datetime | None = None
        while first := self.first_at(day):
            yield (day := midnight(first))
            day += timedelta(days=1)


def due(policy: Policy, now: datetime) -> list[Due]:
    """Where rows of the table are due: each partition that reaches before the cutoff by itself, oldest first.

    A statement that names the partition locks no other one, and its plan does not depend on how many there are.
    Rows in the time of an object that holds them already leave by that object's proof: archived again, they would
    stand in two.
    """
    cutoff = policy.cutoff(now)
    held = tuple(Archive.objects.standing(policy.table).values_list("first_at", "last_at"))
    if not policy.in_months:
        return [Due(policy, policy.table, cutoff, held)]
    return [Due(policy, each.name, cutoff, held) for each in partitions.listing() if each.start < cutoff]


def source_of(policy: Policy, first_at: datetime) -> str | None:
    """The table that holds rows of an object; None when its partition is gone."""
    if not policy.in_months:
        return policy.table
    return next((each.name for each in partitions.listing() if each.start <= first_at < each.end), None)


def same_key(policy: Policy) -> sql.SQL:
    """Join condition of the row `t` and the proof's line `p` by the table's key."""
    return sql.SQL("t.id = p.id" + (f' AND t."{policy.time}" = p.at' if policy.in_months else ""))


# IS TRUE keeps it out of the join's hash key, where it would be worked out twice for each row.
SAME_CONTENT = sql.SQL("(md5(row_to_json(t)::text)::uuid = p.digest) IS TRUE")


@contextmanager
def cursor_with_pins() -> Iterator[Any]:
    """A cursor inside of a transaction whose rows look the same as JSON whoever asks."""
    with connection.cursor() as cursor:
        cursor.execute(PINS)
        yield cursor
