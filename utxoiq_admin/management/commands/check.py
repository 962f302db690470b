"""Django's `check`, which tells the checks of the servers when they are asked for by their tag."""

from contextlib import nullcontext
from typing import Any

from django.core.management.commands.check import Command as DjangoCheck

from utxoiq_admin import service_checks


class Command(DjangoCheck):
    def handle(self, *app_labels: Any, **options: Any) -> None:
        named = service_checks.TAG in (options["tags"] or [])
        with service_checks.asked() if named else nullcontext():
            super().handle(*app_labels, **options)
