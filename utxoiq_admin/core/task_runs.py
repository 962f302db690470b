"""A row for every run of a task: when it ran, for how long, and how it ended."""

import functools
import logging
import re
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction
from django.db.models.functions import Now

from utxoiq_admin.core.heartbeats import whereabouts
from utxoiq_admin.core.models import TaskRun

logger = logging.getLogger(__name__)
HEARTBEAT = 10.0  # seconds
LOST_AFTER = timedelta(seconds=60)
CLEAN_UP_BATCH = 5000  # 40 ms here; a day leaves some 6,000 rows
ERROR_LENGTH = 4000
# Seconds after each try to note an end: a database that restarts must not make an hour's work look lost. After the
# last the row falls silent, and the tick counts it as lost.
FINISH_WAITS = (1.0, 2.0, 4.0, 8.0, 0.0)

# user:password@host; password=..., "token": "..."; Bearer ...
SECRETS = re.compile(
    r"(?<=://)[^/@\s]+(?=@)"
    r"|(?i:(?<=bearer )\S+)"
    r"|(?i:(?<=password)|(?<=secret)|(?<=token)|(?<=api_key)|(?<=apikey))['\"]?\s*[=:]\s*['\"]?[^\s'\",;&]+"
)


def recorded(name: str, **options: Any) -> Callable[[Callable[..., str | None]], Any]:
    """Make the function a Celery task called `name` that leaves a row; what it returns is the row's detail.

    Started by `enqueue`, it gets the row's args as keywords; started by the schedule, a row of its own and no args.
    Any number of messages for one row run it once.
    """

    def decorate(function: Callable[..., str | None]) -> Any:
        @functools.wraps(function)
        def body(run_id: str | None = None) -> None:
            run = claim(run_id) if run_id else begin(name)
            if run is not None:
                with followed(run):
                    run.detail = function(**run.args) or ""

        # Celery would read the arguments of the function from its signature.
        del body.__wrapped__
        return shared_task(name=name, **options)(body)

    return decorate


def claim(run_id: str) -> TaskRun | None:
    """Take a queued row; None when another message of the same row was faster, or the row is gone."""
    rows = TaskRun.objects.filter(pk=uuid.UUID(run_id), state=TaskRun.State.QUEUED)
    if rows.update(state=TaskRun.State.RUNNING, started_at=Now(), heartbeat_at=Now(), worker=_worker()) != 1:
        logger.info("run_not_claimed run=%s", run_id)
        return None
    return TaskRun.objects.get(pk=run_id)


def begin(name: str) -> TaskRun:
    """A row for a run that nobody enqueued: the schedule's."""
    return TaskRun.objects.create(
        name=name, state=TaskRun.State.RUNNING, started_at=Now(), heartbeat_at=Now(), worker=_worker()
    )


@contextmanager
def followed(run: TaskRun) -> Iterator[TaskRun]:
    """Inside, the row is kept fresh; at the end it says how the work ended. Errors are noted and go on."""
    ended = threading.Event()
    threading.Thread(target=_keep_fresh, args=(run, ended), name=f"run-{run.pk}", daemon=True).start()
    try:
        yield run
    except BaseException as error:
        _finish(run, TaskRun.State.FAILED, describe(error))
        raise
    else:
        _finish(run, TaskRun.State.SUCCEEDED, "")
    finally:
        ended.set()


def _finish(run: TaskRun, state: TaskRun.State, error: str) -> None:
    """Also a run that was given up as lost in the meantime: how it really ended is worth more."""
    run.state, run.error = state, error
    for wait in FINISH_WAITS:
        try:
            if not connection.in_atomic_block:
                close_old_connections()
            TaskRun.objects.filter(pk=run.pk, state__in=[TaskRun.State.RUNNING, TaskRun.State.LOST]).update(
                state=state, detail=run.detail, error=error, finished_at=Now()
            )
            return
        except Error as failure:
            logger.warning(
                "run_end_not_recorded run=%s state=%s error=%r", run.pk, state, str(failure).strip()
            )
            time.sleep(wait)


def _keep_fresh(run: TaskRun, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT):
        try:
            close_old_connections()
            TaskRun.objects.filter(pk=run.pk, state=TaskRun.State.RUNNING).update(heartbeat_at=Now())
        except Error as error:
            logger.warning("run_heartbeat_not_written run=%s error=%r", run.pk, str(error).strip())
    connection.close()


def mark_lost(wait: timedelta = LOST_AFTER) -> int:
    """Running rows whose worker fell silent become lost; how many."""
    return TaskRun.objects.silent(wait).update(
        state=TaskRun.State.LOST,
        finished_at=Now(),
        error="Its worker stopped answering before the end (killed, or its machine went away). "
        "Look what was done of it, and start it again.",
    )


def clean_up(*, keep: timedelta | None = None, batch: int = CLEAN_UP_BATCH) -> tuple[int, bool]:
    """Delete at most `batch` of the oldest runs that ended and are older than `keep`: (rows, has_more).

    Without `keep`, by the setting RETENTION_TASK_RUNS_DAYS.
    """
    keep = keep or timedelta(days=settings.RETENTION_TASK_RUNS_DAYS)
    with transaction.atomic():
        oldest = TaskRun.objects.ended_before(keep).select_for_update(skip_locked=True)
        ids = list(oldest.values_list("pk", flat=True)[: batch + 1])
        rows, _ = TaskRun.objects.filter(pk__in=ids[:batch]).delete()
    return rows, len(ids) > batch


def describe(error: BaseException) -> str:
    """The error's class and words and where it arose, without passwords and tokens."""
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        text += f"\nin {frames[-1].name}, {frames[-1].filename.rpartition('/')[2]} line {frames[-1].lineno}"
    for secret in (settings.SECRET_KEY, settings.DATABASES["default"].get("PASSWORD")):
        if secret:
            text = text.replace(str(secret), "…")
    return SECRETS.sub("…", text).replace("\x00", "")[:ERROR_LENGTH]


def _worker() -> str:
    return "{host}:{pid}".format(**whereabouts())
