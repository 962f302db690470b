"""Jobs written as services write them (SQL), and what the tables say of them."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from backfill.models import BackfillJob
from backfill.services import Wish
from tests.backfill.site import _web, site

__all__ = ["_web", "site"]  # fixtures


def sql(text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall() if cursor.description else []


def sql_job(first: int = 0, last: int = 99, at: int | None = None, **changes: Any) -> BackfillJob:
    """A job as a service inserts it, without Django's help."""
    values = {
        "job_type": "blocks", "start_block": first, "end_block": last, "current_block": first if at is None else at,
        "status": "running",
    } | changes  # fmt: skip
    names = ", ".join(values)
    holes = ", ".join(["%s"] * len(values))
    ((job_id,),) = sql(f"INSERT INTO backfill_jobs ({names}) VALUES ({holes}) RETURNING id", *values.values())
    return BackfillJob.objects.get(pk=job_id)


def sql_move(job_id: uuid.UUID, **changes: Any) -> None:
    sets = ", ".join(f"{name} = %s" for name in changes)
    sql(f"UPDATE backfill_jobs SET {sets} WHERE id = %s", *changes.values(), job_id)


def wish(first: int = 0, last: int = 99, job_type: str = "blocks", **changes: Any) -> Wish:
    values = {"created_by": "ana", "actor": "ana"} | changes
    return Wish(job_type, first, last, **values)


def at_once(count: int, function: Callable[[], Any]) -> list[Any]:
    """What the function returns in so many threads, each with a connection of its own."""

    def run(_: int) -> Any:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))
