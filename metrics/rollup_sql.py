"""Pieces of SQL that refreshing, sealing and reading share, so that all three compute the very same figures."""

# The columns of a bucket's figures, in the order that FIGURES yields them.
COLUMNS = "rows, total, lowest, highest, last_at, bins, bin_rows"

# 1.0e290: what more than 10^17 rows would be needed to overflow with. Above it: see metric_total().
USUAL = "sum({0}) FILTER (WHERE {0} BETWEEN -1e290 AND 1e290)"
SCALED = "sum({0} * 6.223015277861142e-61) FILTER (WHERE {0} < -1e290 OR {0} > 1e290)"


def total(column: str) -> str:
    """An aggregate: the sum of finite values, saturating where PostgreSQL's own would raise."""
    return f"metric_total({USUAL.format(column)}, {SCALED.format(column)})"


# Type and unit as one text that no other pair has, whatever stands in the two: up to the 51st character is the type,
# whose column holds 50, and its end is the last point there.
KIND = "rpad({0}metric_type || '.', 51, E'\\n') || {0}unit"
# Places to read raw rows from: each (service_name, hour) once, with the kinds wanted there.
PLACES = f"""SELECT service_name, hour, array_agg(DISTINCT {KIND.format("")}) AS kinds
  FROM {{0}} GROUP BY service_name, hour"""  # noqa: S608


def raw_rows(places: str) -> str:
    """FROM item `m`: the raw rows of `places`, which come from PLACES.

    OFFSET 0 keeps the planner from joining the whole table: always one index scan for each place, in one partition.
    """
    return f"""{places} p CROSS JOIN LATERAL (
    SELECT r.service_name, p.hour, r.metric_type, r.unit, r.metric_value, r."timestamp" FROM system_metrics r
    WHERE r.service_name = p.service_name AND r."timestamp" >= p.hour
      AND r."timestamp" < p.hour + interval '1 hour'
      AND {KIND.format("r.")} = ANY(p.kinds) OFFSET 0) m"""  # noqa: S608


def figures(rows: str, *, first: bool = False) -> str:
    """SELECT of the figures of each (service_name, metric_type, unit, hour) of the FROM clause `rows`.

    By bin first, then by bucket: one pass over the rows gives sums, extremes and sketch. `first` adds the oldest row's
    time, `first_at`.
    """
    oldest = (", min(earliest) AS first_at", ', min(m."timestamp") AS earliest') if first else ("", "")
    return f"""
  SELECT service_name, metric_type, unit, hour, sum(n)::bigint AS rows, metric_total(sum(usual), sum(scaled)) AS total,
         min(low) AS lowest, max(high) AS highest, max(latest) AS last_at,
         array_agg(bin ORDER BY bin) AS bins, array_agg(n::int ORDER BY bin) AS bin_rows{oldest[0]}
  FROM (
    SELECT m.service_name, m.metric_type, m.unit, m.hour, metric_bin(m.metric_value) AS bin, count(*) AS n,
           {USUAL.format("m.metric_value")} AS usual, {SCALED.format("m.metric_value")} AS scaled,
           min(m.metric_value) AS low, max(m.metric_value) AS high, max(m."timestamp") AS latest{oldest[1]}
    FROM {rows}
    GROUP BY 1, 2, 3, 4, 5) AS binned
  GROUP BY 1, 2, 3, 4"""  # noqa: S608


def late_rows(late_in: str) -> str:
    """FROM item `m`: the raw rows that came after their day was sealed and are not merged yet."""
    return f"""(SELECT DISTINCT l.id, l."timestamp" FROM metric_late_rows l WHERE {late_in}) AS keys
  CROSS JOIN LATERAL (
    SELECT r.service_name, date_bin('1 hour', r."timestamp", 'epoch') AS hour, r.metric_type, r.unit, r.metric_value,
           r."timestamp"
    FROM system_metrics r WHERE r.id = keys.id AND r."timestamp" = keys."timestamp" OFFSET 0) AS m"""  # noqa: S608


# Marks of buckets, less those of sealed days: a sealed bucket is never computed again.
UNSEALED = "NOT EXISTS (SELECT FROM metric_sealed_days s WHERE s.day = ({0}.hour AT TIME ZONE 'UTC')::date)"
_KEY = "({0}.service_name, {0}.metric_type, {0}.unit, {0}.hour)"
SAME = f"{_KEY} = {_KEY.replace('0', '1')}"
