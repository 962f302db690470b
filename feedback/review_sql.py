"""The statement that computes rows of `insight_reviews`, and the figures that its weights stand for.

Priority is kept, not computed per page. Age is a part of it, and grows for all alike: "points and one more for each
day" orders as "points less the day on which it began" does, at any time. So the row stands still.
"""

# What is known of a flagger nobody has judged yet: as if two of four earlier flags had been right (a Beta prior).
PRIOR_RIGHT, PRIOR_WRONG = 2.0, 2.0
# A misleading insight does more harm than one that people recognise as spam.
TYPE_WEIGHT = {"inaccurate": 1.0, "misleading": 1.2, "spam": 0.8}
OTHER_WEIGHT = 0.8
RATINGS_WANTED = 3  # fewer say nothing
AGE_SECONDS = 24 * 3600  # of waiting: one point
BURST_SECONDS = 600
NEW_ACCOUNT_DAYS = 7

_WEIGHT = (
    "CASE flag_type "
    + " ".join(f"WHEN '{word}' THEN {weight}" for word, weight in TYPE_WEIGHT.items())
    + f" ELSE {OTHER_WEIGHT} END"
)
KNOWN = ", ".join(f"'{word}'" for word in TYPE_WEIGHT)
UPHELD_SQL = "('inaccurate', 'misleading', 'spam')"

# Flags that stand and that no decision in force has judged.
OPEN = "f.withdrawn_at IS NULL AND NOT EXISTS (SELECT FROM review_judged_flags j WHERE j.flag_id = f.id)"
IGNORED = (
    "EXISTS (SELECT FROM ignored_flaggers i WHERE i.user_id = {0}.user_id AND i.ended_at IS NULL "
    "AND i.until > clock_timestamp())"
)
IN_FORCE = "e.kind = 'decision' AND NOT EXISTS (SELECT FROM review_events undo WHERE undo.undoes_id = e.id)"
# One row: how often this user was right and wrong in flags that were judged.
RECORD = f"""(
    SELECT count(*) FILTER (WHERE j.verdict IN {UPHELD_SQL}) AS right_before,
           count(*) FILTER (WHERE j.verdict = 'nothing_wrong') AS wrong_before
    FROM review_judged_flags j WHERE j.user_id = {{0}}.user_id)"""  # noqa: S608

FIGURES = (
    "state", "unjudged", "counted", "inaccurate", "misleading", "spam", "other", "trusted", "points", "priority",
    "rating", "ratings", "waiting_since", "newest_flag_at", "burst", "burst_seconds", "new_accounts",
    "last_event_id", "last_verdict", "decided_at", "computed_at",
)  # fmt: skip
_COLUMNS = ", ".join(FIGURES)
_SET = ", ".join(f"{name} = excluded.{name}" for name in FIGURES)

