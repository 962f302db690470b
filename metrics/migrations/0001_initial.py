"""The partitioned table. Django cannot make one, so SQL does and Django is told what it would have made."""

from django.db import migrations, models

from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7

CREATE = """
CREATE TABLE system_metrics (
    id uuid NOT NULL DEFAULT uuid7(),
    service_name varchar(100) NOT NULL,
    metric_type varchar(50) NOT NULL,
    metric_value double precision NOT NULL,
    unit varchar(20) NOT NULL,
    "timestamp" timestamptz NOT NULL DEFAULT now(),
    metric_metadata jsonb,
    PRIMARY KEY (id, "timestamp"),
    CONSTRAINT chk_metric_value_finite
        CHECK (metric_value > '-Infinity'::float8 AND metric_value < 'Infinity'::float8)
) PARTITION BY RANGE ("timestamp");
CREATE INDEX idx_metrics_service_time ON system_metrics (service_name, "timestamp");
CREATE INDEX idx_metrics_type_time ON system_metrics (metric_type, "timestamp");
CREATE INDEX idx_metrics_timestamp ON system_metrics ("timestamp");
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [("core", "0001_functions")]
    operations = [
        migrations.RunSQL(
            CREATE,
            "DROP TABLE system_metrics",
            state_operations=[
                migrations.CreateModel(
                    name="SystemMetric",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_default=UUID7(), default=uuid7, primary_key=True, serialize=False
                            ),
                        ),
                        ("service_name", models.CharField(max_length=100)),
                        ("metric_type", models.CharField(max_length=50)),
                        ("metric_value", models.FloatField()),
                        ("unit", models.CharField(max_length=20)),
                        ("timestamp", models.DateTimeField(db_default=DatabaseNow())),
                        ("metric_metadata", models.JSONField(blank=True, null=True)),
                    ],
                    options={
                        "verbose_name": "metric",
                        "db_table": "system_metrics",
                        "ordering": ["-timestamp", "-id"],
                        "indexes": [
                            models.Index(
                                fields=["service_name", "timestamp"], name="idx_metrics_service_time"
                            ),
                            models.Index(fields=["metric_type", "timestamp"], name="idx_metrics_type_time"),
                            models.Index(fields=["timestamp"], name="idx_metrics_timestamp"),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("metric_value__gt", float("-inf")), ("metric_value__lt", float("inf"))
                                ),
                                name="chk_metric_value_finite",
                            )
                        ],
                    },
                )
            ],
        )
    ]
