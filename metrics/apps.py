from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MetricsConfig(AppConfig):
    name = "metrics"

    def ready(self) -> None:
        post_migrate.connect(make_partitions, sender=self, dispatch_uid="metrics.partitions")


def make_partitions(**kwargs: Any) -> None:
    """After every migrate: the window's partitions stand; nothing happens while the table is absent."""
    from django.db import connection

    from metrics import partitions

    if kwargs.get("using") == connection.alias and partitions.TABLE in connection.introspection.table_names():
        partitions.ensure()
