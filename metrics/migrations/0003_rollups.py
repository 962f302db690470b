"""Hourly and daily rollups, the marks that say which of them are out of date, and what is sealed.

`metric_rollup_marks` has no unique key on purpose: with one, two writers of a series would wait for each other
until they commit, and two statements in each are a deadlock; with ON CONFLICT DO NOTHING an update would be lost.
"""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import BigIntegerField, DateField, DateTimeField, FloatField, IntegerField, UUIDField

SERIES = """
    service_name varchar(100) NOT NULL,
    metric_type varchar(50) NOT NULL,
    unit varchar(20) NOT NULL"""
FIGURES = """
    rows bigint NOT NULL,
    total double precision NOT NULL,
    lowest double precision NOT NULL,
    highest double precision NOT NULL,
    last_at timestamptz NOT NULL,
    bins int[] NOT NULL,
    bin_rows int[] NOT NULL"""

TABLES = f"""
SET LOCAL lock_timeout = '2s';
CREATE TABLE metric_rollup_marks ({SERIES}, hour timestamptz NOT NULL)
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- Serves the look of every chart for buckets that are out of date, and the refresher's order.
CREATE INDEX idx_rollup_marks_series ON metric_rollup_marks (service_name, metric_type, hour);
-- The bucket under way is written again and again: room on its page keeps its index as it is.
CREATE TABLE metric_rollup_hours ({SERIES}, hour timestamptz NOT NULL, {FIGURES},
    PRIMARY KEY (service_name, metric_type, hour, unit)) WITH (fillfactor = 85);
CREATE TABLE metric_rollup_days ({SERIES}, day date NOT NULL, {FIGURES},
    hour_rows bigint[] NOT NULL, hour_totals double precision[] NOT NULL,
    hour_lowest double precision[] NOT NULL, hour_highest double precision[] NOT NULL,
    PRIMARY KEY (service_name, metric_type, day, unit)) WITH (fillfactor = 85);
CREATE TABLE metric_sealed_days (day date PRIMARY KEY, sealed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE metric_late_rows (id uuid NOT NULL, "timestamp" timestamptz NOT NULL);
-- Serves the readers, by range, and the merge, by key.
CREATE INDEX idx_late_rows_time ON metric_late_rows ("timestamp", id);
-- One row that each sealing rewrites. A writer whose snapshot is older than its statement cannot see a new seal;
-- locking this row fails for it, as any change of a row that it read would.
CREATE TABLE metric_seal_clock (one boolean PRIMARY KEY CHECK (one), sealings bigint NOT NULL);
INSERT INTO metric_seal_clock VALUES (true, 0);
"""  # noqa: S608
DROP_TABLES = """
DROP TABLE metric_seal_clock, metric_late_rows, metric_sealed_days, metric_rollup_days, metric_rollup_hours,
  metric_rollup_marks
"""

# metric_bin: see metrics/sketch.py, whose numbers these are. Not STRICT, so that PostgreSQL can inline it.
# metric_total: a sum that cannot overflow. Finite rows may have an infinite sum, and PostgreSQL's answer to that is
# an error, which would stop the refresher for ever: sums of huge rows are kept scaled by 2^-200 and saturate.
FUNCTIONS = """
CREATE FUNCTION metric_bin(value float8) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN value > 0 THEN 20000 + ceil(ln(value) / 0.03922071315328133::float8)::int
              WHEN value < 0 THEN -20000 - ceil(ln(-value) / 0.03922071315328133::float8)::int
              ELSE 0 END
$$;
CREATE FUNCTION metric_total(usual float8, scaled float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN scaled IS NULL THEN coalesce(usual, 0)
    WHEN abs(whole) >= 1.118e248::float8 THEN sign(whole) * 1.797e308::float8
    ELSE whole * 1606938044258990275541962092341162602522202993782792835301376::float8 END
  FROM (SELECT scaled + CASE WHEN abs(usual) > 1e200::float8
    THEN usual / 1606938044258990275541962092341162602522202993782792835301376::float8 ELSE 0 END AS whole) AS sums
$$;
"""
DROP_FUNCTIONS = "DROP FUNCTION metric_total(float8, float8); DROP FUNCTION metric_bin(float8)"


def series(*rest: tuple[str, models.Field], key: str) -> list[tuple[str, models.Field]]:
    """State of a table of series; its key in Django's eyes (the marks have none in the database)."""
    names = ("service_name", "metric_type", key, "unit")
    return [
        (
            "pk",
            models.CompositePrimaryKey(*names, blank=True, editable=False, primary_key=True, serialize=False),
        ),
        ("service_name", models.CharField(max_length=100)),
        ("metric_type", models.CharField(max_length=50)),
        ("unit", models.CharField(max_length=20)),
        *rest,
    ]


def array(base: models.Field) -> models.Field:
    return django.contrib.postgres.fields.ArrayField(base_field=base, size=None)


def figures() -> list[tuple[str, models.Field]]:
    return [
        ("rows", BigIntegerField()),
        ("total", FloatField()),
        ("lowest", FloatField()),
        ("highest", FloatField()),
        ("last_at", DateTimeField()),
        ("bins", array(IntegerField())),
        ("bin_rows", array(IntegerField())),
    ]


class Migration(migrations.Migration):
    dependencies = [("metrics", "0002_notify")]
    operations = [
        migrations.RunSQL(
            TABLES,
            DROP_TABLES,
            state_operations=[
                migrations.CreateModel(
                    "RollupMark",
                    series(("hour", DateTimeField()), key="hour"),
                    options={"db_table": "metric_rollup_marks"},
                ),
                migrations.CreateModel(
                    "RollupHour",
                    series(("hour", DateTimeField()), *figures(), key="hour"),
                    options={"db_table": "metric_rollup_hours"},
                ),
                migrations.CreateModel(
                    "RollupDay",
                    series(
                        ("day", DateField()),
                        *figures(),
                        ("hour_rows", array(BigIntegerField(null=True))),
                        ("hour_totals", array(FloatField(null=True))),
                        ("hour_lowest", array(FloatField(null=True))),
                        ("hour_highest", array(FloatField(null=True))),
                        key="day",
                    ),
                    options={"db_table": "metric_rollup_days"},
                ),
                migrations.CreateModel(
                    "SealedDay",
                    [
                        ("day", DateField(primary_key=True, serialize=False)),
                        ("sealed_at", DateTimeField(db_default=models.functions.Now())),
                    ],
                    options={"db_table": "metric_sealed_days"},
                ),
                migrations.CreateModel(
                    "LateRow",
                    [
                        ("id", UUIDField(primary_key=True, serialize=False)),
                        ("timestamp", DateTimeField()),
                    ],
                    options={"db_table": "metric_late_rows"},
                ),
            ],
        ),
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
    ]
