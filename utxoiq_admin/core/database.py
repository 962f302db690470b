"""What the database's catalogue says about our tables; nothing here reads a row of them."""

from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True)
class TableSize:
    """One table with all its partitions. `rows` is the planner's estimate; None where a part has none."""

    table: str
    bytes: int
    index_bytes: int
    rows: int | None
    partitions: int


def table_sizes() -> list[TableSize]:
    """All tables of our schema, the largest first; `bytes` includes indexes and long values stored aside."""
    with connection.cursor() as cursor:
        # An empty partition is never analysed: a missing estimate means unknown only where pages exist.
        cursor.execute(
            """
            SELECT root.relname,
                   coalesce(sum(pg_total_relation_size(leaf.oid)), 0)::bigint,
                   coalesce(sum(pg_indexes_size(leaf.oid)), 0)::bigint,
                   CASE WHEN bool_or(leaf.reltuples < 0 AND pg_relation_size(leaf.oid) > 0) THEN NULL
                        ELSE coalesce(sum(greatest(leaf.reltuples, 0)), 0)::bigint END,
                   count(leaf.oid) FILTER (WHERE leaf.oid <> root.oid)
            FROM pg_class root
            LEFT JOIN pg_class leaf
              ON leaf.oid = root.oid AND root.relkind = 'r'
              OR leaf.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = root.oid)
            WHERE root.relnamespace = current_schema()::regnamespace
              AND root.relkind IN ('r', 'p') AND NOT root.relispartition
            GROUP BY root.oid, root.relname
            ORDER BY 2 DESC, 1
            """
        )
        return [TableSize(*row) for row in cursor.fetchall()]


def database_bytes() -> int:
    """The whole database on disk, with what belongs to no table of ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])
