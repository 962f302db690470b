"""Rollups answer what SQL over the raw rows answers, at any moment, whoever wrote."""

import threading
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from metrics import partitions, rollup_verify, rollups, sealing
from metrics.models import RollupDay, RollupHour, SystemMetric
from metrics.reading import HOUR, Request, Source, read
from tests.metrics.rollup_writers import (
    END,
    PARTITION,
    START,
    answer,
    assert_exact,
    buckets,
    copy,
    hours,
    insert,
    insert_at_once,
    other_connection,
    row,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("november")]
NOW = END + timedelta(hours=5)


@pytest.mark.parametrize("write", [insert, insert_at_once, copy])
@pytest.mark.parametrize("table", ["system_metrics", PARTITION])
def test_whatever_writes_is_read_at_once_and_after_a_refresh(other, write, table):
    write(other, [row(at=hours(1), value=value) for value in (3.0, 1.0, 2.0)], table)
    assert buckets(answer()) == {}
    other.commit()
    assert_exact()
    assert rollups.refresh().buckets == 1
    assert (rollups.pending(), RollupHour.objects.count(), RollupDay.objects.count()) == (0, 1, 1)
    assert_exact()


def test_a_writer_that_commits_after_the_refresh_is_not_lost(other):
    insert(other, [row(at=hours(1))])
    with other_connection() as early:
        insert(early, [row(at=hours(1), value=5.0)])
        early.commit()
        rollups.refresh()
        other.commit()
    assert_exact()
    rollups.refresh()
    assert [h.rows for h in RollupHour.objects.all()] == [2]
    assert_exact()


def test_changed_renamed_moved_and_deleted_rows_are_followed(other):
    for number in range(4):
        insert(other, [row(at=hours(number), value=float(number))])
    other.commit()
    rollups.refresh()
    for change in (
        "SET metric_value = 9 WHERE metric_value = 1",
        "SET service_name = 'b', unit = 'ms' WHERE metric_value = 2",
        'SET "timestamp" = "timestamp" + interval \'30 hours\' WHERE metric_value = 3',
    ):
        other.execute(f"UPDATE system_metrics {change}")
        other.commit()
        assert_exact()
        rollups.refresh()
        assert_exact()
    other.execute("DELETE FROM system_metrics")
    other.commit()
    assert buckets(answer()) == {}
    rollups.refresh()
    assert (RollupHour.objects.count(), RollupDay.objects.count()) == (0, 0)


UPSERT = """INSERT INTO system_metrics AS m (id, service_name, metric_type, metric_value, unit, "timestamp")
VALUES (%(id)s, 'b', 'cpu', 7, 'percent', %(at)s) ON CONFLICT (id, "timestamp") DO UPDATE SET metric_value = 7"""
MERGE = """MERGE INTO system_metrics m USING (SELECT %(id)s::uuid AS id, %(at)s::timestamptz AS at) s
ON m.id = s.id AND m."timestamp" = s.at
WHEN MATCHED THEN UPDATE SET metric_value = 7
WHEN NOT MATCHED THEN INSERT (id, service_name, metric_type, metric_value, unit, "timestamp")
  VALUES (s.id, 'b', 'cpu', 7, 'percent', s.at)"""


@pytest.mark.parametrize("statement", [UPSERT, MERGE], ids=["upsert", "merge"])
def test_statements_that_insert_or_update_are_followed(other, statement):
    known = row(at=hours(1), value=1.0)
    insert(other, [known])
    other.commit()
    rollups.refresh()
    for key in (known[0], uuid4()):
        other.execute(statement, {"id": key, "at": hours(1)})
        other.commit()
        assert_exact()
        rollups.refresh()
        assert_exact()
    assert sorted(RollupHour.objects.values_list("service_name", "highest")) == [("a", 7.0), ("b", 7.0)]


def test_a_row_that_moves_to_another_month_leaves_one_bucket_and_enters_another(other):
    october = START - timedelta(days=40)
    partitions.ensure_months([october.date()])
    insert(other, [row(at=hours(1))])
    other.commit()
    rollups.refresh()
    other.execute('UPDATE system_metrics SET "timestamp" = %s', [october])
    other.commit()
    rollups.refresh()
    assert list(RollupHour.objects.values_list("hour", "rows")) == [(october, 1)]
    assert_exact()


