"""Where measurements come from: each source reads its values of now, and counters that only ever grow.

A source raises when what it measures is away; the caller turns that into a gap.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis
from celery import current_app
from django.conf import settings
from django.db import connection
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from utxoiq_admin.retention.health import last_success


@dataclass(frozen=True)
class Value:
    """One figure: `unit` is percent, bytes, count, per_second or ms."""

    metric_type: str
    value: float
    unit: str


@dataclass(frozen=True)
class Sample:
    """What one source said: figures of this moment, and counters; `epoch` changes when these begin anew."""

    values: list[Value]
    counters: dict[str, float] = field(default_factory=dict)
    epoch: str = ""


def host() -> Sample:
    """This machine: processor time as counters, memory, the file system of the data folder, load."""
    times = psutil.cpu_times()
    # Linux counts a guest's time within user time as well.
    total = sum(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0)
    memory = psutil.virtual_memory()
    return Sample(
        [
            Value("memory", memory.percent, "percent"),
            Value("memory_used", memory.total - memory.available, "bytes"),
            Value("disk", psutil.disk_usage(str(_existing(settings.DATA_DIR))).percent, "percent"),
            Value("load1", psutil.getloadavg()[0], "count"),
        ],
        {"cpu_total": total, "cpu_busy": total - times.idle - getattr(times, "iowait", 0)},
    )


def postgres() -> Sample:
    """Connections of the whole server, which its limit counts; the rest of the platform's database."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (SELECT sum(numbackends) FROM pg_stat_database), pg_database_size(datname),
                   xact_commit + xact_rollback, blks_hit, blks_read,
                   concat(pg_postmaster_start_time(), ' ', stats_reset)
            FROM pg_stat_database WHERE datname = current_database()
            """
        )
        connections, size, transactions, hit, read, epoch = cursor.fetchone()
    return Sample(
        [
            Value("connections", float(connections), "count"),
            Value("database_size", float(size), "bytes"),
        ],
        {"transactions": float(transactions), "blocks_hit": float(hit), "blocks_read": float(read)},
        epoch,
    )


def valkey() -> Sample:
    """The cache and broker server."""
    with _valkey() as client:
        info = client.info()
    return Sample(
        [
            Value("memory_used", float(info["used_memory"]), "bytes"),
            Value("clients", float(info["connected_clients"]), "count"),
        ]
    )


def queues() -> Sample:
    """Messages that wait for a worker, over all queues."""
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    names = {settings.CELERY_TASK_DEFAULT_QUEUE, *current_app.amqp.queues}
    with _valkey() as client:
        waiting = sum(client.llen(f"{prefix}{name}") for name in sorted(names))
    return Sample([Value("queue_depth", float(waiting), "count")])


def worker() -> Sample:
    """Memory of the Celery worker that measures, with all its processes; pages they share count for each."""
    own = psutil.Process()
    parent = own.parent()
    main = parent if parent and _is_worker(parent) else own
    family = [main, *main.children(recursive=True)]
    return Sample([Value("worker_memory", float(sum(map(_resident, family))), "bytes")])


def retention() -> Sample:
    """Seconds since retention last succeeded; a gap while it never did."""
    success = last_success()
    if success is None:
        return Sample([])
    return Sample([Value("retention_age", (timezone.now() - success).total_seconds(), "s")])


SOURCES: dict[str, tuple[str, Callable[[], Sample]]] = {
    "host": ("host", host),
    "postgres": ("postgres", postgres),
    "valkey": ("valkey", valkey),
    "queues": ("utxoiq-admin", queues),
    "worker": ("utxoiq-admin", worker),
    "retention": ("utxoiq-admin", retention),
}


def _valkey() -> "redis.Redis":
    # One attempt: the client's own retries would multiply what a frozen server costs.
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.REDIS_TIMEOUT,
        socket_connect_timeout=settings.REDIS_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above that stands: before the first start there is no data folder."""
    return folder if folder.exists() else _existing(folder.parent)


def _is_worker(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return process.pid != os.getpid() and "worker" in words and any("celery" in word for word in words)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # a worker's child may end between the listing and this
        return 0
