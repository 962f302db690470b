"""`/healthz` and `/readyz`, for whoever routes requests here and restarts what hangs. Open, so terse.

A frozen server accepts connections and never answers, and no time limit of PostgreSQL's reaches a client
then. So every dependency is asked in a thread of its own and waited for at most LIMIT; a thread that hangs
stays the only one, until its server answers or the connection breaks.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import redis
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

from metrics import partitions
from utxoiq_admin.core.postgres.base import pool_wait_limit

logger = logging.getLogger(__name__)
LIMIT = 0.9  # seconds that all dependencies together may take
KEEP = 1.0  # seconds an answer is given again, so that nobody can load the database through it

OK, DEGRADED, FAILED, UNKNOWN = "ok", "degraded", "failed", "unknown"


@dataclass(frozen=True)
class Finding:
    """How one dependency is. `why` is one of our own sentences: an error's text may hold hosts or names."""

    status: str
    ms: float | None = None
    why: str | None = None


@dataclass
class Asking:
    """One dependency's questions, asked in the background; findings appear under their names as they come."""

    names: list[str]
    ask: Callable[[], Iterator[tuple[str, Finding]]]
    found: dict[str, Finding] = field(default_factory=dict)
    thread: threading.Thread | None = None

    def start(self) -> None:
        """Ask, unless the last question still waits for its answer."""
        self.found = {}
        if self.thread and self.thread.is_alive():
            return
        self.thread = threading.Thread(target=self._run, args=(self.found,), name="readyz", daemon=True)
        self.thread.start()

    def _run(self, found: dict[str, Finding]) -> None:
        found.update(self.ask())

    def findings(self, wait: float) -> dict[str, Finding]:
        """What was found within `wait` seconds; the first name without a finding is what did not answer."""
        if self.thread:
            self.thread.join(max(wait, 0))
        found = dict(self.found)
        return found | _unanswered([name for name in self.names if name not in found], LATE)


LATE = Finding(FAILED, None, "It did not answer in time.")
UNASKED = Finding(UNKNOWN, None, "It was not asked, because the question before failed.")


def _unanswered(names: list[str], finding: Finding) -> dict[str, Finding]:
    """The first of the names has the finding; those behind it were not asked."""
    return dict.fromkeys(names, UNASKED) | dict.fromkeys(names[:1], finding)


def _database() -> Iterator[tuple[str, Finding]]:
    waiting = {"database": _answers, "migrations": _migrations, "partitions": _partitions}
    started = time.monotonic()
    try:
        with pool_wait_limit(LIMIT):
            while waiting:
                name, question = next(iter(waiting.items()))
                status, why = question()
                yield name, Finding(status, _ms(started), why)
                del waiting[name]
                started = time.monotonic()
    except DatabaseFailure as error:
        logger.warning("readyz_failed what=%s error=%r", name, error)
        failed = Finding(FAILED, _ms(started), "It cannot be reached, or refused the question.")
        yield from _unanswered(list(waiting), failed).items()
    finally:
        connections.close_all()


def _answers() -> tuple[str, str | None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK, None


@cache
def _newest_migrations() -> frozenset[tuple[str, str]]:
    """The last migration of every app: applied, it means that all before it are."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _migrations() -> tuple[str, str | None]:
    missing = len(_newest_migrations() - set(MigrationRecorder(connection).applied_migrations()))
    return (FAILED, f"{missing} apps have migrations to apply: manage.py migrate.") if missing else (OK, None)


def _partitions() -> tuple[str, str | None]:
    now = datetime.now(UTC)
    following = partitions.next_month(now.date())
    ranges = [(each.start, each.end) for each in partitions.listing()]

    def covered(moment: datetime) -> bool:
        return any(start <= moment < end for start, end in ranges)

    if not covered(now):
        return FAILED, "There is no partition for this month: metrics cannot be stored."
    if not covered(datetime(following.year, following.month, 1, tzinfo=UTC) + timedelta(seconds=1)):
        return DEGRADED, "There is no partition for next month yet."
    return OK, None


def _cache() -> Iterator[tuple[str, Finding]]:
    """Without it every answer is right, only slower: it never takes the application out of service."""
    started = time.monotonic()
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.REDIS_TIMEOUT,
        socket_connect_timeout=settings.REDIS_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        client.ping()
        yield "cache", Finding(OK, _ms(started))
    except (redis.RedisError, OSError) as error:
        logger.warning("readyz_cache error=%r", error)
        yield "cache", Finding(DEGRADED, _ms(started), "It does not answer; pages are right, but slower.")
    finally:
        client.close()


def _ms(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


class Readiness:
    """The state of all dependencies, asked at most once every KEEP seconds by this process."""

    def __init__(self) -> None:
        self.askings = [
            Asking(["database", "migrations", "partitions"], _database),
            Asking(["cache"], _cache),
        ]
        self._lock = threading.Lock()
        self._until = 0.0
        self._last: dict[str, Finding] = {}

    def look(self) -> dict[str, Finding]:
        with self._lock:  # who comes while it is being found out waits for that, LIMIT at most
            if time.monotonic() >= self._until:
                self._last = self._ask()
                self._until = time.monotonic() + KEEP
            return self._last

    def _ask(self) -> dict[str, Finding]:
        end = time.monotonic() + LIMIT
        for asking in self.askings:
            asking.start()
        found: dict[str, Finding] = {}
        for asking in self.askings:
            found |= asking.findings(end - time.monotonic())
        if found["cache"].status == FAILED:
            found["cache"] = Finding(DEGRADED, None, found["cache"].why)
        return {name: found[name] for name in ("database", "cache", "migrations", "partitions")}


readiness = Readiness()


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process answers at all; asks nobody else, so a dead database never gets it restarted."""
    return JsonResponse({"status": OK})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether requests should be sent here: 503 when they would fail, 200 and `degraded` when they suffer."""
    found = readiness.look()
    states = {each.status for each in found.values()}
    status = FAILED if FAILED in states else DEGRADED if DEGRADED in states else OK
    checks = {name: {k: v for k, v in vars(each).items() if v is not None} for name, each in found.items()}
    return JsonResponse({"status": status, "checks": checks}, status=503 if status == FAILED else 200)
