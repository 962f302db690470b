"""Checks of the ground floor: are worker, beat and listener heard, do database and cache answer."""

import time
from datetime import datetime, timedelta

from django.db import connection
from redis.exceptions import RedisError

from utxoiq_admin.core import cache
from utxoiq_admin.core.display import span
from utxoiq_admin.core.health import Check, Level
from utxoiq_admin.core.models import Heartbeat

LOST_AFTER = timedelta(seconds=60)  # each writes about every 10 s
PROCESSES = {
    "worker": "no background work runs: measurements, partitions and retention stand still",
    "beat": "nothing scheduled starts",
    "listener": "cached figures may be up to their time-to-live old",
}

CACHE_DOWN = Check(
    "cache", Level.SOON, "Valkey does not answer: pages ask the database directly and are slower, tasks wait"
)


def process_checks(now: datetime) -> list[Check]:
    """One check for each of worker, beat and listener, by its heartbeat row."""
    heard = {row.name: row.at for row in Heartbeat.objects.filter(name__in=PROCESSES)}
    return [_process_check(name, heard.get(name), now) for name in PROCESSES]


def _process_check(name: str, at: datetime | None, now: datetime) -> Check:
    if at is None:
        return Check(name, Level.UNKNOWN, f"{name} was never heard: {PROCESSES[name]}")
    age = now - at
    if age > LOST_AFTER:
        return Check(
            name,
            Level.BROKEN,
            f"{name} was last heard {span(age.total_seconds())} ago: {PROCESSES[name]}",
            at,
        )
    return Check(name, Level.OK, f"{name} {span(age.total_seconds())}", at)


def server_checks() -> list[Check]:
    """How long the database and the cache take to answer one question, in ms, measured now."""
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    checks = [Check("database", Level.OK, f"database {_ms(started)}")]
    if not cache.breaker.closed:
        return [*checks, CACHE_DOWN]
    started = time.perf_counter()
    try:
        cache.client().ping()
    except RedisError as error:
        cache.breaker.trip(error)
        return [*checks, CACHE_DOWN]
    return [*checks, Check("cache", Level.OK, f"cache {_ms(started)}")]


def _ms(started: float) -> str:
    return f"{(time.perf_counter() - started) * 1000:.1f} ms"
