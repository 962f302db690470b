"""The figures of every insight, exact at any moment, and the list of insights in the order of any of them.

Triggers write how much a statement moved an insight's figures (migration 0005), the refresher adds that to
`insight_figures`, and readers add what it has not taken yet. The sum of both is the same before, during and after a
refresh, so nobody waits for anybody and no snapshot is wrong. A sum taken from the figures alone may be anything for a
moment, even negative: read through this module.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from utxoiq_admin.core.cursors import Direction, InvalidCursor, Page, decode, encode
from utxoiq_admin.core.schemas import is_storable

BATCH = 20_000  # changes a pass: about a quarter of a second
LOCK = 7_021_004  # one refresher at a time; the number has no meaning beyond being ours
LEAST_RATINGS = (1, 5, 20)  # each has an index of the averages
COUNTS = ("voices", "ratings", "stars", "comments", "flags")

_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in COUNTS)
_TAKE = f"""
WITH taken AS (
  DELETE FROM insight_figure_changes WHERE ctid = ANY(ARRAY(SELECT ctid FROM insight_figure_changes LIMIT %(batch)s))
  RETURNING *),
added AS (
  INSERT INTO insight_figures AS f (insight_id, {", ".join(COUNTS)}, last_at)
  SELECT insight_id, {_SUMS}, max(last_at) FROM taken GROUP BY insight_id
  ON CONFLICT (insight_id) DO UPDATE
    SET {", ".join(f"{name} = f.{name} + excluded.{name}" for name in COUNTS)},
        last_at = greatest(f.last_at, excluded.last_at))
SELECT count(*) FROM taken
"""  # noqa: S608
# Whose changes are still to come stands at nothing all the same: it is made again when they are taken.
_SWEEP = """
DELETE FROM insight_figures
WHERE voices = 0 AND flags = 0 AND ratings = 0 AND stars = 0 AND comments = 0
"""

# Figures with changes that nobody has added yet, put together here. NOT IN is a hash of them, and keeps the index's
# order; without changes it costs nothing.
_FIELDS = "insight_id, voices, ratings, stars, comments, flags, last_at, average"
_MOVED = f"""
WITH pending AS MATERIALIZED (
  SELECT insight_id, {_SUMS}, max(last_at) AS last_at FROM insight_figure_changes {{where}} GROUP BY insight_id),
moved AS MATERIALIZED (
  SELECT insight_id, voices, ratings, stars, comments, flags, last_at,
         CASE WHEN ratings > 0 THEN stars::float8 / ratings END AS average
  FROM (SELECT insight_id, {", ".join(f"coalesce(f.{name}, 0) + p.{name} AS {name}" for name in COUNTS)},
               greatest(f.last_at, p.last_at) AS last_at
        FROM pending p LEFT JOIN insight_figures f USING (insight_id)) AS summed
  WHERE voices <> 0 OR flags <> 0)
"""  # noqa: S608
_PAGE = f"""{_MOVED.format(where="")}
SELECT {_FIELDS} FROM (
  (SELECT {_FIELDS} FROM insight_figures f
   WHERE insight_id NOT IN (SELECT insight_id FROM pending) AND {{condition}} ORDER BY {{order}} LIMIT %(size)s)
  UNION ALL
  (SELECT {_FIELDS} FROM moved WHERE {{condition}} ORDER BY {{order}} LIMIT %(size)s)) AS both_kinds
