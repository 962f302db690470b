"""Whatever happens to a run, every row is in the database or in a verified object, and in the end exactly once."""

import json
import os
import random
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db.models import Sum

from metrics import rollups
from metrics.models import RollupHour
from tests.retention import fault_kinds, faults, rows
from tests.retention.editor import Editor
from tests.retention.rows import DAY, NOW, OLD, TABLES
from utxoiq_admin.retention import runs
from utxoiq_admin.retention.models import Archive, Run

STRESS = bool(os.environ.get("STRESS"))
COUNT = 200 if STRESS else 20
CLEAN_EACH = 5

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stress]


def expected_after_filling(expected, before):
    for table in TABLES:
        for line in rows.in_database(table) - before[table]:
            expected[table, json.loads(line)["id"]] = line


def wanted(expected):
    found = {table: Counter() for table in TABLES}
    for (table, _), line in expected.items():
        found[table][line] += 1
    return found


def everywhere(table):
    """All lines that can be read, old versions too."""
    there = rows.in_database(table)
    for archive in Archive.objects.with_object().filter(table=table):
        there.update(rows.lines(archive))
    return there


def nothing_is_lost(expected, edited):
    """And what the editor wrote is expected from now on; where its commit is not sure, if it is found anywhere."""
    there = {table: everywhere(table) for table in TABLES}
    for table, key, line, sure in edited:
        if sure or there[table][line]:
            expected[table, key] = line
    for table, needed in wanted(expected).items():
        assert not needed - there[table]


def work_of(chance, clock):
    """A run, or sometimes a restore; with it what became of its request."""
    archived = Archive.objects.filter(state=Archive.State.ARCHIVED).order_by("?").first()
    if archived and chance.random() < 0.2:
        return faults.a_restore(archived, clock + timedelta(minutes=1), clock), "restore"
    asked, _ = runs.request(trigger=Run.Trigger.COMMAND, by="faults", clock=clock, send=False)
    return faults.a_run(asked.pk), "run"


def one_fault(number, chance, longest, expected, notes):
    clock = NOW + number * timedelta(hours=1)
    before = {table: rows.in_database(table) for table in TABLES}
    rows.fill(1, 20, start=OLD + number * DAY)
    expected_after_filling(expected, before)
    breaking = fault_kinds.Faults(chance, longest)
    breaking.clock = clock
    kind = fault_kinds.KINDS[number % len(fault_kinds.KINDS)]
    work, what = work_of(chance, clock)
    if kind == "stalls_and_is_taken_over" and what == "restore":
        kind = "killed_at_a_step"
    editor = Editor(number, notes)
    try:
        outcome = getattr(breaking, kind)(work)
    finally:
        edited = editor.over()
    faults.time_passes()
    nothing_is_lost(expected, edited)
    return f"{number} {what} {kind}: {outcome}", breaking.struck, Counter(table for table, *_ in edited)


def events_of_a_run(expected):
    rows.fill(1, 20, start=OLD - DAY)
    expected_after_filling(expected, {table: Counter() for table in TABLES})
    asked, _ = runs.request(trigger=Run.Trigger.COMMAND, by="faults", clock=NOW, send=False)
    return faults.events_of(faults.a_run(asked.pk))


def test_faults_of_every_kind(capsys, tmp_path):
    seed = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
    with capsys.disabled():
        print(f"\n{COUNT} faults, SEED={seed}", flush=True)
    chance = random.Random(seed)
    expected, told, changes, injected, number = {}, [], Counter(), 0, 0
    longest = events_of_a_run(expected)
    try:
        while injected < COUNT:
            number += 1
            outcome, struck, edited = one_fault(number, chance, longest, expected, tmp_path / "notes")
            told.append(outcome if struck else f"{outcome}, before the fault came")
            changes, injected = changes + edited, injected + struck
            if number % CLEAN_EACH == CLEAN_EACH - 1:
                assert rows.run(now=NOW + number * timedelta(hours=1)).state in ("succeeded", "failed")
        last = rows.run(now=NOW + number * DAY)
        assert (last.state, last.error) == ("succeeded", "")
        assert rows.held_together() == wanted(expected)
        assert {table: sum(rows.in_database(table).values()) for table in TABLES} == dict.fromkeys(TABLES, 0)
        rollups.refresh()
        counted = RollupHour.objects.aggregate(n=Sum("rows"))["n"]
        assert counted == sum(table == "system_metrics" for table, _ in expected)
    finally:
        if STRESS:
            with capsys.disabled():
                print("\n".join(told))
                print(
                    f"{len(expected)} rows, {dict(changes)} written meanwhile, {Archive.objects.count()} objects"
                )
    assert min(changes["insight_feedback"], changes["system_metrics"]) > COUNT
