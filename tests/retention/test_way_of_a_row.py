"""What is due leaves the tables by way of verified objects, and nothing else does."""

import hashlib
import json
from datetime import timedelta

import pytest
from django.db import connection, transaction

from backfill.models import BackfillJob
from feedback.models import InsightFeedback, InsightFlag, JudgedFlag, ReviewEvent
from metrics import rollup_verify, rollups
from metrics.models import LateRow, RollupHour, SystemMetric
from metrics.partitions import ensure_months, listing
from tests.feedback.reviewing import moderator
from tests.metrics.rollup_writers import other_connection
from tests.retention import rows
from tests.retention.rows import DAY, NOW, OLD, TABLES, everything, fill, held_together, run
from utxoiq_admin.retention import archiving, removal, spool, storage
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES

pytestmark = pytest.mark.django_db(transaction=True)


def left():
    return {table: sum(lines.values()) for table, lines in everything().items()}


def test_every_row_is_in_the_archive_exactly_once_and_no_more_in_its_table():
    fill()
    before = everything()
    done = run()
    assert (done.state, done.error) == ("succeeded", "")
    assert left() == dict.fromkeys(TABLES, 0)
    assert held_together() == before
    figures = {each.table: (each.rows_verified, each.rows_deleted, each.state) for each in done.figures.all()}
    assert figures == {
        table: (sum(lines.values()), sum(lines.values()), "succeeded") for table, lines in before.items()
    }


def test_a_day_with_more_rows_than_a_slice_becomes_several_objects(monkeypatch):
    monkeypatch.setattr(spool, "SLICE_ROWS", 16)
    fill(days=1)
    before = everything()
    run()
    assert sorted(Archive.objects.filter(table="system_metrics").values_list("rows", flat=True)) == [
        8,
        16,
        16,
    ]
    assert held_together() == before and left() == dict.fromkeys(TABLES, 0)


def test_rows_of_one_instant_that_fill_more_than_a_slice_all_leave(monkeypatch):
    monkeypatch.setattr(spool, "SLICE_ROWS", 5)
    ensure_months([OLD.date()])
    SystemMetric.objects.bulk_create(
        SystemMetric(service_name="s", metric_type="cpu", metric_value=n, unit="ms", timestamp=OLD)
        for n in range(12)
    )
    before = everything()
    run()
    assert held_together() == before and left()["system_metrics"] == 0


def test_young_rows_open_jobs_and_feedback_with_an_undecided_flag_stay():
    ensure_months([(NOW - 91 * DAY).date(), (NOW - 90 * DAY).date()])
    job = {"job_type": "blocks", "start_block": 1, "end_block": 9, "current_block": 1}
    for status in ("running", "paused", "completed", "failed"):
        BackfillJob.objects.create(status=status, created_by=status, started_at=OLD, **job)
    BackfillJob.objects.create(status="completed", created_by="young", started_at=NOW - 180 * DAY, **job)
    for user, flag, at in (
        ("f", "spam", OLD),
        ("j", "spam", OLD),
        ("o", None, OLD),
        ("y", None, NOW - 729 * DAY),
    ):
        InsightFeedback.objects.create(insight_id="i", user_id=user, flag_type=flag, created_at=at)
    judged = InsightFlag.objects.get(user_id="j")
    event = ReviewEvent.objects.create(insight_id="i", kind="decision", verdict="spam", moderator=moderator())
    JudgedFlag.objects.create(flag_id=judged.pk, insight_id="i", user_id="j", verdict="spam", event=event)
    for hours in (90 * 24 + 13, 90 * 24 + 11):  # either side of the midnight that is at least 90 days back
        SystemMetric.objects.create(
            service_name="s",
            metric_type="cpu",
            metric_value=1,
            unit="ms",
            timestamp=NOW - timedelta(hours=hours),
        )
    run()
    assert set(BackfillJob.objects.values_list("created_by", flat=True)) == {"running", "paused", "young"}
    assert set(InsightFeedback.objects.values_list("user_id", flat=True)) == {"f", "y"}
    assert [each.timestamp for each in SystemMetric.objects.all()] == [NOW - timedelta(hours=90 * 24 + 11)]


def test_an_object_is_plain_gzip_with_a_row_as_json_in_each_line(archive_folder):
    fill(days=1, rows=len(rows.ODD) * 4)
    wanted = {each.pk: each.metric_metadata for each in SystemMetric.objects.all()}
    run(tables=("system_metrics",))
    archive = Archive.objects.get()
    lines = [json.loads(line) for line in rows.lines(archive)]
    assert {each["id"]: each["metric_metadata"] for each in lines} == {str(k): v for k, v in wanted.items()}
    beside = json.loads((archive_folder / archive.manifest_key).read_text())
    total = sum(int.from_bytes(hashlib.md5(line.encode()).digest()) for line in rows.lines(archive))
    assert (beside["rows"], beside["checksum"]) == (len(wanted), f"{total % 2**128:032x}")
    assert archive.key.startswith("system_metrics/2024/03/system_metrics_20240310T000000000000_")


def between(monkeypatch, step, what):
    """Have `what` done once, just before the run takes that step."""
    ordinary = getattr(archiving, step)

    def first(work, archive, *rest):
        monkeypatch.setattr(archiving, step, ordinary)
        what(archive)
        return ordinary(work, archive, *rest)

    monkeypatch.setattr(archiving, step, first)


