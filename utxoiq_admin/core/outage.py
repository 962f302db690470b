"""What people and services get when the database does not answer: a page or JSON that names it, never a trace.

Every layer of middleware turns an exception into a plain 500 before the next one sees it. So failures of views come
by `process_exception`, and those of the layers between (sessions, sign-in) by the signal that Django sends first.
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from psycopg_pool import PoolTimeout

from utxoiq_admin.core.postgres.base import pool_wait_limit

logger = logging.getLogger(__name__)
RETRY_AFTER = 5  # seconds
# Where a process has no more threads than its pool has connections, whoever waits for one waits for a database that
# does not accept any; nobody looks at an empty window for the pool's own 30 s.
PAGE_POOL_TIMEOUT = 5.0


@dataclass(frozen=True)
class Outage:
    """Why a request could not be answered, for people and for services."""

    status: int
    what: str
    why: str
    advice: str


UNREACHABLE = Outage(
    503,
    "database",
    "The database (PostgreSQL) cannot be reached.",
    "If this lasts, look whether PostgreSQL runs and accepts connections. The application needs no restart "
    "afterwards: it goes on as soon as the database answers.",
)
BUSY = Outage(
    503,
    "database",
    "No database connection became free in time: all of them are at work, or the database is down.",
    "If this lasts, look whether PostgreSQL runs, and which queries are slow.",
)
CONFLICT = Outage(
    503,
    "database",
    "Another operation held the same rows for too long, so this one was given up and nothing of it was stored.",
    "Repeat the request.",
)
DISK_FULL = Outage(
    503,
    "database",
    "The database's disk is full: what is there can be read, and nothing can be stored.",
    "Make room on the disk of PostgreSQL. Nothing of this request was stored.",
)
TOO_MUCH = Outage(
    400,
    "time limit",
    "This asked for too much: the database needed longer than a page may take.",
    "Narrow the time range, or add a filter.",
)
WRITE_TOO_SLOW = Outage(
    503,
    "database",
    "The database needed longer than a request may take; nothing of this request was stored.",
    "Repeat the request, with fewer rows if it sent many.",
)

UNKNOWN_WRITE = "Whether this request was stored is not known: repeat it."

# SQLSTATEs (PostgreSQL's appendix A): cancelled by a time limit; lock not available, deadlock, serialization.
CANCELLED = "57014"
NO_ROOM = "53100"
CONFLICTS = {"55P03", "40P01", "40001"}
# No SQLSTATE at all means that the connection itself failed; 08 connection, 53 resources, 57P shutting down.
UNREACHABLE_CLASSES = ("08", "53", "57P")


def diagnose(error: BaseException | None, *, writes: bool = False) -> Outage | None:
    """What the database's error means for the one who asked; None when it is no outage but a fault of ours."""
    if not isinstance(error, OperationalError | InterfaceError):
        return None
    cause = error.__cause__
    if isinstance(cause, PoolTimeout):
        return BUSY if settings.WEB_THREADS > settings.DB_POOL_MAX_SIZE else UNREACHABLE
    state = getattr(cause, "sqlstate", None)
    if state == NO_ROOM:
        return DISK_FULL
    if state is None or state.startswith(UNREACHABLE_CLASSES):
        return UNREACHABLE
    if state == CANCELLED:
        return WRITE_TOO_SLOW if writes else TOO_MUCH
    return CONFLICT if state in CONFLICTS else None


class OutageMiddleware:
    """Answers 503 for a database that is away, and bounds how long the API waits for a connection."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = settings.API_POOL_TIMEOUT if _is_api(request) else PAGE_POOL_TIMEOUT
        with pool_wait_limit(min(limit, settings.DB_POOL_TIMEOUT)):
            response = self.get_response(request)
        failure = getattr(request, "database_failure", None)
        if response.status_code == 500 and (outage := _diagnose(request, failure)):
            response.close()
            return _answer(request, outage)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        outage = _diagnose(request, exception)
        if not outage:
            return None
        logger.warning("database_outage path=%s what=%s error=%r", request.path, outage.why, str(exception))
        return _answer(request, outage)


@receiver(got_request_exception, dispatch_uid="utxoiq_admin.core.outage")
def _remember_failure(request: HttpRequest | None = None, **_kwargs: Any) -> None:
    if request is not None:
        request.database_failure = sys.exc_info()[1]  # type: ignore[attr-defined]


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _diagnose(request: HttpRequest, error: BaseException | None) -> Outage | None:
    writes = request.method not in ("GET", "HEAD", "OPTIONS")
    outage = diagnose(error, writes=writes)
    if writes and outage in (UNREACHABLE, BUSY):
        return replace(outage, advice=f"{UNKNOWN_WRITE} {outage.advice}")
    return outage


def _answer(request: HttpRequest, outage: Outage) -> HttpResponse:
    response: HttpResponse
    if _is_api(request):
        fault = {"where": "server", "what": outage.what, "why": f"{outage.why} {outage.advice}"}
        response = JsonResponse({"errors": [fault]}, status=outage.status)
    else:
        # Only a page that was read may ask for itself again: a form sent twice could act twice.
        refresh = RETRY_AFTER if outage.status == 503 and request.method in ("GET", "HEAD") else None
        html = render_to_string("503.html", {"outage": outage, "refresh": refresh})
        response = HttpResponse(html, status=outage.status)
    if outage.status == 503:
        response["Retry-After"] = str(RETRY_AFTER)
    response["Cache-Control"] = "no-store"
    return response