COMPUTE = f"""
WITH wanted AS MATERIALIZED (SELECT DISTINCT unnest(%(ids)s::varchar[]) AS insight_id),
open_flags AS MATERIALIZED (
  SELECT f.id, f.insight_id, f.user_id, f.flag_type, f.flagged_at, {IGNORED.format("f")} AS ignored
  FROM wanted JOIN insight_flags f USING (insight_id) WHERE {OPEN}),
flaggers AS MATERIALIZED (
  SELECT u.user_id, r.right_before, r.wrong_before,
         (SELECT min(b.created_at) FROM insight_feedback b WHERE b.user_id = u.user_id) AS first_seen
  FROM (SELECT DISTINCT user_id FROM open_flags) u CROSS JOIN LATERAL {RECORD.format("u")} r),
weighed AS (
  SELECT o.*, right_before, wrong_before, first_seen,
         row_number() OVER (PARTITION BY insight_id, ignored ORDER BY flagged_at, o.id) AS place,
         count(*) OVER soon AS burst,
         extract(epoch FROM max(flagged_at) OVER soon - flagged_at)::int AS burst_seconds
  FROM open_flags o JOIN flaggers USING (user_id)
  WINDOW soon AS (PARTITION BY insight_id ORDER BY flagged_at
                  RANGE BETWEEN CURRENT ROW AND interval '{BURST_SECONDS} seconds' FOLLOWING)),
flags AS (
  SELECT insight_id, count(*) AS unjudged, count(*) FILTER (WHERE NOT ignored) AS counted,
         count(*) FILTER (WHERE flag_type = 'inaccurate') AS inaccurate,
         count(*) FILTER (WHERE flag_type = 'misleading') AS misleading,
         count(*) FILTER (WHERE flag_type = 'spam') AS spam,
         count(*) FILTER (WHERE flag_type NOT IN ({KNOWN})) AS other,
         count(*) FILTER (WHERE NOT ignored AND right_before > wrong_before) AS trusted,
         coalesce(sum({_WEIGHT} * (right_before + {PRIOR_RIGHT})
                      / (right_before + wrong_before + {PRIOR_RIGHT + PRIOR_WRONG})) FILTER (WHERE NOT ignored), 0)
           AS points,
         coalesce(min(flagged_at) FILTER (WHERE NOT ignored AND place = %(threshold)s), min(flagged_at)) AS since,
         max(flagged_at) AS newest_flag_at, max(burst) AS burst,
         (array_agg(burst_seconds ORDER BY burst DESC, burst_seconds))[1] AS burst_seconds,
         count(*) FILTER (WHERE first_seen > flagged_at - interval '{NEW_ACCOUNT_DAYS} days') AS new_accounts
  FROM weighed GROUP BY insight_id),
decisions AS (
  SELECT DISTINCT ON (e.insight_id) e.insight_id, e.id, e.verdict, e.at
  FROM wanted JOIN review_events e USING (insight_id) WHERE {IN_FORCE} ORDER BY e.insight_id, e.id DESC),
facts AS (
  SELECT w.insight_id, unjudged, counted, inaccurate, misleading, spam, other, trusted, since, newest_flag_at,
         burst, burst_seconds, new_accounts, d.id AS event_id, d.verdict, d.at, r.rating, r.ratings,
         coalesce(f.points, 0) + CASE WHEN r.ratings >= {RATINGS_WANTED} THEN (3 - r.rating) / 2 ELSE 0 END AS sum,
         CASE WHEN d.verdict = 'escalated' THEN 'escalated' WHEN f.counted >= %(threshold)s THEN 'waiting'
              WHEN d.id IS NOT NULL THEN 'decided' ELSE 'quiet' END AS state
  FROM wanted w
  LEFT JOIN flags f ON f.insight_id = w.insight_id LEFT JOIN decisions d ON d.insight_id = w.insight_id
  CROSS JOIN LATERAL (SELECT avg(b.rating)::float8 AS rating, count(b.rating) AS ratings
                      FROM insight_feedback b WHERE b.insight_id = w.insight_id AND b.rating IS NOT NULL) r
  WHERE f.unjudged IS NOT NULL OR d.id IS NOT NULL),
gone AS (
  DELETE FROM insight_reviews r USING wanted w
  WHERE r.insight_id = w.insight_id AND NOT EXISTS (SELECT FROM facts WHERE facts.insight_id = w.insight_id))
INSERT INTO insight_reviews (insight_id, {_COLUMNS})
SELECT w.insight_id, state, coalesce(unjudged, 0), coalesce(counted, 0), coalesce(inaccurate, 0),
       coalesce(misleading, 0), coalesce(spam, 0), coalesce(other, 0), coalesce(trusted, 0), sum,
       sum - extract(epoch FROM coalesce(since, at))::float8 / {AGE_SECONDS}, rating, ratings,
       CASE WHEN state IN ('waiting', 'escalated') THEN since END, newest_flag_at, coalesce(burst, 0),
       coalesce(burst_seconds, 0), coalesce(new_accounts, 0), event_id, verdict, at, clock_timestamp()
FROM wanted w JOIN facts USING (insight_id) ORDER BY w.insight_id
ON CONFLICT (insight_id) DO UPDATE SET {_SET}
"""  # noqa: S608
