"""The live catalogue against the platform's description of its database, column by column."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

pytestmark = pytest.mark.django_db

UUID, TIME, TEXT = "uuid", "timestamp with time zone", "text"
# table -> column -> (type, nullable, default)
COLUMNS = {
    "backfill_jobs": {
        "id": (UUID, False, "uuid7()"),
        "job_type": ("character varying(50)", False, None),
        "start_block": ("integer", False, None),
        "end_block": ("integer", False, None),
        "current_block": ("integer", False, None),
        "status": ("character varying(20)", False, None),
        "progress_percentage": ("double precision", True, "0.0"),
        "estimated_completion": (TIME, True, None),
        "error_message": (TEXT, True, None),
        "started_at": (TIME, False, "now()"),
        "completed_at": (TIME, True, None),
        "created_by": ("character varying(100)", True, None),
    },
    "insight_feedback": {
        "id": (UUID, False, "uuid7()"),
        "insight_id": ("character varying(100)", False, None),
        "user_id": ("character varying(100)", False, None),
        "rating": ("integer", True, None),
        "comment": (TEXT, True, None),
        "flag_type": ("character varying(50)", True, None),
        "flag_reason": (TEXT, True, None),
        "created_at": (TIME, False, "now()"),
        "updated_at": (TIME, False, "now()"),
    },
    "system_metrics": {
        "id": (UUID, False, "uuid7()"),
        "service_name": ("character varying(100)", False, None),
        "metric_type": ("character varying(50)", False, None),
        "metric_value": ("double precision", False, None),
        "unit": ("character varying(20)", False, None),
        "timestamp": (TIME, False, "now()"),
        "metric_metadata": ("jsonb", True, None),
    },
}
INDEXES = {
    "idx_backfill_status": "(status)",
    "idx_backfill_started": "(started_at)",
    "idx_backfill_job_type": "(job_type)",
    "idx_feedback_insight": "(insight_id)",
    "idx_feedback_user": "(user_id)",
    "idx_feedback_created": "(created_at)",
    "idx_metrics_service_time": '(service_name, "timestamp")',
    "idx_metrics_type_time": '(metric_type, "timestamp")',
    "idx_metrics_timestamp": '("timestamp")',
}
KEYS = {
    "backfill_jobs": "PRIMARY KEY (id)",
    "insight_feedback": "PRIMARY KEY (id)",
    "system_metrics": 'PRIMARY KEY (id, "timestamp")',
}


def rows(sql: str, *params: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


@pytest.mark.parametrize("table", COLUMNS)
def test_every_column_is_as_described(table):
    found = rows(
        "SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, pg_get_expr(adbin, adrelid) "
        "FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        table,
    )
    tidy = {name: (kind, null, default and default.split("::")[0]) for name, kind, null, default in found}
    if table == "backfill_jobs":
        assert float(tidy["progress_percentage"][2].strip("'")) == 0.0
        tidy["progress_percentage"] = (*tidy["progress_percentage"][:2], "0.0")
    assert tidy == COLUMNS[table]


@pytest.mark.parametrize(("name", "columns"), INDEXES.items())
def test_every_described_index_stands_under_its_name(name, columns):
    assert [d.split(" USING btree ")[1] for (d,) in rows("SELECT pg_get_indexdef(%s::regclass)", name)] == [
        columns
    ]


@pytest.mark.parametrize(("table", "key"), KEYS.items())
def test_primary_keys(table, key):
    found = rows(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'",
        table,
    )
    assert found == [(key,)]


def test_the_described_constraints_stand_under_their_names():
    found = dict(
        rows(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = 'insight_feedback'::regclass AND contype IN ('u', 'c')"
        )
    )
    assert found["uq_insight_user_feedback"] == "UNIQUE (insight_id, user_id)"
    assert "rating >= 1" in found["chk_rating_range"] and "rating <= 5" in found["chk_rating_range"]


def test_metrics_are_partitioned_by_month_of_timestamp():
    assert rows("SELECT pg_get_partkeydef('system_metrics'::regclass)") == [('RANGE ("timestamp")',)]
    assert rows("SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0") == [(0,)]


GOOD = {
    "backfill_jobs": {
        "job_type": "blocks",
        "start_block": 1,
        "end_block": 9,
        "current_block": 1,
        "status": "running",
    },
    "insight_feedback": {"insight_id": "i", "user_id": "u"},
    "system_metrics": {"service_name": "s", "metric_type": "cpu", "metric_value": 1.0, "unit": "percent"},
}
REFUSED = [
    ("backfill_jobs", {"end_block": 0}, "chk_backfill_range"),
    ("backfill_jobs", {"status": "cancelled"}, "chk_backfill_status"),
    ("backfill_jobs", {"progress_percentage": 100.1}, "chk_backfill_progress"),
    ("backfill_jobs", {"progress_percentage": -0.1}, "chk_backfill_progress"),
    ("backfill_jobs", {"progress_percentage": float("nan")}, "chk_backfill_progress"),
    ("insight_feedback", {"rating": 0}, "chk_rating_range"),
    ("insight_feedback", {"rating": 6}, "chk_rating_range"),
    ("system_metrics", {"metric_value": float("nan")}, "chk_metric_value_finite"),
    ("system_metrics", {"metric_value": float("inf")}, "chk_metric_value_finite"),
    ("system_metrics", {"metric_value": float("-inf")}, "chk_metric_value_finite"),
]


def insert(table: str, **values: object) -> tuple:
    names = ", ".join(f'"{name}"' for name in values)
    return rows(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING *",
        *values.values(),
    )[0]


@pytest.mark.parametrize("table", GOOD)
def test_sql_without_django_gets_the_tables_own_defaults(table):
    row = insert(table, **GOOD[table])
    assert row[0].version == 7
    assert None not in [
        row[list(COLUMNS[table]).index(n)] for n, (_, null, _) in COLUMNS[table].items() if not null
    ]


@pytest.mark.parametrize(("table", "bad", "constraint"), REFUSED)
def test_a_bad_row_is_refused_by_a_named_check(table, bad, constraint):
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        insert(table, **GOOD[table] | bad)
    assert refused.value.__cause__.diag.constraint_name == constraint
    assert rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_an_unknown_flag_word_is_kept():
    assert insert("insight_feedback", **GOOD["insight_feedback"], flag_type="offensive")[5] == "offensive"


def test_models_and_migrations_agree():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_migrations_of_the_three_tables_reverse_and_come_back():
    try:
        for app in ("metrics", "feedback", "backfill"):
            call_command("migrate", app, "zero", verbosity=0, interactive=False)
        assert rows("SELECT to_regclass('system_metrics'), to_regclass('insight_feedback')") == [(None, None)]
        assert rows("SELECT count(*) FROM pg_proc WHERE proname IN ('system_metrics_changed')") == [(0,)]
    finally:
        call_command("migrate", verbosity=0, interactive=False)
    insert("system_metrics", **GOOD["system_metrics"])
