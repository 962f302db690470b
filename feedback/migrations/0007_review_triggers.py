"""Whoever changes a flag marks its insight; nobody changes or erases a decision.

What is there already is marked, and computed by the first refresh.
"""

from django.db import migrations

MARK = """
CREATE FUNCTION insight_flags_mark() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO review_marks SELECT insight_id FROM insight_reviews;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO review_marks SELECT insight_id FROM old_rows UNION SELECT insight_id FROM new_rows;
  ELSE
    INSERT INTO review_marks SELECT DISTINCT insight_id FROM changed_rows;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER insight_flags_mark_inserted AFTER INSERT ON insight_flags
  REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_mark();
CREATE TRIGGER insight_flags_mark_updated AFTER UPDATE ON insight_flags
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_mark();
CREATE TRIGGER insight_flags_mark_deleted AFTER DELETE ON insight_flags
  REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_mark();
CREATE TRIGGER insight_flags_mark_truncated AFTER TRUNCATE ON insight_flags
  FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_mark();
"""
DROP_MARK = """
DROP TRIGGER insight_flags_mark_inserted ON insight_flags;
DROP TRIGGER insight_flags_mark_updated ON insight_flags;
DROP TRIGGER insight_flags_mark_deleted ON insight_flags;
DROP TRIGGER insight_flags_mark_truncated ON insight_flags;
DROP FUNCTION insight_flags_mark();
"""

# The setting is for tests, which empty every table between them; it has to be set on the server.
KEEP = """
CREATE FUNCTION review_events_keep() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' AND current_setting('utxoiq.events_may_be_truncated', true) = 'on' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'A decision is never changed or erased. To take one back, undo it: that is an event of its own.'
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER review_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON review_events
  FOR EACH STATEMENT EXECUTE FUNCTION review_events_keep();
"""
DROP_KEEP = "DROP TRIGGER review_events_keep ON review_events; DROP FUNCTION review_events_keep();"

BRING_IN = "INSERT INTO review_marks SELECT DISTINCT insight_id FROM insight_flags"


class Migration(migrations.Migration):
    dependencies = [("feedback", "0006_reviews")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL lock_timeout = '2s';" + MARK, "SET LOCAL lock_timeout = '2s';" + DROP_MARK
        ),
        migrations.RunSQL(KEEP, DROP_KEEP),
        migrations.RunSQL(BRING_IN, migrations.RunSQL.noop),
    ]
