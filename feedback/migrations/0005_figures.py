"""Figures of each insight: `insight_figures`, and the changes that are not added to them yet.

Writers of one insight must not wait for each other, and two of them with two statements each must not end in a
deadlock: so no trigger touches a figure. It adds a row to `insight_figure_changes` for each insight that its statement
touched. Whoever reads adds those up, and one refresher adds them to the figures: see `feedback/figures.py`. A change
commits with its rows, so figures plus changes are exact at any moment, for any writer, in any snapshot.
"""

from django.db import migrations, models
from django.db.models.functions import Cast

CHANGES = "insight_figure_changes (insight_id, voices, ratings, stars, comments, flags, last_at)"

# Times are kept within what Python knows; 'epoch' stands for none.
FUNCTIONS = f"""
CREATE FUNCTION insight_figures_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO {CHANGES}
      SELECT insight_id, count(*), count(rating), coalesce(sum(rating), 0), count(comment), 0,
             greatest('epoch', least(max(updated_at), clock_timestamp()))
      FROM new_rows GROUP BY insight_id;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO {CHANGES}
      SELECT insight_id, -count(*), -count(rating), -coalesce(sum(rating), 0), -count(comment), 0, 'epoch'
      FROM old_rows GROUP BY insight_id;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO {CHANGES}
      SELECT insight_id, sum(n), sum(n * (rating IS NOT NULL)::int), coalesce(sum(n * rating), 0),
             sum(n * (comment IS NOT NULL)::int), 0,
             greatest('epoch', least(max(updated_at), clock_timestamp()))
      FROM (SELECT insight_id, 1 AS n, rating, comment, updated_at FROM new_rows UNION ALL
            SELECT insight_id, -1, rating, comment, NULL FROM old_rows) AS rows
      GROUP BY insight_id;
  ELSE
    INSERT INTO {CHANGES}
      SELECT insight_id, -sum(voices), -sum(ratings), -sum(stars), -sum(comments), 0, 'epoch'
      FROM (SELECT insight_id, voices, ratings, stars, comments FROM insight_figures UNION ALL
            SELECT insight_id, voices, ratings, stars, comments FROM insight_figure_changes) AS known
      GROUP BY insight_id;
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION insight_figures_follow_flags() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO {CHANGES}
      SELECT insight_id, 0, 0, 0, 0, count(*) FILTER (WHERE withdrawn_at IS NULL), max(flagged_at)
      FROM new_rows GROUP BY insight_id;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO {CHANGES}
      SELECT insight_id, 0, 0, 0, 0, -count(*) FILTER (WHERE withdrawn_at IS NULL), 'epoch'
      FROM old_rows GROUP BY insight_id;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO {CHANGES}
      SELECT insight_id, 0, 0, 0, 0, sum(n * (withdrawn_at IS NULL)::int),
             greatest('epoch', max(withdrawn_at) FILTER (WHERE n = 1))
      FROM (SELECT insight_id, 1 AS n, withdrawn_at FROM new_rows UNION ALL
            SELECT insight_id, -1, withdrawn_at FROM old_rows) AS rows
      GROUP BY insight_id;
  ELSE
    INSERT INTO {CHANGES}
      SELECT insight_id, 0, 0, 0, 0, -sum(flags), 'epoch'
      FROM (SELECT insight_id, flags FROM insight_figures UNION ALL
            SELECT insight_id, flags FROM insight_figure_changes) AS known
      GROUP BY insight_id;
  END IF;
  RETURN NULL;
END $$;
"""  # noqa: S608


def triggers(table: str, function: str) -> str:
    """The four of a table, named for it."""
    each = f"ON {table} %s FOR EACH STATEMENT EXECUTE FUNCTION {function}();\n"
    return "".join(
        f"CREATE TRIGGER {table}_figures_{event.lower()} AFTER {event} " + each % transition
        for event, transition in {
            "INSERT": "REFERENCING NEW TABLE AS new_rows",
            "UPDATE": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
            "DELETE": "REFERENCING OLD TABLE AS old_rows",
            "TRUNCATE": "",
        }.items()
    )


