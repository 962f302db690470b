"""TRUNCATE marks the buckets that it empties, and tells the caches: it fires none of the triggers of 0004.

On each partition, which knows its month by its name; TRUNCATE of the parent reaches them all. Sealed days stay as they
are, as for any other writer.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION system_metrics_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  month text[] := regexp_match(TG_TABLE_NAME, '^system_metrics_(\\d{4})_(\\d{2})$');
  begins timestamptz;
BEGIN
  IF month IS NULL THEN
    RETURN NULL;
  END IF;
  begins := make_timestamptz(month[1]::int, month[2]::int, 1, 0, 0, 0, 'UTC');
  PERFORM notify_changed('service', ARRAY['*']);
  INSERT INTO metric_rollup_marks (service_name, metric_type, unit, hour)
    SELECT service_name, metric_type, unit, hour FROM metric_rollup_hours
    WHERE hour >= begins AND hour < (begins AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
      AND (hour AT TIME ZONE 'UTC')::date NOT IN (SELECT day FROM metric_sealed_days);
  RETURN NULL;
END $$;
"""

# The parent too, from which a new partition takes its triggers.
TRIGGERS = """
DO $$
DECLARE target text;
BEGIN
  FOR target IN
    SELECT 'system_metrics' UNION ALL
    SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'system_metrics'::regclass
  LOOP
    EXECUTE format('CREATE TRIGGER system_metrics_truncated AFTER TRUNCATE ON %s FOR EACH STATEMENT '
      'EXECUTE FUNCTION system_metrics_truncated()', target);
  END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("metrics", "0007_any_number")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL lock_timeout = '2s';" + FUNCTION, "DROP FUNCTION system_metrics_truncated() CASCADE"
        ),
        migrations.RunSQL(TRIGGERS, migrations.RunSQL.noop),
    ]
