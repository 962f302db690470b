from django.apps import AppConfig


class RetentionConfig(AppConfig):
    name = "utxoiq_admin.retention"
    label = "retention"
