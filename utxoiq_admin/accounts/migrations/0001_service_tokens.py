"""Tokens with which platform services are let in."""

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models

import utxoiq_admin.core.defaults


class Migration(migrations.Migration):
    initial = True

    dependencies = [("core", "0001_functions")]

    operations = [
        migrations.CreateModel(
            name="ServiceToken",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=utxoiq_admin.core.defaults.UUID7(),
                        default=utxoiq_admin.core.defaults.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="The service that will use it, such as web-api.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[\\w.\\- ]+\\Z", "Use letters, digits, spaces and . _ - only."
                            )
                        ],
                    ),
                ),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("prefix", models.CharField(editable=False, max_length=20)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40), size=None
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=utxoiq_admin.core.defaults.DatabaseNow(), editable=False),
                ),
                ("created_by", models.CharField(editable=False, max_length=150)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("revoked_by", models.CharField(blank=True, editable=False, max_length=150, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "service token",
                "db_table": "service_tokens",
                "ordering": ["name"],
                "default_permissions": ("add", "change", "view"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("name",),
                        name="uq_service_token_name",
                        violation_error_message="There is a token of this name already.",
                    ),
                    models.UniqueConstraint(fields=("digest",), name="uq_service_token_digest"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "scopes__contained_by",
                                [
                                    "metrics:write",
                                    "metrics:read",
                                    "feedback:write",
                                    "feedback:read",
                                    "backfill:write",
                                    "backfill:read",
                                    "monitoring:read",
                                    "retention:run",
                                ],
                            ),
                            ("scopes__len__gt", 0),
                        ),
                        name="chk_service_token_scopes",
                        violation_error_message="Scopes are one or more of: metrics:write, metrics:read, feedback:write, feedback:read, backfill:write, backfill:read, monitoring:read, retention:run.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("revoked_at", None), ("revoked_by", None)),
                            models.Q(("revoked_at__isnull", False), ("revoked_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="chk_service_token_revoked",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expires_at", None), ("expires_at__gt", models.F("created_at")), _connector="OR"
                        ),
                        name="chk_service_token_expires",
                        violation_error_message="The expiry lies in the past.",
                    ),
                ],
            },
        ),
    ]
