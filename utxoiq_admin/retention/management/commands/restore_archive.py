"""Bring rows back from the archive."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils import timezone

from utxoiq_admin.core.leases import LeaseHeld
from utxoiq_admin.retention.management.commands.run_retention import moment
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.proof import Damaged
from utxoiq_admin.retention.restoring import NotRestorable, restore
from utxoiq_admin.retention.storage import StorageFailed

HELD_DAYS = 7


class Command(BaseCommand):
    help = "Brings archived rows back into their table, where they stay until a date."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", nargs="*", help="ids or keys of objects, as /archives/ shows them")
        parser.add_argument(
            "--table", choices=list(POLICIES), help="with --from and --to: all its objects of a time"
        )
        parser.add_argument(
            "--from", dest="start", type=moment, help="objects with rows from this moment (UTC) on"
        )
        parser.add_argument("--to", dest="end", type=moment, help="and before this one")
        parser.add_argument(
            "--until", type=moment, help=f"hold the rows until then; default: {HELD_DAYS} days from now"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        until = options["until"] or now + timedelta(days=HELD_DAYS)
        for archive in self._chosen(options):
            try:
                done = restore(archive=archive, until=until, by="manage.py restore_archive", now=now)
            except (NotRestorable, Damaged, StorageFailed, LeaseHeld) as error:
                raise CommandError(f"{archive.key}: {error}") from error
            self.stdout.write(f"{archive.key}, until {until:%Y-%m-%d %H:%M} UTC: {done.in_words()}")

    def _chosen(self, options: dict[str, Any]) -> list[Archive]:
        if options["archive"]:
            return [_named(text) for text in options["archive"]]
        if not (options["table"] and options["start"] and options["end"]):
            raise CommandError("Name objects, or give --table with --from and --to.")
        found = Archive.objects.with_object().filter(
            table=options["table"], last_at__gte=options["start"], first_at__lt=options["end"]
        )
        chosen = list(found.exclude(state=Archive.State.VERIFIED).order_by("first_at", "id"))
        if not chosen:
            raise CommandError("No object of that time can be restored; /archives/ lists them all.")
        return chosen


def _named(text: str) -> Archive:
    is_id = len(text.replace("-", "")) == 32 and "/" not in text
    found = Archive.objects.filter(Q(pk=text) if is_id else Q(key=text)).first()
    if found is None:
        raise CommandError(f"No object {text}; /archives/ lists them all.")
    return found