ORDER BY {{order}} LIMIT %(size)s
"""  # noqa: S608
# idx_reviews_last_decision serves it; figures are looked up for the page alone.
_DECIDED = """
SELECT insight_id, decided_at FROM insight_reviews WHERE decided_at IS NOT NULL AND {condition}
ORDER BY {order} LIMIT %(size)s
"""
_KNOWN = f"""{_MOVED.format(where="WHERE insight_id = ANY(%(insights)s)")}
SELECT {_FIELDS} FROM moved UNION ALL
SELECT {_FIELDS} FROM insight_figures
WHERE insight_id = ANY(%(insights)s) AND insight_id NOT IN (SELECT insight_id FROM pending)
"""  # noqa: S608


@dataclass(frozen=True)
class Figures:
    """What the users say of one insight, in numbers."""

    insight_id: str
    voices: int  # users who said anything
    ratings: int
    stars: int  # the sum of the ratings
    comments: int
    flags: int  # flags that stand, those of archived rows too
    last_at: datetime | None  # when somebody last said something; None while nobody did
    average: float | None  # None while nobody rated
    decided_at: datetime | None = None  # of the last decision in force; told in the order of decisions alone


@dataclass(frozen=True)
class Order:
    """How the list is sorted: by one figure, ties by id. By average only insights with enough ratings."""

    by: str = "last_at"
    descending: bool = True
    least_ratings: int = 1

    @property
    def condition(self) -> str:
        return f"ratings >= {int(self.least_ratings)}" if self.by == "average" else "true"

    def sql(self, *, backwards: bool) -> str:
        way = "DESC" if self.descending != backwards else "ASC"
        return f"{self.by} {way}, insight_id {way}"


_KINDS: dict[str, type] = {
    "last_at": datetime,
    "ratings": int,
    "average": float,
    "comments": int,
    "flags": int,
    "decided_at": datetime,
}
ORDERS = tuple(_KINDS)


def listed(
    *, order: Order, cursor: str | None = None, direction: Direction = "next", size: int
) -> Page[Figures]:
    """The `size` insights beyond the cursor, in the order asked for. Raises InvalidCursor, ValueError."""
    if order.by not in ORDERS or order.least_ratings not in LEAST_RATINGS:
        raise ValueError(f"{order} is no order of this list")
    backwards = direction == "prev" and cursor is not None
    parameters: dict[str, Any] = {"size": size + 1}
    condition = order.condition
    if cursor is not None:
        parameters |= _place(cursor, order)
        sign = "<" if order.descending != backwards else ">"
        condition += f" AND ({order.by}, insight_id) {sign} (%(value)s, %(insight)s)"
    by_decision = order.by == "decided_at"
    statement = (_DECIDED if by_decision else _PAGE).format(
        condition=condition, order=order.sql(backwards=backwards)
    )
    with connection.cursor() as database:
        database.execute(statement, parameters)
        rows = database.fetchall()
    found = _with_figures(dict(rows)) if by_decision else [Figures(*row) for row in rows]
    return _paged(found, order, cursor, backwards=backwards, size=size)


def _with_figures(decided: dict[str, datetime]) -> list[Figures]:
    """The figures of insights by when they were decided; of whom nobody says anything any more all are 0."""
    figures = known(list(decided))
    nothing = Figures("", 0, 0, 0, 0, 0, None, None)
    return [
        replace(figures.get(insight, nothing), insight_id=insight, decided_at=moment)
        for insight, moment in decided.items()
    ]


def _paged(
    found: list[Figures], order: Order, cursor: str | None, *, backwards: bool, size: int
) -> Page[Figures]:
    rows, more = found[:size], len(found) > size
    if backwards:
        rows.reverse()
    if not rows:
        return Page([], cursor if backwards else None, None if backwards else cursor)
    first, last = (encode([getattr(row, order.by), row.insight_id]) for row in (rows[0], rows[-1]))
    if backwards:
        return Page(rows, last, first if more else None)
    return Page(rows, last if more else None, first if cursor is not None else None)


def _place(cursor: str, order: Order) -> dict[str, Any]:
    match decode(cursor):
        case (value, str() as insight) if (
            type(value) is _KINDS[order.by]
            and is_storable(insight)
            and (type(value) is not int or abs(value) < 2**63)
        ):
            return {"value": value, "insight": insight}
    raise InvalidCursor("The cursor belongs to another list or order. Leave it out to begin at the start.")


def every(order: Order, *, batch: int = 2_000) -> Iterator[Figures]:
    """All insights in this order, read in pages, each a short query of its own."""
    cursor: str | None = None
    while True:
        page = listed(order=order, cursor=cursor, size=batch)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def known(insight_ids: Sequence[str]) -> dict[str, Figures]:
    """The figures of these insights by id; those of whom nobody says anything are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, {"insights": list(insight_ids)})
        return {row[0]: Figures(*row) for row in cursor.fetchall()}


def refresh(*, batch: int = BATCH, wait: bool = False) -> int:
    """Add the changes to the figures, a transaction a pass; how many were taken.

    With `wait=False` it leaves the work to another refresher that is at it. Bulk loaders call it with `wait=True`.
    """
    taken = 0
    while True:
        one = _refresh_once(batch, wait=wait)
        taken += one
        if one < batch:
            return taken


@transaction.atomic
def _refresh_once(batch: int, *, wait: bool) -> int:
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        else:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            if not cursor.fetchone()[0]:
                return 0
        cursor.execute(_TAKE, {"batch": batch})
        taken = int(cursor.fetchone()[0])
        if taken:
            cursor.execute(_SWEEP)
    return taken
