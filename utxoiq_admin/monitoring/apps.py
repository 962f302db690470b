from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "utxoiq_admin.monitoring"
    label = "monitoring"
