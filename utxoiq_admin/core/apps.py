from celery.signals import worker_init
from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "utxoiq_admin.core"
    label = "core"

    def ready(self) -> None:
        from utxoiq_admin.core import heartbeats

        worker_init.connect(heartbeats.watch_worker, dispatch_uid="utxoiq_admin.core.heartbeats")
