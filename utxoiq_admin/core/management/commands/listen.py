"""Delivers the database's change notifications to the cache. Exactly one runs per platform."""

import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand

from utxoiq_admin.core.listener import Listener


class Command(BaseCommand):
    help = "Deliver change notifications from PostgreSQL to the cache, until SIGTERM or Ctrl-C."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        Listener().run()
