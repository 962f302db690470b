"""Django's `check`, which learns the tag `services` only when somebody asks for it."""

from contextlib import nullcontext
from typing import Any

from django.core.management.commands.check import Command as DjangoCheck

from utxoiq_admin import service_checks


class Command(DjangoCheck):
    def handle(self, *app_labels: Any, **options: Any) -> None:
        asked = options["list_tags"] or service_checks.TAG in (options["tags"] or [])
        with service_checks.registered() if asked else nullcontext():
            super().handle(*app_labels, **options)
