"""`manage.py migrate`, with each migration and the word that it was applied in one transaction.

Django notes a migration that leaves indexes or keys to its end in a transaction of its own, after it. A process killed
in between leaves tables that the next start tries to make again, and fails (django/db/migrations/executor.py).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.core.management.commands import migrate
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.migration import Migration


class WholeMigrations(MigrationExecutor):
    """Those that cannot run in a transaction (CREATE INDEX CONCURRENTLY) stay as they are."""

    def _whole(self, migration: Migration) -> AbstractContextManager[Any]:
        return transaction.atomic(self.connection.alias) if migration.atomic else nullcontext()

    def apply_migration(self, state: Any, migration: Migration, *args: Any, **kwargs: Any) -> Any:
        with self._whole(migration):
            return super().apply_migration(state, migration, *args, **kwargs)

    def unapply_migration(self, state: Any, migration: Migration, *args: Any, **kwargs: Any) -> Any:
        with self._whole(migration):
            return super().unapply_migration(state, migration, *args, **kwargs)


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        setattr(migrate, "MigrationExecutor", WholeMigrations)  # noqa: B010 -- it has no other way to be given one
        super().handle(*args, **options)
