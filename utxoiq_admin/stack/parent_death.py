"""Loaded by the Celery worker (`--include`): its pool processes end with it, also after `kill -9`.

Celery's own pool processes wait on pipes that their siblings hold open too, so they outlive a killed parent.
"""

import os
from typing import Any

from celery.signals import worker_process_init

from utxoiq_admin.stack.processes import die_with_parent

WORKER = os.getpid()  # imported there, before it forks


@worker_process_init.connect
def end_with_the_worker(**_kwargs: Any) -> None:
    die_with_parent(WORKER)
