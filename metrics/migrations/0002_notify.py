"""Whoever writes metrics, by HTTP or SQL, tells the change listener which services changed.

A statement trigger of the parent does not fire for a statement that names a partition, so each partition
carries the same triggers; `metrics/partitions.py` copies them from the parent to every new one.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION system_metrics_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    PERFORM notify_changed('service', array_agg(service_name)) FROM (
      SELECT service_name FROM old_rows UNION SELECT service_name FROM new_rows LIMIT 101) changed;
  ELSE
    PERFORM notify_changed('service', array_agg(service_name)) FROM (
      SELECT DISTINCT service_name FROM changed_rows LIMIT 101) changed;
  END IF;
  RETURN NULL;
END $$;
"""

# The parent and every partition that stands already.
TRIGGERS = """
DO $$
DECLARE target text;
BEGIN
  FOR target IN
    SELECT 'system_metrics' UNION ALL
    SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'system_metrics'::regclass
  LOOP
    EXECUTE format('CREATE TRIGGER system_metrics_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS '
      'changed_rows FOR EACH STATEMENT EXECUTE FUNCTION system_metrics_changed()', target);
    EXECUTE format('CREATE TRIGGER system_metrics_updated AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows '
      'NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION system_metrics_changed()', target);
    EXECUTE format('CREATE TRIGGER system_metrics_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS '
      'changed_rows FOR EACH STATEMENT EXECUTE FUNCTION system_metrics_changed()', target);
  END LOOP;
END $$;
"""

DROP = "DROP FUNCTION system_metrics_changed() CASCADE"


class Migration(migrations.Migration):
    dependencies = [("metrics", "0001_initial")]
    operations = [migrations.RunSQL(FUNCTION + TRIGGERS, DROP)]
