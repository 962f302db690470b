"""Whatever writes `backfill_jobs`, by HTTP or SQL, is followed here: ledger, worker's row, samples and events.

All in the writer's own transaction and by statement, with transition tables. Every row that a trigger writes belongs to
one job, whose own row the writer has locked before: two writers of different jobs never meet, and two of the same job
have queued already. `backfill_ledger` has a row per job for that reason; readers take the union.

Three settings, local to a transaction and used up by its next statement, tell what a row cannot:
`utxoiq.actor` (through whom), `utxoiq.why`, and `utxoiq.act` (what they did, when it was no worker's report). With
`utxoiq.forget` on, a deletion takes the ledger and the events along: for demo data.
"""

from django.db import migrations

DONE = """
CREATE FUNCTION backfill_done(status text, first_block int, last_block int, at_block int) RETURNS int8multirange
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT int8multirange(int8range(first_block, CASE WHEN status = 'completed' THEN last_block::bigint + 1
    ELSE greatest(first_block::bigint, least(at_block::bigint, last_block::bigint + 1)) END))
$$;
"""

INSERTED = """
CREATE FUNCTION backfill_jobs_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  moment timestamptz := clock_timestamp();
  actor text := nullif(current_setting('utxoiq.actor', true), '');
  act text := nullif(current_setting('utxoiq.act', true), '');
  why text := coalesce(current_setting('utxoiq.why', true), '');
BEGIN
  PERFORM set_config('utxoiq.actor', '', true), set_config('utxoiq.act', '', true), set_config('utxoiq.why', '', true);
  INSERT INTO backfill_ledger AS known (job_id, job_type, done, failed)
    SELECT id, job_type, backfill_done(status, start_block, end_block, current_block), '{}' FROM new_rows
    ON CONFLICT (job_id) DO UPDATE SET job_type = excluded.job_type, done = known.done + excluded.done;
  INSERT INTO backfill_work (job_id, waits, changed_at, reported_at, moved_at, paused_at, ended_at)
    SELECT id, coalesce(act = 'start', false), moment,
           CASE WHEN status = 'running' AND act IS NULL THEN moment END,
           CASE WHEN status = 'running' AND act IS NULL THEN moment END,
           CASE WHEN status = 'paused' THEN moment END,
           CASE WHEN status IN ('completed', 'failed') THEN coalesce(completed_at, moment) END
    FROM new_rows ON CONFLICT (job_id) DO NOTHING;
  INSERT INTO backfill_samples (job_id, at, block, begins)
    SELECT id, moment, current_block, true FROM new_rows WHERE status = 'running' AND act IS NULL
    ON CONFLICT DO NOTHING;
  INSERT INTO backfill_events (job_id, at, kind, actor, detail)
    SELECT id, started_at, 'started', coalesce(actor, created_by, 'SQL, role ' || session_user), why FROM new_rows
    WHERE NOT EXISTS (SELECT FROM backfill_events known WHERE known.job_id = new_rows.id AND known.kind = 'started');
  RETURN NULL;
END $$;
"""