def test_names_whose_letters_run_together_stay_two_series(other):
    """What waits is computed from raw rows, what does not comes from the rollup; neither counts in the other."""
    names = [
        ("a", "b\nc"),
        ("a\nb", "c"),
        ("a.", "c"),
        ("a", ".c"),
        ("a\n", "c"),
        ("a" * 50, "b"),
        ("a" * 49, "ab"),
    ]
    insert(other, [row(kind=kind, unit=unit) for kind, unit in names])
    other.commit()
    rollups.refresh()
    for kind, unit in names:
        insert(other, [row(kind=kind, unit=unit, at=hours(0.5))])
        other.commit()
        found = read(
            Request(
                ("a",),
                tuple({kind for kind, _ in names}),
                int(START.timestamp()),
                int(END.timestamp()),
                HOUR,
                Source.HOURLY,
            )
        )
        counted = {(one.metric_type, one.unit): sum(n or 0 for n in one.rows) for one in found.series}
        assert counted == {key: 1 + (key == (kind, unit)) for key in names}
        SystemMetric.objects.filter(timestamp=hours(0.5)).delete()
        rollups.refresh()


def test_a_statement_leaves_one_mark_a_bucket(other):
    copy(other, [row(at=hours(n % 2), service=s) for n in range(50) for s in "ab"])
    other.commit()
    assert rollups.pending() == 4


def test_a_refresh_goes_on_until_nothing_waits_and_stays_in_its_range():
    with transaction.atomic():
        insert_at_once(connection.cursor(), [row(at=hours(n)) for n in range(10)])
    assert rollups.refresh(start=hours(2), end=hours(5), batch=2).buckets == 3
    assert rollups.pending() == 7
    assert_exact()
    done = rollups.refresh(batch=3)
    assert (done.marks, done.buckets, done.complete, rollups.pending()) == (7, 7, True, 0)


def test_a_refresher_waits_for_another_or_leaves_it_the_work(other):
    insert(other, [row()])
    other.commit()
    other.execute("SELECT pg_advisory_xact_lock(%s)", [rollups.LOCK])
    assert rollups.refresh(wait=False) == rollups.Refreshed(complete=False)
    other.commit()
    assert rollups.refresh(wait=False).marks == 1


def test_an_older_snapshot_is_refused():
    with pytest.raises(rollups.SnapshotTooOld), transaction.atomic():
        connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rollups.refresh()


def test_two_statements_in_each_of_two_transactions_do_not_deadlock(other):
    with other_connection() as second:
        insert(other, [row(service="a")])
        insert(second, [row(service="b")])
        insert(other, [row(service="b")])
        insert(second, [row(service="a")])
        other.commit()
        second.commit()
    assert_exact()


def test_refreshers_at_once_come_to_the_same_figures(other):
    copy(other, [row(at=hours(n)) for n in range(60)])
    other.commit()
    errors = []

    def work():
        try:
            rollups.refresh(batch=7)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [each.start() for each in threads]
    [each.join(30) for each in threads]
    assert (errors, rollups.pending(), RollupHour.objects.count()) == ([], 0, 60)
    assert_exact()


def test_sums_beyond_the_largest_number_stop_nobody(other):
    insert(other, [row(value=1.7e308) for _ in range(3)] + [row(value=1.0)])
    other.commit()
    assert_exact()
    rollups.refresh()
    assert_exact()
    assert answer().series[0].average[0] < 1.7e308


def test_a_narrow_range_reads_no_hour_outside(other):
    insert(other, [row(at=hours(n), value=float(n)) for n in range(48)])
    other.commit()
    rollups.refresh()
    found = answer(start=hours(5), end=hours(29))
    assert found.series[0].lowest == [float(n) for n in range(5, 29)]
    assert found.data_to <= hours(29)


@pytest.mark.parametrize("table", ["system_metrics", PARTITION])
def test_truncation_is_read_at_once_and_told(other, table):
    insert(other, [row(at=hours(n)) for n in range(3)] + [row(at=START - timedelta(days=40))])
    other.commit()
    rollups.refresh()
    other.execute("LISTEN utxoiq_changed")
    other.commit()
    connection.cursor().execute(f"TRUNCATE {table}")
    assert_exact()
    assert [each.payload for each in other.notifies(timeout=1, stop_after=1)] == ["service:*"]
    rollups.refresh()
    assert_exact()
    assert rollup_verify.verify_day(START.date()) == []
    assert RollupHour.objects.filter(hour__lt=START).count() == (table == PARTITION)


def test_truncation_leaves_sealed_days_alone(other):
    insert(other, [row(at=hours(1)), row(at=hours(25))])
    other.commit()
    sealing.seal(start=START, end=START + timedelta(days=1))
    rollups.refresh()
    connection.cursor().execute(f"TRUNCATE {PARTITION}")
    rollups.refresh()
    assert list(RollupHour.objects.values_list("hour", flat=True)) == [hours(1)]


