"""Flags get a time of their own: `insight_flags`, kept by statement triggers for whoever writes `insight_feedback`.

No two transactions ever keep one pair (insight, user) at once: whoever fires a trigger holds the lock of the pair's
row, or of its place in `uq_insight_user_feedback`. So these triggers wait for nobody that their statement did not
wait for already, and add no deadlock.
"""

from django.db import migrations, models
from django.db.models import Q

import utxoiq_admin.core.defaults

# What leaves and what comes is gathered into arrays first. A plan kept from a statement of one row would join the
# rows of a bulk load in a nested loop; EXCEPT never does, and behind unnest() an index always serves.
FUNCTION = """
CREATE FUNCTION insight_flags_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  at timestamptz := clock_timestamp();  -- after every wait: a pair's times never run backwards
  insights text[];
  users text[];
  types text[];
  reasons text[];
  times timestamptz[];
BEGIN
  -- Retention's deletions withdraw nothing, and what restore puts back was never withdrawn.
  IF current_setting('utxoiq.no_marks', true) = 'on' THEN
    RETURN NULL;
  END IF;

  IF TG_OP = 'TRUNCATE' THEN
    UPDATE insight_flags SET withdrawn_at = at WHERE withdrawn_at IS NULL;
    PERFORM notify_changed('insight', ARRAY['*']);
    RETURN NULL;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg(insight_id), array_agg(user_id) INTO insights, users
      FROM old_rows WHERE flag_type IS NOT NULL;
  ELSIF TG_OP = 'UPDATE' THEN
    SELECT array_agg(insight_id), array_agg(user_id) INTO insights, users FROM (
      SELECT insight_id, user_id FROM old_rows WHERE flag_type IS NOT NULL EXCEPT
      SELECT insight_id, user_id FROM new_rows WHERE flag_type IS NOT NULL) AS lost;
  END IF;
  IF insights IS NOT NULL THEN
    UPDATE insight_flags f SET withdrawn_at = at FROM unnest(insights, users) AS lost(insight_id, user_id)
      WHERE f.insight_id = lost.insight_id AND f.user_id = lost.user_id AND f.withdrawn_at IS NULL;
  END IF;

  IF TG_OP = 'INSERT' THEN
    -- A row may come with its history: its flag is as old as the row's last change, within what Python knows as time.
    SELECT array_agg(insight_id), array_agg(user_id), array_agg(flag_type), array_agg(flag_reason),
           array_agg(greatest('epoch', least(updated_at, at)))
      INTO insights, users, types, reasons, times FROM new_rows WHERE flag_type IS NOT NULL;
  ELSIF TG_OP = 'UPDATE' THEN
    SELECT array_agg(insight_id), array_agg(user_id), array_agg(flag_type), array_agg(flag_reason), array_agg(at)
      INTO insights, users, types, reasons, times FROM (
      SELECT insight_id, user_id, flag_type, flag_reason FROM new_rows WHERE flag_type IS NOT NULL EXCEPT
      SELECT insight_id, user_id, flag_type, flag_reason FROM old_rows) AS changed;
  END IF;
  IF types IS NOT NULL THEN
    UPDATE insight_flags f SET withdrawn_at = at
      FROM unnest(insights, users, types) AS came(insight_id, user_id, flag_type)
      WHERE f.insight_id = came.insight_id AND f.user_id = came.user_id AND f.withdrawn_at IS NULL
        AND f.flag_type <> came.flag_type;
    -- The same flag again is no new flag; its reason may be a better one.
    INSERT INTO insight_flags AS f (insight_id, user_id, flag_type, flag_reason, flagged_at)
      SELECT * FROM unnest(insights, users, types, reasons, times)
      ON CONFLICT (insight_id, user_id) WHERE withdrawn_at IS NULL
      DO UPDATE SET flag_reason = excluded.flag_reason WHERE f.flag_reason IS DISTINCT FROM excluded.flag_reason;
  END IF;
  RETURN NULL;
END $$;
"""

TRIGGERS = """
CREATE TRIGGER insight_feedback_flags_inserted AFTER INSERT ON insight_feedback
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_follow();
CREATE TRIGGER insight_feedback_flags_updated AFTER UPDATE ON insight_feedback
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_follow();
CREATE TRIGGER insight_feedback_flags_deleted AFTER DELETE ON insight_feedback
  REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_follow();
CREATE TRIGGER insight_feedback_flags_truncated AFTER TRUNCATE ON insight_feedback
  FOR EACH STATEMENT EXECUTE FUNCTION insight_flags_follow();
"""

DROP = """
DROP TRIGGER insight_feedback_flags_inserted ON insight_feedback;
DROP TRIGGER insight_feedback_flags_updated ON insight_feedback;
DROP TRIGGER insight_feedback_flags_deleted ON insight_feedback;
DROP TRIGGER insight_feedback_flags_truncated ON insight_feedback;
DROP FUNCTION insight_flags_follow();
"""

# When a flag was set that stands already nobody knows: at its row's last change it stood. Writers wait from the
# making of the triggers to the end of the migration, so none is missed and none is brought in twice.
BRING_IN = """
INSERT INTO insight_flags (insight_id, user_id, flag_type, flag_reason, flagged_at)
SELECT insight_id, user_id, flag_type, flag_reason, greatest('epoch', least(updated_at, now()))
FROM insight_feedback WHERE flag_type IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("feedback", "0002_notify")]
    operations = [
        migrations.CreateModel(
            name="InsightFlag",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=utxoiq_admin.core.defaults.UUID7(),
                        default=utxoiq_admin.core.defaults.uuid7,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("insight_id", models.CharField(max_length=100)),
                ("user_id", models.CharField(max_length=100)),
                ("flag_type", models.CharField(max_length=50)),
                ("flag_reason", models.TextField(blank=True, null=True)),
                ("flagged_at", models.DateTimeField(db_default=utxoiq_admin.core.defaults.DatabaseNow())),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "flag",
                "db_table": "insight_flags",
                "indexes": [
                    models.Index(fields=["insight_id", "flagged_at"], name="idx_flags_insight_time"),
                    models.Index(fields=["user_id", "flagged_at"], name="idx_flags_user_time"),
                    models.Index(fields=["flagged_at"], include=("flag_type",), name="idx_flags_time"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(withdrawn_at=None),
                        fields=("insight_id", "user_id"),
                        name="uq_flag_standing",
                    ),
                    models.CheckConstraint(
                        condition=Q(withdrawn_at=None) | Q(withdrawn_at__gte=models.F("flagged_at")),
                        name="chk_flag_withdrawn_after",
                    ),
                ],
            },
        ),
        migrations.RunSQL("SET LOCAL lock_timeout = '2s';" + FUNCTION + TRIGGERS, DROP),
        migrations.RunSQL(BRING_IN, migrations.RunSQL.noop),
    ]
