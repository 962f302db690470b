"""Sealed days: final, late rows on top, merged exactly once when they leave."""

import threading
import time
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, transaction

from metrics import rollup_verify, rollups, sealing
from metrics.models import LateRow, RollupDay, RollupHour, SystemMetric
from metrics.reading import DAY, HOUR, Source
from tests.metrics.rollup_writers import (
    END,
    PARTITION,
    START,
    answer,
    assert_same,
    copy,
    hours,
    insert,
    insert_at_once,
    other_connection,
    raw,
    row,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("november")]
NEXT = START + timedelta(days=1)


def write(other, *rows):
    insert(other, rows)
    other.commit()


def total_rows():
    """As every source of figures that outlive the rows says it."""
    found = {
        sum(n or 0 for one in answer(source, step, sketches).series for n in one.rows)
        for source, step in ((Source.HOURLY, HOUR), (Source.DAILY, DAY))
        for sketches in (False, True)
    }
    assert len(found) == 1, found
    return found.pop()


def delete_counted(keys=None):
    """As retention deletes: late rows are merged in the same transaction."""
    with sealing.uncounted():
        rows = SystemMetric.objects.filter(timestamp__lt=NEXT)
        if keys is not None:
            rows = rows.filter(pk__in=[key for key, _ in keys])
        merged = sealing.merge_late([(each.pk, each.timestamp) for each in rows])
        rows.delete()
    return merged


def test_sealing_brings_up_to_date_first_and_says_what_it_sealed(other):
    write(other, row(at=hours(1)), row(at=hours(30)))
    assert sealing.seal(start=START, end=NEXT) == [START.date()]
    assert sealing.seal(start=START, end=NEXT + timedelta(days=1)) == [NEXT.date()]
    assert (RollupHour.objects.count(), rollups.pending()) == (2, 0)


@pytest.mark.parametrize("start", [START + timedelta(hours=1), NEXT])
def test_only_whole_days_can_be_sealed(start):
    with pytest.raises(ValueError, match="no whole UTC days"):
        sealing.seal(start=start, end=NEXT)


def test_figures_stay_when_the_rows_leave_and_come_back(other):
    write(other, *[row(at=hours(n), value=float(n)) for n in range(24)])
    wanted = raw(HOUR)
    sealing.seal(start=START, end=NEXT)
    kept = list(SystemMetric.objects.all())
    assert delete_counted() == 0
    assert_same(answer(), wanted)
    with sealing.uncounted():
        SystemMetric.objects.bulk_create(kept)
    assert_same(answer(), wanted)
    rollups.refresh()
    assert (total_rows(), LateRow.objects.count()) == (24, 0)


def test_the_setting_ends_with_its_block(other):
    sealing.seal(start=START, end=NEXT)
    with transaction.atomic():
        with sealing.uncounted():
            insert_at_once(connection.cursor(), [row(at=hours(30))])
        assert rollups.pending() == 0
        insert_at_once(connection.cursor(), [row(at=hours(31))])
    assert rollups.pending() == 1


@pytest.mark.parametrize("how", [insert, insert_at_once, copy])
@pytest.mark.parametrize("table", ["system_metrics", PARTITION])
def test_a_late_row_is_on_top_until_it_is_merged_once(other, how, table):
    write(other, row(at=hours(1), value=5.0))
    sealing.seal(start=START, end=NEXT)
    how(other, [row(at=hours(1), value=9.0), row(at=hours(2), value=1.0, service="b")], table)
    other.commit()
    wanted = raw(HOUR)
    for _ in range(2):
        assert_same(answer(), wanted)
        assert_same(answer(Source.DAILY, sketches=True), raw(DAY))
        rollups.refresh()
    assert delete_counted() == 2
    assert SystemMetric.objects.count() == 0
    assert_same(answer(), wanted)
    assert_same(answer(sketches=True), wanted)
    assert (total_rows(), LateRow.objects.count()) == (3, 0)


def test_a_merge_that_is_rolled_back_is_repeated_whole(other):
    write(other, row(at=hours(1)))
    sealing.seal(start=START, end=NEXT)
    write(other, row(at=hours(1), value=7.0))
    with pytest.raises(RuntimeError), transaction.atomic():
        assert delete_counted() == 1
        raise RuntimeError
    assert total_rows() == 2
    assert (delete_counted(), delete_counted(), total_rows()) == (1, 0, 2)


