from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "utxoiq_admin.accounts"
    label = "accounts"
