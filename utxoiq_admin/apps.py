"""The top floor as Django apps: the admin site of ours, and the joints (roles)."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class OperationsAdminConfig(AdminConfig):
    """Django's admin with our own site."""

    default_site = "utxoiq_admin.site.OperationsSite"
    default = False


class PlatformConfig(AppConfig):
    name = "utxoiq_admin"
    label = "platform"

    def ready(self) -> None:
        from utxoiq_admin import annotations, checks  # noqa: F401  (checks registers itself)
        from utxoiq_admin.roles import sync_roles

        annotations.register_all()
        post_migrate.connect(sync_roles, sender=self, dispatch_uid="utxoiq_admin.roles")
