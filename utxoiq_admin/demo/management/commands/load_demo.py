"""`manage.py load_demo`: fill the embedded database with data that looks like the real platform."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from utxoiq_admin.demo import loading, removal
from utxoiq_admin.demo.models import DemoState, TakenOver


class Command(BaseCommand):
    help = "Load demo data into the embedded database, newest first, or remove it again (--clear)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=90, help="how far back the data reaches (default 90)")
        parser.add_argument(
            "--seed", type=int, default=1, help="the same seed gives the same data (default 1)"
        )
        parser.add_argument("--clear", action="store_true", help="remove all demo data, and nothing else")

    def handle(self, *_args: Any, **options: Any) -> None:
        begun = time.monotonic()
        self._phase = ""
        try:
            if options["clear"]:
                loading.refuse_elsewhere()
                removed = removal.remove_demo()
                self.stdout.write(f"{removed:,} demo rows removed in {time.monotonic() - begun:.1f} s.")
                return
            if not 1 <= options["days"] <= 366:
                raise CommandError("--days must be from 1 to 366.")
            state = loading.load_demo(days=options["days"], seed=options["seed"], report=self._report)
        except loading.DemoRefused as error:
            raise CommandError(str(error)) from error
        except (loading.DemoPresent, TakenOver) as outcome:
            # No failure: the data is there, or somebody wanted something else meanwhile.
            self.stdout.write(str(outcome))
            return
        self.stdout.write(f"Demo data: {state.rows:,} rows in {time.monotonic() - begun:.1f} s.")

    def _report(self, state: DemoState) -> None:
        if state.phase != self._phase:
            self._phase = state.phase
            self.stdout.write(f"{state.percent:3.0f} %  {state.phase or 'done'}")
            self.stdout.flush()
