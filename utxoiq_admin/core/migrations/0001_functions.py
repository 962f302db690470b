"""SQL functions that every table of ours may use."""

from django.db import migrations

# PostgreSQL has uuidv7() only since 18; this one serves 14 to 18. A random UUID gets the Unix milliseconds as
# its first 48 bits, and its version (bits 52 and 53 set turn 4 into 7).
UUID7 = """
CREATE FUNCTION uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid()) PLACING
            substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
    52, 1), 53, 1), 'hex')::uuid
$$
"""

# Design section 6.3: what changed is told by NOTIFY in the writer's own transaction. A statement that touches
# more than 100 keys says "all" once instead.
NOTIFY_CHANGED = """
CREATE FUNCTION notify_changed(kind text, keys text[]) RETURNS void LANGUAGE sql VOLATILE AS $$
  SELECT pg_notify('utxoiq_changed', kind || ':' || key)
  FROM unnest(CASE WHEN cardinality(keys) > 100 THEN ARRAY['*'] ELSE keys END) AS key
$$
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.RunSQL(UUID7, "DROP FUNCTION uuid7()"),
        migrations.RunSQL(NOTIFY_CHANGED, "DROP FUNCTION notify_changed(text, text[])"),
    ]
