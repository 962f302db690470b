"""Work for Celery: a row first, then a message with nothing but the row's id.

The message may be lost with the broker; the row is not. `core.tick` sends the messages of rows that still wait.
"""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models.functions import Now

from utxoiq_admin.core.models import TaskRun

logger = logging.getLogger(__name__)
MESSAGE_WAIT = timedelta(seconds=60)  # a row that waits longer gets another message; two of them do no harm
RESEND_BATCH = 100
SEND_TIMEOUT = 1.0  # seconds; the one who asked waits for it, and the tick would send the message anyway


def enqueue(task_name: str, *, args: dict[str, Any] | None = None, queue: str = "") -> TaskRun:
    """Have a worker call the task `task_name` with `args`, once the caller's transaction is committed."""
    run = TaskRun(name=task_name, args=args or {}, queue=queue)
    run.save(force_insert=True)
    transaction.on_commit(partial(send, run), robust=True)
    return run


def send(run: TaskRun) -> bool:
    """Send the message of a queued row; False, and a line in the log, when the broker did not take it."""
    try:
        # Bounds of its own: the worker's connections to the broker may wait longer than a person does.
        bounds = {"socket_timeout": SEND_TIMEOUT, "socket_connect_timeout": SEND_TIMEOUT, "max_retries": 0}
        options = {**current_app.conf.broker_transport_options, **bounds}
        with current_app.connection_for_write(transport_options=options) as broker:
            queue = run.queue or current_app.conf.task_default_queue
            current_app.send_task(run.name, args=[str(run.pk)], queue=queue, connection=broker, retry=False)
    except Exception as error:
        logger.warning("message_not_sent task=%s run=%s error=%r", run.name, run.pk, str(error))
        return False
    TaskRun.objects.filter(pk=run.pk).update(message_sent_at=Now())
    return True


def send_overdue(wait: timedelta = MESSAGE_WAIT) -> int:
    """Send the messages of rows that waited longer than `wait` for a worker; how many were sent.

    Ends at the first that the broker refuses: the others would wait for the same timeout one by one.
    """
    sent = 0
    for run in TaskRun.objects.message_overdue(wait)[:RESEND_BATCH]:
        if not send(run):
            break
        sent += 1
    return sent