def test_two_merges_of_one_row_at_once_count_it_once(other):
    sealing.seal(start=START, end=NEXT)
    late = row(at=hours(1))
    write(other, late)
    other.execute("SELECT pg_advisory_xact_lock(%s)", [rollups.LOCK])
    merged = []

    def merge():
        with transaction.atomic():
            merged.append(sealing.merge_late([(late[0], late[-1])]))
        connection.close()

    threads = [threading.Thread(target=merge) for _ in range(2)]
    [each.start() for each in threads]
    other.commit()
    [each.join(20) for each in threads]
    assert (sorted(merged), RollupHour.objects.get().rows) == ([0, 1], 1)


def test_merging_outside_a_transaction_is_refused():
    with pytest.raises(transaction.TransactionManagementError):
        sealing.merge_late([])


def test_changes_of_late_rows_are_followed_and_counted_rows_stay_counted(other):
    counted, late = row(at=hours(1)), row(at=hours(2), value=2.0)
    write(other, counted)
    sealing.seal(start=START, end=NEXT)
    write(other, late)
    other.execute("UPDATE system_metrics SET metric_value = 8")
    other.commit()
    assert answer().series[0].highest[:3] == [None, 1.0, 8.0]
    other.execute("DELETE FROM system_metrics WHERE id = %s", [counted[0]])
    other.commit()
    assert total_rows() == 2
    other.execute("DELETE FROM system_metrics")
    other.commit()
    assert (total_rows(), LateRow.objects.count()) == (1, 1)
    assert (sealing.prune_late(), LateRow.objects.count()) == (1, 0)


def test_rows_moved_into_a_sealed_day_are_late(other):
    write(other, row(at=hours(30)))
    sealing.seal(start=START, end=NEXT)
    other.execute('UPDATE system_metrics SET "timestamp" = "timestamp" - interval \'29 hours\'')
    other.commit()
    assert_same(answer(), raw(HOUR))
    rollups.refresh()
    assert_same(answer(), raw(HOUR))
    assert sealing.late_keys(start=START, end=NEXT, limit=9) == [(SystemMetric.objects.get().pk, hours(1))]


def test_a_writer_under_way_holds_the_seal_up_and_is_counted(other, monkeypatch):
    monkeypatch.setattr(sealing, "ATTEMPTS", 2)
    insert(other, [row(at=hours(1))])
    with pytest.raises(sealing.SealBusy, match="nothing was sealed"):
        sealing.seal(start=START, end=NEXT)
    insert(other, [row(at=hours(2))])
    other.commit()
    sealing.seal(start=START, end=NEXT)
    assert (total_rows(), LateRow.objects.count()) == (2, 0)


def test_writers_into_other_days_hold_no_seal_up(other):
    insert(other, [row(at=hours(30))])
    begun = time.monotonic()
    assert sealing.seal(start=START, end=NEXT) == [START.date()]
    assert time.monotonic() - begun < 0.5


def test_a_writer_that_meets_the_sealing_is_late_after_it():
    with transaction.atomic():
        sealing.seal(start=START, end=NEXT)
        done = threading.Event()

        def come():
            with other_connection() as conn:
                insert(conn, [row(at=hours(1))])
                conn.commit()
            done.set()

        thread = threading.Thread(target=come)
        thread.start()
        assert not done.wait(0.3)
    thread.join(10)
    assert (total_rows(), LateRow.objects.count(), rollups.pending()) == (1, 1, 0)


def test_a_snapshot_older_than_the_seal_cannot_write_past_it(other):
    other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    other.execute("SELECT count(*) FROM metric_sealed_days")
    sealing.seal(start=START, end=NEXT)
    with pytest.raises(psycopg.errors.SerializationFailure):
        insert_at_once(other, [row(at=hours(1))])


def test_a_mark_on_a_sealed_bucket_computes_nothing(other):
    write(other, row(at=hours(1)))
    sealing.seal(start=START, end=NEXT)
    delete_counted()
    rollups.mark([("a", "cpu", "percent", hours(1))])
    assert total_rows() == 1
    rollups.refresh()
    assert (total_rows(), rollups.pending()) == (1, 0)


def test_sealed_days_are_no_differences_and_expire_after_their_time(other, settings):
    write(other, row(at=hours(1)), row(at=hours(30)))
    sealing.seal(start=START, end=NEXT)
    delete_counted()
    settings.ROLLUPS_METRICS_DAYS = 10
    rollups.refresh()
    assert rollup_verify.verify(now=END).differences == []
    assert rollup_verify.expire(now=NEXT + timedelta(days=9, hours=1)) == 0
    assert rollup_verify.expire(now=NEXT + timedelta(days=30)) == 1
    assert (RollupDay.objects.get().day, RollupHour.objects.get().hour) == (NEXT.date(), hours(30))
