"""Bring the rollups of system_metrics up to date, or compare them with the raw rows."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metrics.rollup_verify import verify
from metrics.rollups import refresh

SHOWN = 20


class Command(BaseCommand):
    help = "Brings the rollups up to date. --verify compares them with the raw rows instead, --repair mends them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--verify", action="store_true", help="compare with the raw rows; fails on a difference"
        )
        parser.add_argument("--repair", action="store_true", help="with --verify: compute again what differs")
        parser.add_argument("--sample", type=int, metavar="DAYS", help="compare only so many days, by chance")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["repair"] and not options["verify"]:
            raise CommandError("--repair mends what --verify finds: give both.")
        if not options["verify"]:
            done = refresh()
            self.stdout.write(f"took {done.marks:,} marks, computed {done.buckets:,} buckets")
            return
        found = verify(now=timezone.now(), sample=options["sample"], repair=options["repair"])
        for difference in found.differences[:SHOWN]:
            self.stdout.write(str(difference))
        count = f"{len(found.differences):,} buckets differ, {len(found.days)} days compared"
        if found.differences and not options["repair"]:
            raise CommandError(f"{count}. Mend them with `manage.py rollups --verify --repair`.")
        self.stdout.write(f"{count}; mended" if found.differences else count)
