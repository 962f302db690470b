"""A job that comes back from the archive ended when it ended; one that was reopened is neither ended nor cancelled.

Failed jobs have no time of their own in the table: for one that is inserted again, the event that outlived it has it.
"""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("backfill.migrations.0003_triggers")


def replaced(function: str, old: str, new: str) -> str:
    if function.count(old) != 1:
        raise ValueError(f"{old!r} does not stand once in the function that is replaced")
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(old, new)


def restored(function: str) -> str:
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


_EVENT = "(SELECT max(event.at) FROM backfill_events event WHERE event.job_id = new_rows.id AND event.kind {kinds})"
INSERTED = replaced(
    replaced(
        BEFORE.INSERTED,
        "CASE WHEN status IN ('completed', 'failed') THEN coalesce(completed_at, moment) END",
        "CASE WHEN status IN ('completed', 'failed') THEN coalesce(completed_at, "
        + _EVENT.format(kinds="IN ('completed', 'failed', 'cancelled')")
        + ", moment) END,\n           CASE WHEN status = 'failed' THEN "
        + _EVENT.format(kinds="= 'cancelled'")
        + " END",
    ),
    "reported_at, moved_at, paused_at, ended_at)",
    "reported_at, moved_at, paused_at, ended_at, cancelled_at)",
)
UPDATED = replaced(
    BEFORE.UPDATED,
    "cancelled_at = CASE WHEN act = 'cancel' THEN moment ELSE known.cancelled_at END",
    "cancelled_at = CASE WHEN act = 'cancel' THEN moment WHEN job.status = 'failed' THEN known.cancelled_at END,\n"
    "    stop_confirmed_at = CASE WHEN job.status IN ('completed', 'failed') THEN known.stop_confirmed_at END",
)


class Migration(migrations.Migration):
    dependencies = [("backfill", "0003_triggers")]
    operations = [
        migrations.RunSQL(INSERTED + UPDATED, restored(BEFORE.INSERTED) + restored(BEFORE.UPDATED)),
    ]
