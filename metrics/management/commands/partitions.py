"""List the partitions of system_metrics, and make those that are missing."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat

from metrics import partitions


class Command(BaseCommand):
    help = "Makes the monthly partitions of system_metrics that are missing, then lists all of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what is missing and make nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            for month in partitions.missing():
                self.stdout.write(f"would make {partitions.partition_name(month)}")
        else:
            for name in partitions.ensure():
                self.stdout.write(f"made {name}")
        for part in partitions.listing():
            rows = "not yet analysed" if part.rows is None else f"about {part.rows:,} rows"
            size = filesizeformat(part.bytes).replace("\xa0", " ")
            self.stdout.write(f"{part.name}  {part.start:%Y-%m-%d} to {part.end:%Y-%m-%d}  {size}  {rows}")
