"""Killed before and after each thing that a run, a restore and an expiry do, one after the other and not by chance."""

import json
import os
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from feedback.models import InsightFeedback
from tests.retention import faults, rows
from tests.retention.rows import DAY, NOW, OLD, TABLES
from tests.retention.test_faults import expected_after_filling, nothing_is_lost, wanted
from utxoiq_admin.retention import restoring, runs
from utxoiq_admin.retention.models import Archive, Run

STRESS = bool(os.environ.get("STRESS"))
METRICS, FEEDBACK = "system_metrics", "insight_feedback"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stress]


def places(work, *, few):
    """All events of the work, before and after each; in a quick run `few` of them, spread evenly."""
    longest = faults.events_of(work)
    found = [(number, after) for number in range(1, longest + 1) for after in (False, True)]
    return found if STRESS else found[:: len(found) // few]


def a_run(clock, *, tables=()):
    asked, _ = runs.request(trigger=Run.Trigger.COMMAND, by="faults", clock=clock, tables=tables, send=False)
    return faults.a_run(asked.pk)


def killed(work, place):
    assert faults.killed_at(work, place) == "killed 9", place
    faults.time_passes()


def something_of_everything(number, clock, expected):
    """Rows that are due, late ones, and a restored object whose hold is over and of which a row was edited since."""
    before = {table: rows.in_database(table) for table in TABLES}
    rows.fill(1, 20, start=OLD + number * DAY)
    if number:
        with connection.cursor() as cursor:
            cursor.execute(
                """INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp")
                   SELECT 'late', 'cpu', 1, 'percent', max(day) + interval '1 h' FROM metric_sealed_days"""
            )
    expected_after_filling(expected, before)
    archived = Archive.objects.filter(table=FEEDBACK, state=Archive.State.ARCHIVED, superseded=[]).first()
    if archived:
        faults.time_passes()
        restoring.restore(archive=archived, until=clock - DAY, by="tests", now=clock - 2 * DAY)
        edited = InsightFeedback.objects.filter(
            created_at__range=(archived.first_at, archived.last_at)
        ).first()
        edited.comment += "edited"
        edited.save()
        (line,) = (each for each in rows.in_database(FEEDBACK) if json.loads(each)["id"] == str(edited.pk))
        expected[FEEDBACK, str(edited.pk)] = line


def test_a_run(settings, capsys):
    settings.ARCHIVE_METRICS_DAYS = 0  # so many days are filled that some would leave the archive
    late, expected = NOW + 500 * DAY, {}
    for number in range(2):
        something_of_everything(number, late, expected)
        assert rows.run(now=late).state == "succeeded"
    something_of_everything(2, late, expected)
    chosen = places(a_run(late), few=8)
    for number, place in enumerate(chosen, start=3):
        clock = late + number * timedelta(hours=1)
        something_of_everything(number, clock, expected)
        killed(a_run(clock), place)
        nothing_is_lost(expected, [])
    assert rows.run(now=late + len(chosen) * DAY).state == "succeeded"
    assert rows.held_together() == wanted(expected)
    if STRESS:
        with capsys.disabled():
            print(f"\n{len(chosen)} kills of a run, {len(expected)} rows")


def test_a_restore_brings_back_all_or_nothing(capsys):
    rows.fill(3, 12)
    whole = rows.everything()
    rows.run()
    kept = dict.fromkeys(Archive.objects.values_list("pk", flat=True))
    until = NOW + timedelta(minutes=1)

    def a_restore(table):
        archive = Archive.objects.filter(table=table, state=Archive.State.ARCHIVED).order_by("?").first()
        return faults.a_restore(archive, until, NOW)

    kills = Counter()
    for table in (METRICS, FEEDBACK):
        chosen = places(a_restore(table), few=3)
        rows.run(now=until + timedelta(hours=1))
        for place in chosen:
            killed(a_restore(table), place)
            assert rows.held_together() == whole
            back = Archive.objects.filter(state=Archive.State.RESTORED)
            assert sum(rows.in_database(table).values()) == sum(each.rows for each in back)
            rows.run(now=until + timedelta(hours=1))  # drops the partition again too
            kills[table] += 1
    assert dict.fromkeys(Archive.objects.values_list("pk", flat=True)) == kept
    assert rows.held_together() == whole
    if STRESS:
        with capsys.disabled():
            print(f"\n{dict(kills)} kills of restores")


def test_expiry_leaves_no_object_behind_and_takes_no_other(archive_folder, capsys):
    rows.fill(1, 8)
    rows.run()
    expired, over = [METRICS], NOW + 2000 * DAY
    others = {each.key for each in Archive.objects.exclude(table=METRICS)}
    chosen = places(a_run(over, tables=expired), few=4)
    for number, place in enumerate(chosen, start=1):
        rows.fill(1, 8, start=OLD + number * DAY)
        assert rows.run().state == "succeeded"
        killed(a_run(over, tables=expired), place)
        for archive in Archive.objects.filter(state=Archive.State.REMOVED):
            assert not (archive_folder / archive.key).exists() and archive.removed_at
    assert rows.run(now=over, tables=expired).state == "succeeded"
    assert set(Archive.objects.filter(table=METRICS).values_list("state", flat=True)) == {"removed"}
    others |= {each.key for each in Archive.objects.exclude(table=METRICS)}
    assert {f"{path.relative_to(archive_folder)}" for path in archive_folder.rglob("*.gz")} == others
    if STRESS:
        with capsys.disabled():
            print(f"\n{len(chosen)} kills of an expiry")
