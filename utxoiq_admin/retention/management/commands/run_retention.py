"""Run retention here and now, or say what it would do."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from utxoiq_admin.core.display import count_text
from utxoiq_admin.core.leases import LeaseLost
from utxoiq_admin.retention import runs, services
from utxoiq_admin.retention.models import Run
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.preview import TablePreview, preview


def moment(text: str) -> datetime:
    """A moment as people type it; without a zone it is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Archives, verifies and deletes rows that are older than their table's period; see docs/retention.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--now", type=moment, help="take this moment (UTC) for now: 2027-03-01T02:00")
        parser.add_argument(
            "--table", action="append", choices=list(POLICIES), help="only this table (repeatable)"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            for each in preview(now=options["now"] or timezone.now(), tables=options["table"]):
                self.stdout.write(in_words(each))
            return
        run, new = runs.request(
            trigger=Run.Trigger.COMMAND,
            by="manage.py run_retention",
            tables=options["table"] or (),
            clock=options["now"],
            send=False,
        )
        if not new and (options["now"] or options["table"]):
            raise CommandError(
                f"Another run is {run.state} since {run.requested_at:%H:%M:%S} UTC. Wait for its end."
            )
        try:
            outcome = services.perform(run_id=run.pk)
        except (services.RunFailed, LeaseLost) as error:
            raise CommandError(str(error)) from error
        run.refresh_from_db()
        if run.state == run.State.SKIPPED:
            raise CommandError(f"Nothing was done. {run.error}")
        self.stdout.write(outcome)


def in_words(each: TablePreview) -> str:
    """One table's preview in a line."""
    if not each.does_something:
        return f"{each.table}: nothing is due (rows before {each.cutoff:%Y-%m-%d} would be)"
    rows = count_text(each.rows, exact=True) if each.exact else f"more than {each.rows:,}"
    parts = []
    if each.rows and each.first_at and each.last_at:
        parts.append(
            f"{rows} rows from {each.first_at:%Y-%m-%d} to {each.last_at:%Y-%m-%d} to archive and delete"
        )
    if each.to_finish:
        parts.append(f"{each.to_finish:,} objects whose rows leave the table")
    if each.objects_to_remove:
        parts.append(f"{each.objects_to_remove:,} objects to remove from the archive")
    return f"{each.table}: {'; '.join(parts)}"