TRIGGERS = triggers("insight_feedback", "insight_figures_follow") + triggers(
    "insight_flags", "insight_figures_follow_flags"
)
DROP = "DROP FUNCTION insight_figures_follow() CASCADE; DROP FUNCTION insight_figures_follow_flags() CASCADE"

# What stands already comes as one change for each insight; writers wait meanwhile, for some seconds with millions of
# rows. The refresher adds them.
BRING_IN = f"""
INSERT INTO {CHANGES}
  SELECT insight_id, count(*), count(rating), coalesce(sum(rating), 0), count(comment), 0,
         greatest('epoch', least(max(updated_at), now()))
  FROM insight_feedback GROUP BY insight_id;
INSERT INTO {CHANGES}
  SELECT insight_id, 0, 0, 0, 0, count(*), max(flagged_at)
  FROM insight_flags WHERE withdrawn_at IS NULL GROUP BY insight_id;
"""  # noqa: S608

# No key: two writers of one insight never meet here.
CHANGES_TABLE = """
CREATE TABLE insight_figure_changes (
    insight_id varchar(100) NOT NULL,
    voices bigint NOT NULL, ratings bigint NOT NULL, stars bigint NOT NULL, comments bigint NOT NULL,
    flags bigint NOT NULL, last_at timestamptz NOT NULL)
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""

COUNTS = [(name, models.BigIntegerField()) for name in ("voices", "ratings", "stars", "comments", "flags")]


class Migration(migrations.Migration):
    dependencies = [("feedback", "0004_comments_index")]
    operations = [
        migrations.RunSQL(
            CHANGES_TABLE,
            "DROP TABLE insight_figure_changes",
            state_operations=[
                migrations.CreateModel(
                    "FigureChange",
                    [
                        *COUNTS,
                        ("last_at", models.DateTimeField()),
                        ("insight_id", models.CharField(max_length=100, primary_key=True, serialize=False)),
                    ],
                    options={"db_table": "insight_figure_changes"},
                )
            ],
        ),
        migrations.CreateModel(
            name="InsightFigures",
            fields=[
                *COUNTS,
                ("last_at", models.DateTimeField()),
                ("insight_id", models.CharField(max_length=100, primary_key=True, serialize=False)),
                (
                    "average",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Case(
                            models.When(
                                ratings__gt=0,
                                then=models.expressions.CombinedExpression(
                                    Cast("stars", models.FloatField()),
                                    "/",
                                    Cast("ratings", models.FloatField()),
                                ),
                            ),
                            default=None,
                        ),
                        output_field=models.FloatField(null=True),
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "insight figures",
                "db_table": "insight_figures",
                "indexes": [
                    models.Index(fields=["last_at", "insight_id"], name="idx_figures_last"),
                    models.Index(fields=["ratings", "insight_id"], name="idx_figures_ratings"),
                    models.Index(fields=["comments", "insight_id"], name="idx_figures_comments"),
                    models.Index(fields=["flags", "insight_id"], name="idx_figures_flags"),
                    models.Index(
                        condition=models.Q(("ratings__gte", 1)),
                        fields=["average", "insight_id"],
                        name="idx_figures_average_1",
                    ),
                    models.Index(
                        condition=models.Q(("ratings__gte", 5)),
                        fields=["average", "insight_id"],
                        name="idx_figures_average_5",
                    ),
                    models.Index(
                        condition=models.Q(("ratings__gte", 20)),
                        fields=["average", "insight_id"],
                        name="idx_figures_average_20",
                    ),
                    models.Index(
                        condition=models.Q(("flags", 0), ("voices", 0)),
                        fields=["insight_id"],
                        name="idx_figures_empty",
                    ),
                ],
            },
        ),
        migrations.RunSQL("SET LOCAL lock_timeout = '2s';" + FUNCTIONS + TRIGGERS, DROP),
        migrations.RunSQL(BRING_IN, migrations.RunSQL.noop),
    ]
