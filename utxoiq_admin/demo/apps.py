from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "utxoiq_admin.demo"
    label = "demo"