UPDATED = """
CREATE FUNCTION backfill_jobs_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  moment timestamptz := clock_timestamp();
  actor text := nullif(current_setting('utxoiq.actor', true), '');
  act text := nullif(current_setting('utxoiq.act', true), '');
  why text := coalesce(current_setting('utxoiq.why', true), '');
BEGIN
  PERFORM set_config('utxoiq.actor', '', true), set_config('utxoiq.act', '', true), set_config('utxoiq.why', '', true);
  INSERT INTO backfill_ledger AS known (job_id, job_type, done, failed)
    SELECT id, job_type, backfill_done(status, start_block, end_block, current_block), '{}' FROM new_rows
    ON CONFLICT (job_id) DO UPDATE SET job_type = excluded.job_type, done = known.done + excluded.done
      WHERE known.job_type <> excluded.job_type OR NOT known.done @> excluded.done;
  INSERT INTO backfill_samples (job_id, at, block, begins)
    SELECT job.id, moment, job.current_block, was.status <> 'running'
    FROM new_rows job JOIN old_rows was USING (id)
    WHERE (act IS NULL AND was.status = 'running' OR job.status = 'running' AND was.status <> 'running')
      AND (job.status <> was.status OR NOT EXISTS (
        SELECT FROM backfill_samples near WHERE near.job_id = job.id AND near.at > moment - interval '0.25 s'))
    ON CONFLICT DO NOTHING;
  -- What a person did is no report: it says nothing of the worker.
  UPDATE backfill_work AS known SET
    waits = known.waits AND act IS NOT NULL,
    lease_until = CASE WHEN act IS NULL AND known.lease IS NOT NULL THEN moment + interval '5 min'
      ELSE known.lease_until END,
    reported_at = CASE WHEN act IS NULL THEN moment ELSE known.reported_at END,
    moved_at = CASE WHEN job.current_block > was.current_block THEN moment ELSE known.moved_at END,
    changed_at = CASE WHEN job.status <> was.status THEN moment ELSE known.changed_at END,
    worked_seconds = known.worked_seconds + CASE WHEN act IS NULL AND was.status = 'running'
      THEN extract(epoch FROM moment - greatest(known.reported_at, known.changed_at)) ELSE 0 END,
    worked_blocks = known.worked_blocks + CASE WHEN act IS NULL AND was.status = 'running'
      THEN greatest(job.current_block - was.current_block, 0) ELSE 0 END,
    paused_at = CASE WHEN job.status = 'paused' THEN coalesce(known.paused_at, moment) END,
    ended_at = CASE WHEN job.status IN ('completed', 'failed')
      THEN coalesce(known.ended_at, job.completed_at, moment) END,
    cancelled_at = CASE WHEN act = 'cancel' THEN moment ELSE known.cancelled_at END
  FROM new_rows job JOIN old_rows was USING (id) WHERE known.job_id = job.id;
  INSERT INTO backfill_events (job_id, at, kind, actor, detail)
    SELECT job.id, moment,
           CASE WHEN act = 'cancel' THEN 'cancelled'
                WHEN job.status <> 'running' THEN job.status
                WHEN was.status = 'paused' THEN 'resumed' ELSE 'reopened' END,
           coalesce(actor, 'SQL, role ' || session_user),
           CASE WHEN why <> '' THEN why WHEN job.status = 'failed' THEN coalesce(left(job.error_message, 2000), '')
                ELSE '' END
    FROM new_rows job JOIN old_rows was USING (id) WHERE job.status <> was.status;
  RETURN NULL;
END $$;
"""

DELETED = """
CREATE FUNCTION backfill_jobs_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM backfill_samples WHERE job_id IN (SELECT id FROM old_rows);
  DELETE FROM backfill_work WHERE job_id IN (SELECT id FROM old_rows);
  IF current_setting('utxoiq.forget', true) = 'on' THEN
    DELETE FROM backfill_ledger WHERE job_id IN (SELECT id FROM old_rows);
    DELETE FROM backfill_events WHERE job_id IN (SELECT id FROM old_rows);
  END IF;
  RETURN NULL;
END $$;
"""

TRIGGERS = """
CREATE TRIGGER backfill_jobs_inserted AFTER INSERT ON backfill_jobs REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION backfill_jobs_inserted();
CREATE TRIGGER backfill_jobs_updated AFTER UPDATE ON backfill_jobs REFERENCING OLD TABLE AS old_rows
  NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION backfill_jobs_updated();
CREATE TRIGGER backfill_jobs_deleted AFTER DELETE ON backfill_jobs REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION backfill_jobs_deleted();
"""

# Both are written at every report: room on their pages keeps their indexes as they are.
ROOM = """
ALTER TABLE backfill_work SET (fillfactor = 70);
ALTER TABLE backfill_ledger SET (fillfactor = 70);
"""

# A job of before has no report that we know of; it is judged from now on.
FILL = """
INSERT INTO backfill_ledger (job_id, job_type, done, failed)
  SELECT id, job_type, backfill_done(status, start_block, end_block, current_block), '{}' FROM backfill_jobs;
INSERT INTO backfill_work (job_id, paused_at, ended_at)
  SELECT id, CASE WHEN status = 'paused' THEN now() END,
         CASE WHEN status IN ('completed', 'failed') THEN coalesce(completed_at, started_at) END FROM backfill_jobs;
INSERT INTO backfill_events (job_id, at, kind, actor)
  SELECT id, started_at, 'started', coalesce(created_by, 'unknown') FROM backfill_jobs;
"""
EMPTY = "TRUNCATE backfill_ledger, backfill_work, backfill_events, backfill_samples"

DROP = """
DROP FUNCTION backfill_jobs_inserted() CASCADE;
DROP FUNCTION backfill_jobs_updated() CASCADE;
DROP FUNCTION backfill_jobs_deleted() CASCADE;
DROP FUNCTION backfill_done(text, int, int, int);
"""


class Migration(migrations.Migration):
    dependencies = [("backfill", "0002_tracking")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL lock_timeout = '2s';" + DONE + INSERTED + UPDATED + DELETED + TRIGGERS, DROP
        ),
        migrations.RunSQL(ROOM, migrations.RunSQL.noop),
        migrations.RunSQL(FILL, EMPTY),
    ]
