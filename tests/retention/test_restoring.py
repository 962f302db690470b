"""Restored rows are the rows that left, stay for their time, and leave again without a new object."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from feedback.models import InsightFeedback
from metrics.models import LateRow, RollupHour, SystemMetric
from tests.retention import rows
from tests.retention.rows import NOW, everything, fill, held_together, run
from tests.retention.test_damage import damage, flipped
from utxoiq_admin.core.leases import LeaseHeld, hold
from utxoiq_admin.retention import restoring, runs
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.proof import Damaged
from utxoiq_admin.retention.restoring import NotRestorable, restore

pytestmark = pytest.mark.django_db(transaction=True)
UNTIL = NOW + timedelta(days=3)


def back(archive, until=UNTIL):
    archive.refresh_from_db()
    return restore(archive=archive, until=until, by="tests", now=NOW)


def test_all_rows_come_back_as_they_were_and_leave_again_against_the_old_proof():
    fill(days=1)
    before = everything()
    run()
    assert {each.table: back(each).rows for each in Archive.objects.all()} == {
        table: sum(lines.values()) for table, lines in before.items()
    }
    assert everything() == before == held_together()
    assert set(Archive.objects.values_list("state", flat=True)) == {"restored"}
    run(now=UNTIL - timedelta(hours=1))
    assert everything() == before
    run(now=UNTIL + timedelta(hours=1))
    assert Archive.objects.count() == 3
    assert set(Archive.objects.values_list("state", flat=True)) == {"archived"}
    assert sum(map(len, everything().values())) == 0 and held_together() == before


def test_restored_metrics_are_not_counted_again():
    fill(days=1)
    run(tables=("system_metrics",))
    before = set(RollupHour.objects.values_list("service_name", "hour", "rows", "total"))
    back(Archive.objects.get())
    assert (SystemMetric.objects.count(), LateRow.objects.count()) == (40, 0)
    run(tables=("system_metrics",), now=UNTIL + timedelta(hours=1))
    assert SystemMetric.objects.count() == 0
    assert set(RollupHour.objects.values_list("service_name", "hour", "rows", "total")) == before


def test_a_key_that_stands_is_untouched_and_feedback_given_again_is_skipped_and_told():
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()
    first, second = (json.loads(line) for line in rows.lines(archive)[:2])
    again = InsightFeedback.objects.create(insight_id=first["insight_id"], user_id="u", comment="given again")
    InsightFeedback.objects.create(id=second["id"], insight_id="other", user_id="u", comment="same key")
    done = back(archive)
    assert (done.rows, done.already_there, done.superseded) == (6, 0, 0)
    assert sorted(done.named) == sorted([first["id"], second["id"]])
    again.refresh_from_db()
    assert again.comment == "given again"
    back(archive)
    assert InsightFeedback.objects.count() == 8


def test_restoring_twice_doubles_nothing():
    fill(days=1, rows=8)
    before = everything()
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()
    assert back(archive).rows == 8
    again = back(archive)
    assert (again.rows, again.already_there, again.skipped) == (0, 8, 0)
    assert everything() == before


def test_a_row_edited_while_it_was_back_is_archived_anew_and_its_old_line_stays_behind():
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()
    back(archive)
    edited = InsightFeedback.objects.first()
    InsightFeedback.objects.filter(pk=edited.pk).update(comment="edited")
    run(tables=("insight_feedback",), now=UNTIL + timedelta(hours=1))
    assert InsightFeedback.objects.count() == 0
    archive.refresh_from_db()
    assert len(archive.superseded) == 1 and Archive.objects.count() == 2
    assert sum(rows.in_archive("insight_feedback").values()) == 8
    done = back(archive, until=UNTIL + timedelta(days=3))
    assert (done.rows, done.superseded) == (7, 1)
    assert not InsightFeedback.objects.filter(pk=edited.pk).exists()


def test_rows_that_come_late_into_a_held_time_wait_with_the_others():
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()
    back(archive)
    InsightFeedback.objects.create(
        insight_id="new", user_id="u", created_at=archive.first_at + timedelta(seconds=1)
    )
    run(tables=("insight_feedback",), now=UNTIL - timedelta(hours=1))
    assert InsightFeedback.objects.count() == 9
    run(tables=("insight_feedback",), now=UNTIL + timedelta(hours=1))
    assert (InsightFeedback.objects.count(), Archive.objects.count()) == (0, 2)


def test_a_damaged_object_restores_nothing(archive_folder):
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()
    damage(archive_folder, archive, flipped)
    with pytest.raises(Damaged):
        back(archive)
    archive.refresh_from_db()
    assert (InsightFeedback.objects.count(), archive.state) == (0, "archived")


def test_what_cannot_be_restored_says_why():
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()
    with pytest.raises(NotRestorable, match="lies in the past"):
        back(archive, until=NOW - timedelta(hours=1))
    with hold(runs.LEASE, ttl=runs.TTL), pytest.raises(LeaseHeld):
        back(archive)
    Archive.objects.update(state="removed", removed_at=NOW)
    with pytest.raises(NotRestorable, match="is removed: there is nothing to restore"):
        back(archive)


def test_the_command_restores_by_key_and_by_time(capsys):
    fill(days=2, rows=8)
    run(tables=("insight_feedback",))
    first, second = Archive.objects.order_by("first_at")
    call_command("restore_archive", first.key)
    out = capsys.readouterr().out
    assert out.startswith(f"{first.key}, until ") and "UTC: 8 rows restored, 0 stood there" in out
    call_command("restore_archive", table="insight_feedback", start=second.first_at, end=second.last_at)
    second.refresh_from_db()
    assert second.state == "restored" and second.hold_until > timezone.now() + timedelta(days=6)
    with pytest.raises(CommandError, match="No object nowhere"):
        call_command("restore_archive", "nowhere")


def test_of_many_rows_that_are_skipped_some_are_named_and_all_counted(monkeypatch):
    monkeypatch.setattr(restoring, "SHOWN", 2)
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()
    for line in rows.lines(archive)[:5]:
        InsightFeedback.objects.create(
            insight_id=json.loads(line)["insight_id"], user_id="u", comment="again"
        )
    done = back(archive)
    assert (done.rows, done.already_there, done.skipped, len(done.named)) == (3, 0, 5, 2)
    assert done.in_words().splitlines()[-1] == "and 3 more, skipped for the same reason"
