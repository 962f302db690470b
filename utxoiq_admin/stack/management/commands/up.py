"""`manage.py up`: one command from a clone to a running platform."""

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from utxoiq_admin.stack.processes import StackError
from utxoiq_admin.stack.steps import Options, Stack


def port_number(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no port: give a number from 1 to 65535, for example 8001."
        )
    return int(text)


class Command(BaseCommand):
    help = (
        "Start the servers that no setting points elsewhere, and everything that runs on them, until Ctrl-C."
    )
    requires_system_checks: list[str] = []  # `prepare` checks once the servers run

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--data-dir", type=Path, default=settings.DATA_DIR, help="where everything is kept"
        )
        parser.add_argument(
            "--port", type=port_number, default=8000, help="port of the web server on 127.0.0.1"
        )
        parser.add_argument("--no-demo", action="store_true", help="load no demo data into a new database")
        parser.add_argument("--reload", action="store_true", help="DEBUG on; restart when code changes")

    def handle(self, *_args: Any, **options: Any) -> None:
        chosen = Options(
            data_dir=options["data_dir"].expanduser().resolve(),
            port=options["port"],
            demo=not options["no_demo"],
            reload=options["reload"],
        )
        try:
            Stack(chosen, self._say).run()
        except StackError as error:
            raise CommandError(str(error)) from error

    def _say(self, line: str) -> None:
        # The terminal may be gone (`make run | head`); that must not cut an orderly stop short.
        with suppress(OSError):
            self.stdout.write(line)
            self.stdout.flush()
