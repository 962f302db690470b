"""Whoever writes feedback, by HTTP or SQL, tells the change listener which insights changed."""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION insight_feedback_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    PERFORM notify_changed('insight', array_agg(insight_id)) FROM (
      SELECT insight_id FROM old_rows UNION SELECT insight_id FROM new_rows LIMIT 101) changed;
  ELSE
    PERFORM notify_changed('insight', array_agg(insight_id)) FROM (
      SELECT DISTINCT insight_id FROM changed_rows LIMIT 101) changed;
  END IF;
  RETURN NULL;
END $$;
"""

TRIGGERS = """
CREATE TRIGGER insight_feedback_inserted AFTER INSERT ON insight_feedback
  REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION insight_feedback_changed();
CREATE TRIGGER insight_feedback_updated AFTER UPDATE ON insight_feedback
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION insight_feedback_changed();
CREATE TRIGGER insight_feedback_deleted AFTER DELETE ON insight_feedback
  REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION insight_feedback_changed();
"""

DROP = """
DROP TRIGGER insight_feedback_inserted ON insight_feedback;
DROP TRIGGER insight_feedback_updated ON insight_feedback;
DROP TRIGGER insight_feedback_deleted ON insight_feedback;
DROP FUNCTION insight_feedback_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("feedback", "0001_initial")]
    operations = [migrations.RunSQL(FUNCTION + TRIGGERS, DROP)]