def test_a_row_edited_meanwhile_stays_and_its_old_line_counts_as_superseded(monkeypatch, archive_folder):
    fill(days=1)
    edited = InsightFeedback.objects.first()
    with connection.cursor() as cursor:
        cursor.execute("SELECT md5(row_to_json(t)::text) FROM insight_feedback t WHERE id = %s", [edited.pk])
        old_line = cursor.fetchone()[0]

    def edit(_archive):
        InsightFeedback.objects.filter(pk=edited.pk).update(comment="better")

    between(monkeypatch, "_remove", edit)
    run(tables=("insight_feedback",))
    assert [each.comment for each in InsightFeedback.objects.all()] == ["better"]
    first = Archive.objects.get()
    assert (len(first.superseded), first.rows_deleted) == (1, first.rows - 1)
    # The bucket alone tells it too.
    assert json.loads((archive_folder / first.manifest_key).read_text())["superseded"] == [old_line]
    run(tables=("insight_feedback",))
    assert InsightFeedback.objects.count() == 0
    found = rows.in_archive("insight_feedback")
    assert [json.loads(line)["comment"] for line in found if json.loads(line)["id"] == str(edited.pk)] == [
        "better"
    ]
    assert sum(found.values()) == first.rows


def test_retention_withdraws_no_flag_and_leaves_jobs_their_ledger():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM backfill_ledger")
        before = cursor.fetchone()[0]
    fill(days=1)
    InsightFlag.objects.create(insight_id="i2024-03-100-1", user_id="u", flag_type="spam", flagged_at=OLD)
    run()
    assert InsightFlag.objects.get().withdrawn_at is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM backfill_ledger")
        assert cursor.fetchone()[0] == before + 10


def hours():
    return set(RollupHour.objects.values_list("service_name", "hour", "rows", "lowest", "highest"))


def test_rollups_say_the_same_before_and_after_late_rows_included(monkeypatch):
    fill(days=2)

    def come_late(_archive):
        with other_connection() as server:
            server.execute(
                "INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, timestamp)"
                " VALUES ('late', 'cpu', 7e300, 'percent', %s)",
                [OLD + timedelta(hours=3)],
            )

    between(monkeypatch, "_verify", come_late)
    run(tables=("system_metrics",))
    assert (SystemMetric.objects.count(), LateRow.objects.count()) == (1, 1)
    run(tables=("system_metrics",))
    assert (SystemMetric.objects.count(), LateRow.objects.count()) == (0, 0)
    assert sum(each[2] for each in hours()) == 81
    assert ("late", OLD + timedelta(hours=3), 1, 7e300, 7e300) in hours()
    assert rollups.pending() == 0 and rollup_verify.verify_day(OLD.date()) == []


def test_deleting_from_a_day_that_is_not_sealed_is_refused(monkeypatch):
    fill(days=1)
    monkeypatch.setattr(archiving.sealing, "seal", lambda **_range: [])
    done = run(tables=("system_metrics",))
    assert done.state == "failed" and "2024-03-10 is not sealed" in done.error
    assert SystemMetric.objects.count() == 40


def test_empty_partitions_before_the_hot_window_are_dropped_and_others_not():
    fill(days=1)
    ensure_months([(NOW - 90 * DAY).date()])
    done = run(tables=("system_metrics",))
    names = {each.name for each in listing()}
    assert "system_metrics_2024_03" not in names and "system_metrics_2026_08" in names
    figures = done.figures.get()
    assert figures.partitions_dropped >= 1 and figures.bytes_freed > 0


def test_one_table_that_fails_stops_no_other(monkeypatch):
    fill(days=1)
    ordinary = storage.upload

    def upload(key, content):
        if key.startswith("insight_feedback"):
            raise storage.StorageFailed(f"{key} could not be written: 503")
        ordinary(key, content)

    monkeypatch.setattr(storage, "upload", upload)
    done = run()
    assert done.state == "failed"
    assert {each.table: each.state for each in done.figures.all()} == {
        "backfill_jobs": "succeeded", "insight_feedback": "failed", "system_metrics": "succeeded",
    }  # fmt: skip
    assert left() == {"backfill_jobs": 0, "insight_feedback": 40, "system_metrics": 0}


def test_rows_that_others_keep_locked_are_told_and_left(monkeypatch):
    monkeypatch.setattr(archiving, "ATTEMPTS", 2)
    monkeypatch.setattr(removal, "BOUNDS", "SET LOCAL lock_timeout = '50ms'")
    fill(days=1)
    with other_connection() as server:
        server.execute("SELECT FROM insight_feedback FOR UPDATE")
        done = run(tables=("insight_feedback",))
    assert "stayed locked by other transactions" in done.error
    assert InsightFeedback.objects.count() == 40
    run(tables=("insight_feedback",))
    assert InsightFeedback.objects.count() == 0


def test_the_deletion_reads_by_time_and_hashes_the_proof():
    """A nested loop over a slice's rows, or a scan of a whole month, would be ten times slower."""
    fill(days=20, rows=500)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE system_metrics")
        cursor.execute(removal._TEMPORARY)
        cursor.execute(
            """INSERT INTO retention_proof SELECT id, "timestamp", md5(id::text)::uuid FROM system_metrics
               WHERE "timestamp" < %s""",
            [OLD + DAY],
        )
        names = removal._names(POLICIES["system_metrics"], "system_metrics_2024_03", OLD, OLD + DAY)
        cursor.execute("EXPLAIN " + removal._DELETE.format(**names).as_string(None))
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Hash Join" in plan and "Index Scan" in plan and "Nested Loop" not in plan
