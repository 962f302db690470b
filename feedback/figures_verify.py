"""Do the figures say what the rows say? A trigger that somebody switched off leaves no change behind."""

from dataclasses import dataclass

from django.db import connection

from feedback.figures import COUNTS

SAMPLE = 2_000  # insights a night: with a hundred rows each about a second

_NAMES = ", ".join(COUNTS)
# Some of those that have figures, and some that have rows: figures may be missing altogether.
_CHOSEN = """
  (SELECT insight_id FROM insight_figures ORDER BY random() LIMIT %(sample)s) UNION
  (SELECT insight_id FROM insight_feedback TABLESAMPLE SYSTEM (%(percent)s) LIMIT %(sample)s)
"""
# One statement: rows, figures and changes are of one moment, and what differs is mended by a change like any other.
_MEND = f"""
WITH chosen AS MATERIALIZED ({_CHOSEN}),
known AS (
  SELECT insight_id, {", ".join(f"sum({name})::bigint AS {name}" for name in COUNTS)} FROM (
    SELECT insight_id, {_NAMES} FROM insight_figures UNION ALL
    SELECT insight_id, {_NAMES} FROM insight_figure_changes) AS both_kinds
  WHERE insight_id IN (SELECT insight_id FROM chosen) GROUP BY insight_id),
counted AS (
  SELECT c.insight_id, rows.*, flagged.flags FROM chosen c
  CROSS JOIN LATERAL (
    SELECT count(*) AS voices, count(rating) AS ratings, coalesce(sum(rating), 0) AS stars,
           count(comment) AS comments, max(updated_at) AS last_at
    FROM insight_feedback f WHERE f.insight_id = c.insight_id) AS rows
  CROSS JOIN LATERAL (
    SELECT count(*) AS flags FROM insight_flags g
    WHERE g.insight_id = c.insight_id AND g.withdrawn_at IS NULL) AS flagged),
differing AS (
  SELECT insight_id, {", ".join(f"t.{name} - coalesce(k.{name}, 0) AS {name}" for name in COUNTS)},
         greatest('epoch', least(t.last_at, clock_timestamp())) AS last_at
  FROM counted t LEFT JOIN known k USING (insight_id)
  WHERE ({", ".join(f"t.{name}" for name in COUNTS)}) <> ({", ".join(f"coalesce(k.{name}, 0)" for name in COUNTS)})),
mended AS (
  INSERT INTO insight_figure_changes (insight_id, {_NAMES}, last_at)
  SELECT insight_id, {_NAMES}, last_at FROM differing)
SELECT (SELECT count(*) FROM chosen), (SELECT count(*) FROM differing)
"""  # noqa: S608


@dataclass(frozen=True)
class Verified:
    """How many insights were counted from their rows, and how many of them had other figures."""

    checked: int
    differed: int


def verify(*, sample: int) -> Verified:
    """Count up to twice `sample` insights, chosen by chance, from their rows; mend those that differ."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'insight_feedback'::regclass")
        rows = max(cursor.fetchone()[0], 1.0)  # below 0: never analysed
        cursor.execute(_MEND, {"sample": sample, "percent": min(100.0, 100.0 * sample / rows)})
        return Verified(*cursor.fetchone())
