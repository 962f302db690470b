from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "utxoiq_admin.core"
    label = "core"
