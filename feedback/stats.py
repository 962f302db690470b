"""The figures of one insight, as the platform's description counts them, cached until somebody writes."""

from typing import Any

from django.db import connection

from utxoiq_admin.core.cache import cached

CACHED_SECONDS = 3600
STARS = range(1, 6)

# One statement, so that all figures are of one moment.
_STATS = f"""
SELECT count(rating), avg(rating)::float8, {", ".join(f"count(*) FILTER (WHERE rating = {n})" for n in STARS)},
       count(comment), count(flag_type),
       (SELECT coalesce(json_object_agg(flag_type, n ORDER BY flag_type), '{{}}') FROM (
          SELECT flag_type, count(*) AS n FROM insight_feedback
          WHERE insight_id = %(insight)s AND flag_type IS NOT NULL GROUP BY flag_type) AS flags)
FROM insight_feedback WHERE insight_id = %(insight)s
"""  # noqa: S608


def stats_of(insight_id: str) -> dict[str, Any]:
    """Ratings, comments and flags of one insight: right within a second of any write, by HTTP or SQL.

    `average_rating` is None while nobody rated. An insight nobody spoke of has zeros: whether it exists is not known
    here.
    """
    return cached(
        f"feedback stats {insight_id}",
        keys=[f"insight:{insight_id}"],
        ttl=CACHED_SECONDS,
        compute=lambda: _computed(insight_id),
    )


def _computed(insight_id: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(_STATS, {"insight": insight_id})
        ratings, average, *by_stars, comments, flags, types = cursor.fetchone()
    return {
        "insight_id": insight_id,
        "total_ratings": ratings,
        "average_rating": average,
        "rating_distribution": {str(n): count for n, count in zip(STARS, by_stars, strict=True)},
        "total_comments": comments,
        "total_flags": flags,
        "flag_types": types,
    }
