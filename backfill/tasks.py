"""Celery's door to the upkeep of this app's tables."""

from backfill import upkeep
from utxoiq_admin.core.task_runs import recorded


@recorded("backfill.tidy")
def tidy() -> str:
    """Every 10 minutes: samples thin out, entries of archived jobs fold together, their old events go."""
    thinned, folded, forgotten = upkeep.thin_samples(), upkeep.fold_ledger(), upkeep.forget_events()
    return f"{thinned} samples thinned, {folded} types folded, {forgotten} old events removed"