def test_a_partition_made_later_marks_its_truncation_too():
    partitions.ensure_months([date(2031, 5, 1)])
    at = datetime(2031, 5, 2, 3, tzinfo=UTC)
    insert(connection.cursor().connection, [row(at=at)])
    rollups.refresh()
    assert RollupHour.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE system_metrics_2031_05")
        rollups.refresh()
        cursor.execute("DROP TABLE system_metrics_2031_05")
    assert RollupHour.objects.count() == 0


def test_a_drop_is_found_and_mended(other):
    insert(connection.cursor().connection, [row(at=hours(n)) for n in range(3)])
    rollups.refresh()
    SystemMetric.objects.filter(timestamp=hours(0)).delete()
    rollups.refresh()
    with connection.cursor() as cursor:  # no trigger of a writer's fires
        cursor.execute(f"ALTER TABLE {PARTITION} DISABLE TRIGGER USER; DELETE FROM {PARTITION}")
        cursor.execute(f"ALTER TABLE {PARTITION} ENABLE TRIGGER USER")
    found = rollup_verify.verify(now=NOW)
    assert [(d.hour, d.raw_rows, d.rollup_rows) for d in found.differences] == [
        (hours(1), None, 1),
        (hours(2), None, 1),
    ]
    rollup_verify.verify(now=NOW, repair=True)
    assert rollup_verify.verify(now=NOW).differences == []
    assert RollupHour.objects.count() == 0


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE metric_rollup_hours SET highest = highest + 1",
        "UPDATE metric_rollup_hours SET total = total * 1.001",
        "UPDATE metric_rollup_hours SET bin_rows[1] = 7",
        "UPDATE metric_rollup_days SET hour_lowest[4] = 0",
        "UPDATE metric_rollup_days SET highest = highest + 1",
        "UPDATE metric_rollup_days SET rows = rows + 1",
        "UPDATE metric_rollup_days SET total = total * 1.001",
        "UPDATE metric_rollup_days SET bins[1] = bins[1] + 1",
        "UPDATE metric_rollup_days SET last_at = last_at - interval '1 s'",
        "DELETE FROM metric_rollup_hours",
        "DELETE FROM metric_rollup_days",
    ],
)
def test_every_wrong_figure_is_found_and_mended(other, spoil):
    insert(other, [row(at=hours(3), value=v) for v in (4.0, 5.0)])
    other.commit()
    rollups.refresh()
    connection.cursor().execute(spoil)
    assert [d.hour for d in rollup_verify.verify_day(START.date())] == [hours(3)]
    rollup_verify.verify(now=NOW, repair=True)
    assert rollup_verify.verify_day(START.date()) == []
    assert_exact()


def test_what_waits_for_the_refresher_is_no_difference(other):
    insert(other, [row(at=hours(3))])
    other.commit()
    assert rollup_verify.verify(now=NOW).differences == []


def test_the_command_refreshes_verifies_and_repairs():
    now = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    SystemMetric.objects.create(service_name="a", metric_type="cpu", metric_value=1, unit="ms", timestamp=now)

    def said(*args):
        out = StringIO()
        call_command("rollups", *args, stdout=out)
        return out.getvalue()

    assert "took 1 marks, computed 1 buckets" in said()
    assert "0 buckets differ, 92 days compared" in said("--verify")
    RollupHour.objects.update(rows=5)
    with pytest.raises(CommandError, match=r"1 buckets differ.*--repair"):
        said("--verify")
    assert "1 rows, the rollup says 5" in said("--verify", "--repair")
    assert "0 buckets differ, 3 days compared" in said("--verify", "--sample=3")


def test_marking_needs_no_right_of_the_writer_and_no_path_of_its_own():
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT prosecdef, proconfig FROM pg_proc
               WHERE proname IN ('system_metrics_changed', 'metric_rollups_mark')"""
        )
        assert cursor.fetchall() == [(True, ["search_path=public, pg_temp"])] * 2


@pytest.mark.parametrize("source", [Source.HOURLY, Source.DAILY])
@pytest.mark.parametrize("sketches", [False, True])
def test_what_is_settled_costs_one_statement_and_what_is_pending_five(
    other, django_assert_num_queries, source, sketches
):
    insert(other, [row(at=hours(1))])
    other.commit()
    with django_assert_num_queries(5):  # the small one, BEGIN, its limits, the whole statement, COMMIT
        answer(source, sketches=sketches)
    rollups.refresh()
    with django_assert_num_queries(1):
        answer(source, sketches=sketches)
