"""What `up` does to the database before it serves, in one process because starting Python costs a second."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand

from utxoiq_admin.stack.locations import DataFolder, write_private


class Command(BaseCommand):
    help = "Check the settings, migrate the tables, and make the first administrator (part of `up`)."

    def handle(self, *_args: Any, **_options: Any) -> None:
        # The checks that need no network ran already, as for every command.
        if checks.registry.registry.tag_exists("services"):
            call_command("check", tags=["services"])
        call_command("migrate", interactive=False, verbosity=1, skip_checks=True)
        self._first_administrator()

    def _first_administrator(self) -> None:
        """Nobody can sign in to a new database: make `admin`; only the owner reads its password."""
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            return
        path = DataFolder(settings.DATA_DIR).admin_password
        if not path.exists():  # it is written first: a user whose password is nowhere would be of no use
            write_private(path, secrets.token_urlsafe(12) + "\n")
        users.create_superuser("admin", "", path.read_text().strip())
        self.stdout.write(f"Made the administrator `admin`; the password is in {path}")
