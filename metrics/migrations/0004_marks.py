"""The triggers of 0002 also mark the buckets that a statement touched, in the writer's own transaction.

For a sealed day no mark is left; a row that comes into one is named in `metric_late_rows` instead. Whether a day is
sealed is asked under a shared lock of the day, which sealing takes exclusively: a writer is either committed before
a day is sealed, and counted in it, or sees the seal. `utxoiq.no_marks` is for retention and restore, whose rows are
counted already.
"""

from importlib import import_module

from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION metric_rollups_mark(touched metric_rollup_marks[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  days date[] := ARRAY(SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date FROM unnest(touched) ORDER BY 1);
  sealed date[];
BEGIN
  PERFORM pg_advisory_xact_lock_shared(7021003, day - date '2000-01-01') FROM unnest(days) AS day;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    PERFORM FROM metric_seal_clock FOR SHARE;
  END IF;
  sealed := ARRAY(SELECT day FROM metric_sealed_days WHERE day = ANY(days));
  INSERT INTO metric_rollup_marks
    SELECT * FROM unnest(touched) WHERE (hour AT TIME ZONE 'UTC')::date <> ALL(sealed);
  RETURN cardinality(sealed) > 0;
END $$;
REVOKE EXECUTE ON FUNCTION metric_rollups_mark(metric_rollup_marks[]) FROM PUBLIC;

CREATE OR REPLACE FUNCTION system_metrics_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  touched metric_rollup_marks[];
  any_sealed boolean;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    touched := ARRAY(SELECT (service_name, metric_type, unit, hour)::metric_rollup_marks FROM (
      SELECT service_name, metric_type, unit, date_bin('1 hour', "timestamp", 'epoch') AS hour FROM old_rows UNION
      SELECT service_name, metric_type, unit, date_bin('1 hour', "timestamp", 'epoch') FROM new_rows) rows);
  ELSE
    touched := ARRAY(SELECT (service_name, metric_type, unit, hour)::metric_rollup_marks FROM (
      SELECT DISTINCT service_name, metric_type, unit, date_bin('1 hour', "timestamp", 'epoch') AS hour
      FROM changed_rows) rows);
  END IF;
  IF cardinality(touched) = 0 THEN
    RETURN NULL;
  END IF;
  PERFORM notify_changed('service', array_agg(service_name)) FROM (
    SELECT DISTINCT service_name FROM unnest(touched) LIMIT 101) changed;
  IF current_setting('utxoiq.no_marks', true) = 'on' THEN
    RETURN NULL;
  END IF;
  any_sealed := metric_rollups_mark(touched);
  IF any_sealed AND TG_OP = 'INSERT' THEN
    INSERT INTO metric_late_rows SELECT id, "timestamp" FROM changed_rows
      WHERE ("timestamp" AT TIME ZONE 'UTC')::date IN (SELECT day FROM metric_sealed_days);
  ELSIF any_sealed AND TG_OP = 'UPDATE' THEN
    -- A row that stood in the sealed day before is counted there, or named already.
    INSERT INTO metric_late_rows SELECT id, "timestamp" FROM new_rows n
      WHERE ("timestamp" AT TIME ZONE 'UTC')::date IN (SELECT day FROM metric_sealed_days)
        AND NOT EXISTS (SELECT FROM old_rows o WHERE o.id = n.id AND o."timestamp" = n."timestamp");
  END IF;
  RETURN NULL;
END $$;
"""
BEFORE = import_module("metrics.migrations.0002_notify").FUNCTION.replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)
BACK = BEFORE + "DROP FUNCTION metric_rollups_mark(metric_rollup_marks[])"

# Rows that are there already get their buckets from the first refresh.
MARK_ALL = """
INSERT INTO metric_rollup_marks SELECT DISTINCT service_name, metric_type, unit, date_bin('1 hour', "timestamp", 'epoch')
FROM system_metrics
"""


class Migration(migrations.Migration):
    dependencies = [("metrics", "0003_rollups")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL lock_timeout = '2s';" + FUNCTIONS, "SET LOCAL lock_timeout = '2s';" + BACK
        ),
        migrations.RunSQL(MARK_ALL, migrations.RunSQL.noop),
    ]
