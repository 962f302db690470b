from django.apps import AppConfig


class StackConfig(AppConfig):
    name = "utxoiq_admin.stack"
    label = "stack"
