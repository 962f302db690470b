"""Writers, direct and concurrent, and the comparison of every bucket with SQL over the raw rows."""

import math
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
from django.db import connection

from metrics.reading import DAY, HOUR, SHARES, Answer, Request, Source, read

START = datetime(2026, 11, 17, tzinfo=UTC)
DAYS = 4
END = START + timedelta(days=DAYS)
PARTITION = "system_metrics_2026_11"
SERVICES, TYPES, UNITS = ("a", "b"), ("cpu", "memory"), ("percent", "ms")
# Ordinary, equal, zero of both signs, negative, tiny, huge: a sum of two of the last overflows.
VALUES = (0.0, -0.0, 1.0, 1.5, 2.5, 97.25, -3.0, -1e-300, 1e-9, 123456.789, 0.1 + 0.2, 1.7e308, -1.7e308)
COLUMNS = '(id, service_name, metric_type, metric_value, unit, "timestamp")'

RAW = """
SELECT service_name, metric_type, unit, (floor(extract(epoch FROM "timestamp") / %(width)s) * %(width)s)::bigint,
       array_agg(metric_value) FROM system_metrics WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s
GROUP BY 1, 2, 3, 4
"""


def other_connection() -> psycopg.Connection:
    """Apart from Django's, as another program is."""
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{name: parameters[name] for name in names if name in parameters})


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def row(service="a", kind="cpu", value=1.0, unit="percent", at=START, key=None):
    return (key or uuid4(), service, kind, value, unit, at)


def insert(conn, rows, table="system_metrics"):
    with conn.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} {COLUMNS} VALUES (%s, %s, %s, %s, %s, %s)", rows)


def insert_at_once(conn, rows, table="system_metrics"):
    places = ", ".join(["(%s::uuid, %s, %s, %s, %s, %s::timestamptz)"] * len(rows))
    conn.execute(f"INSERT INTO {table} {COLUMNS} VALUES {places}", [each for one in rows for each in one])


def copy(conn, rows, table="system_metrics"):
    with conn.cursor() as cursor, cursor.copy(f"COPY {table} {COLUMNS} FROM STDIN") as out:
        for each in rows:
            out.write_row(each)


def answer(source=Source.HOURLY, step=None, sketches=False, start=START, end=END) -> Answer:
    width = step or {Source.RAW: 600, Source.HOURLY: HOUR, Source.DAILY: DAY}[source]
    return read(
        Request(
            SERVICES, TYPES, int(start.timestamp()), int(end.timestamp()), width, source, sketches=sketches
        )
    )


def buckets(found: Answer) -> dict[tuple, tuple]:
    """{(service, type, unit, epoch): (rows, total, lowest, highest)} of the buckets with rows."""
    return {
        (one.service_name, one.metric_type, one.unit, at): figures
        for one in found.series
        for at, *figures in zip(
            found.request.times, one.rows, one.total, one.lowest, one.highest, strict=True
        )
        if figures[0] is not None
    }


def raw(width: int, start=START, end=END) -> dict[tuple, list[float]]:
    with connection.cursor() as cursor:
        cursor.execute(RAW, {"width": width, "start": start, "end": end})
        return {(*key, at): sorted(values) for *key, at, values in cursor.fetchall()}


def assert_same(found: Answer, wanted: dict[tuple, list[float]]) -> None:
    """Count, lowest and highest to the bit, sum to rounding."""
    have = buckets(found)
    assert have.keys() == wanted.keys()
    for key, values in wanted.items():
        rows, total, lowest, highest = have[key]
        assert (rows, lowest, highest) == (len(values), values[0], values[-1]), key
        size = sum(map(abs, values))
        # Sums that leave the numbers on the way saturate: finite, and no more is promised of them.
        assert math.isfinite(total), key
        assert size > 1.79e308 or math.isclose(total, math.fsum(values), rel_tol=1e-9, abs_tol=1e-9 * size), (
            key
        )


PERCENTILES = """
SELECT service_name, metric_type, unit, (floor(extract(epoch FROM "timestamp") / %(width)s) * %(width)s)::bigint,
       percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY metric_value)
FROM system_metrics WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s GROUP BY 1, 2, 3, 4
"""


def assert_percentiles(found: Answer, width: int) -> None:
    """Those of every bucket are within 2 % of SQL's own."""
    with connection.cursor() as cursor:
        cursor.execute(PERCENTILES, {"width": width, "start": START, "end": END, "shares": list(SHARES)})
        wanted = {(*key, at): values for *key, at, values in cursor.fetchall()}
    have = {
        (one.service_name, one.metric_type, one.unit, at): values
        for one in found.series
        for at, *values in zip(found.request.times, *one.percentiles(), strict=True)
        if values[0] is not None
    }
    assert have.keys() == wanted.keys()
    for key, values in wanted.items():
        for value, near in zip(values, have[key], strict=True):
            assert abs(near - value) <= 0.02 * abs(value), (key, value, near)


def assert_exact() -> None:
    """Every source and width says what SQL says over the raw rows, now."""
    for source, step in (
        (Source.HOURLY, HOUR),
        (Source.HOURLY, 3 * HOUR),
        (Source.DAILY, DAY),
        (Source.RAW, 600),
    ):
        assert_same(answer(source, step), raw(step))
    for source, step in ((Source.HOURLY, HOUR), (Source.DAILY, 2 * DAY), (Source.RAW, 1200)):
        found = answer(source, step, sketches=True)
        assert_same(found, raw(step))
        assert_percentiles(found, step)
