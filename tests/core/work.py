"""Tasks for the tests of real workers (`--include=tests.core.work`)."""

import time

from utxoiq_admin.core.task_runs import recorded


@recorded("tests.note")
def note() -> str:
    return "noted"


@recorded("tests.sleep")
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"
