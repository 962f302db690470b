"""An entry that was folded stays, marked as such: its job may come back from the archive, and then report blocks failed.

When a job is inserted whose entry was folded, it is counted by itself again and its type's fold is made anew of the
entries that are left. Folding and inserting meet in an advisory lock, shared by those who insert.
"""

import uuid
from importlib import import_module

from django.db import migrations, models

BEFORE = import_module("backfill.migrations.0004_ends_and_reopenings")
UNFOLD = """
  PERFORM pg_advisory_xact_lock_shared(7021007);  -- upkeep.FOLD_LOCK
  WITH back AS (
    UPDATE backfill_ledger SET folded = false WHERE folded AND job_id IN (SELECT id FROM new_rows) RETURNING job_type)
  SELECT array_agg(DISTINCT job_type) INTO returned FROM back;
  UPDATE backfill_ledger_folds fold SET done = coalesce((
      SELECT range_agg(piece) FROM backfill_ledger entry, unnest(entry.done) AS piece
      WHERE entry.job_type = fold.job_type AND entry.folded), '{}')
    WHERE fold.job_type = ANY(returned);
"""
FIRST = "  INSERT INTO backfill_ledger AS known"
LAST = "  why text := coalesce(current_setting('utxoiq.why', true), '');"
INSERTED = BEFORE.replaced(
    BEFORE.replaced(BEFORE.INSERTED, FIRST, UNFOLD + FIRST), LAST, LAST + "\n  returned text[];"
)
FORGET = "DELETE FROM backfill_ledger WHERE folded;"


def keep_old_folds(apps, schema_editor):
    """What was folded before is in no entry any more: an entry of no job keeps it."""
    entry, fold = (apps.get_model("backfill", name) for name in ("LedgerEntry", "LedgerFold"))
    entry.objects.bulk_create(
        entry(job_id=uuid.uuid4(), job_type=each.job_type, done=each.done, failed=[], folded=True)
        for each in fold.objects.all()
    )


class Migration(migrations.Migration):
    dependencies = [("backfill", "0004_ends_and_reopenings")]
    operations = [
        migrations.AddField("LedgerEntry", "folded", models.BooleanField(default=False, db_default=False)),
        migrations.RunPython(keep_old_folds, migrations.RunPython.noop),
        migrations.RunSQL(
            "SET LOCAL lock_timeout = '2s';" + INSERTED,
            FORGET + BEFORE.restored(BEFORE.INSERTED),
        ),
    ]
