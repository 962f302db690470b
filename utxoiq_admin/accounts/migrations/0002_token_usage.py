"""What each token wrote, and why rows of it were rejected."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_service_tokens"),
    ]

    operations = [
        migrations.CreateModel(
            name="TokenRejection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("field", models.CharField(max_length=150)),
                ("reason", models.CharField(max_length=500)),
                ("about", models.CharField(max_length=250)),
                ("rows", models.BigIntegerField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                (
                    "token",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.servicetoken",
                    ),
                ),
            ],
            options={
                "db_table": "service_token_rejections",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("token", "field", "reason"), name="uq_token_rejection_reason"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TokenUsage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("accepted", models.BigIntegerField(default=0)),
                ("duplicate", models.BigIntegerField(default=0)),
                ("rejected", models.BigIntegerField(default=0)),
                (
                    "token",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.servicetoken",
                    ),
                ),
            ],
            options={
                "db_table": "service_token_usage",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("token", "hour"), name="uq_token_usage_hour")
                ],
            },
        ),
    ]
