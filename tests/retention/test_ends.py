"""However a run ends, by a stop, a loss of its lease or a failure, each slice is whole and every row stands once."""

import uuid

import pytest

from feedback.models import InsightFeedback
from metrics import partitions
from tests.core.conftest import until
from tests.metrics.rollup_writers import other_connection
from tests.retention import rows
from tests.retention.faults import time_passes
from tests.retention.rows import DAY, NOW, everything, fill, held_together, run
from tests.retention.test_runs import ask
from utxoiq_admin.core.leases import LeaseLost
from utxoiq_admin.core.models import Lease
from utxoiq_admin.retention import archiving, expiry, removal, runs, services, storage
from utxoiq_admin.retention.models import Archive, Run, RunTable
from utxoiq_admin.retention.proof import Damaged

pytestmark = pytest.mark.django_db(transaction=True)
FEEDBACK = ("insight_feedback",)


def rob() -> None:
    Lease.objects.filter(name=runs.LEASE).update(token=uuid.uuid4())


def before(monkeypatch, place, name, action):
    """Have `action` done directly before a function of ours is called."""
    ordinary = getattr(place, name)

    def first(*args, **kwargs):
        action()
        return ordinary(*args, **kwargs)

    monkeypatch.setattr(place, name, first)


def table_states(done: Run) -> dict[str, str]:
    return dict(done.figures.values_list("table", "state"))


def test_a_stop_in_the_middle_of_a_slice_ends_after_it(monkeypatch):
    monkeypatch.setattr(runs, "PULSE", 0.01)
    fill(days=2, rows=8)
    verify = archiving._verify

    def stopped(work, archive):
        assert runs.stop(run=work.run, by="ana")
        until(lambda: work.at.__self__._stopped)
        return verify(work, archive)

    monkeypatch.setattr(archiving, "_verify", stopped)
    done = run(tables=FEEDBACK)
    assert (done.state, table_states(done)) == ("stopped", {"insight_feedback": "stopped"})
    assert Archive.objects.get().state == "archived" and InsightFeedback.objects.count() == 8


def test_tables_that_were_not_reached_wait_and_the_one_at_work_is_stopped_when_a_run_crashes(monkeypatch):
    fill(days=1, rows=8)
    before(monkeypatch, archiving, "_remove", rob)
    asked, _ = ask()
    with pytest.raises(LeaseLost):
        services.perform(run_id=asked.pk)
    assert table_states(asked) == {
        "backfill_jobs": "stopped", "insight_feedback": "waiting", "system_metrics": "waiting",
    }  # fmt: skip


def test_a_run_that_fell_silent_leaves_no_table_at_work():
    silent = Run.objects.create(
        trigger="page", requested_by="ana", tables=[], state="running", token=uuid.uuid4()
    )
    RunTable.objects.create(run=silent, table="backfill_jobs", state="running")
    assert runs.mark_crashed() == 1
    assert table_states(silent) == {"backfill_jobs": "stopped"}


@pytest.mark.parametrize("step", ["expire", "sweep"])
def test_a_run_that_was_taken_over_removes_no_object(monkeypatch, archive_folder, step):
    fill(days=1, rows=8)
    run(tables=("system_metrics",))
    if step == "sweep":
        Archive.objects.update(state="failed")
    before(monkeypatch, expiry, "_remove_object", rob)
    asked, _ = runs.request(
        trigger=Run.Trigger.COMMAND, by="tests", clock=NOW + 1000 * DAY, tables=["system_metrics"], send=False
    )
    with pytest.raises(LeaseLost):
        services.perform(run_id=asked.pk)
    assert (archive_folder / Archive.objects.get().key).exists()
    assert Archive.objects.get().removed_at is None


def test_a_run_that_was_taken_over_drops_no_partition(monkeypatch):
    fill(days=1, rows=8)
    before(monkeypatch, partitions, "drop_empty", rob)
    asked, _ = ask(tables=("system_metrics",))
    with pytest.raises(LeaseLost):
        services.perform(run_id=asked.pk)
    assert f"system_metrics_{rows.OLD:%Y_%m}" in {each.name for each in partitions.listing()}


def test_a_run_that_was_taken_over_calls_no_object_damaged(monkeypatch):
    fill(days=1, rows=8)
    whole, proof_of, reads = everything(), removal.proof_of, []

    def cut_short(archive, policy, *, verified=None):
        reads.append(archive.key)
        if len(reads) > 1:
            return proof_of(archive, policy, verified=verified)
        time_passes()  # the other reads the object well, and its rows leave
        assert run(tables=FEEDBACK).state == "succeeded"
        raise Damaged("it ends early")

    monkeypatch.setattr(removal, "proof_of", cut_short)
    asked, _ = ask(tables=FEEDBACK)
    with pytest.raises(LeaseLost):
        services.perform(run_id=asked.pk)
    assert (Archive.objects.get().state, Archive.objects.get().error) == ("archived", "")
    assert held_together() == whole


def test_an_object_that_cannot_be_read_keeps_no_other_from_leaving_and_its_rows_stand_in_no_second_one(
    monkeypatch,
):
    fill(days=3, rows=8)
    whole = everything()

    def refuse(*_args, **_kwargs):
        raise storage.StorageFailed("503 Slow Down")

    # Three days are verified, and their rows stand: as if the run had been killed before each deletion.
    with monkeypatch.context() as broken:
        broken.setattr(archiving, "_remove", lambda work, archive, *_: archiving.Removed(archive.rows, 0))
        run(tables=FEEDBACK)
    assert set(Archive.objects.values_list("state", flat=True)) == {"verified"}
    refused = Archive.objects.order_by("first_at")[1]
    opened = storage.opened
    with monkeypatch.context() as broken:
        broken.setattr(storage, "opened", lambda key: refuse() if key == refused.key else opened(key))
        done = run(tables=FEEDBACK)
    assert (done.state, done.error) == ("failed", "503 Slow Down")
    assert (InsightFeedback.objects.count(), Archive.objects.count()) == (8, 3)
    assert run(tables=FEEDBACK).state == "succeeded"
    assert held_together() == whole and Archive.objects.count() == 3


def test_rows_that_stay_locked_keep_no_other_object_from_leaving(monkeypatch):
    monkeypatch.setattr(archiving, "ATTEMPTS", 1)
    fill(days=2, rows=8)
    with monkeypatch.context() as broken:
        broken.setattr(archiving, "_remove", lambda work, archive, *_: archiving.Removed(archive.rows, 0))
        run(tables=FEEDBACK)
    locked = InsightFeedback.objects.order_by("created_at").first()
    with other_connection() as other, other.transaction():
        other.execute("SELECT FROM insight_feedback WHERE id = %s FOR UPDATE", [locked.pk])
        done = run(tables=FEEDBACK)
    assert done.state == "failed" and "stayed locked by other transactions" in done.error
    assert (InsightFeedback.objects.count(), Archive.objects.count()) == (8, 2)


def test_storage_that_fails_is_asked_a_few_times_and_not_for_every_object(monkeypatch):
    fill(days=6, rows=8)
    with monkeypatch.context() as broken:
        broken.setattr(archiving, "_remove", lambda work, archive, *_: archiving.Removed(archive.rows, 0))
        run(tables=FEEDBACK)
    asked = []

    def refuse(key):
        asked.append(key)
        raise storage.StorageFailed("503 Slow Down")

    monkeypatch.setattr(storage, "opened", refuse)
    assert run(tables=FEEDBACK).state == "failed" and len(asked) == archiving.GIVE_UP


def test_a_lock_on_the_lease_is_held_while_an_object_is_removed(monkeypatch):
    fill(days=1, rows=8)
    run(tables=("system_metrics",))
    seen = []

    def taken(_key):
        with other_connection() as other, other.transaction():
            found = other.execute(
                "SELECT FROM core_leases WHERE name = %s FOR UPDATE SKIP LOCKED", [runs.LEASE]
            )
            seen.append(found.rowcount)

    monkeypatch.setattr(storage, "remove", taken)
    run(tables=("system_metrics",), now=NOW + 1000 * DAY)
    assert seen == [0, 0] and Archive.objects.get().state == "removed"


def test_lines_that_do_not_count_are_told_beside_the_object_or_nothing_is_deleted(monkeypatch):
    fill(days=1, rows=8)
    edited = InsightFeedback.objects.first()
    before(
        monkeypatch,
        archiving,
        "remove_rows",
        lambda: InsightFeedback.objects.filter(pk=edited.pk).update(rating=5),
    )
    write = storage.write_small

    def full(key, text):
        if '"superseded": []' not in text:
            raise storage.StorageFailed("503 Slow Down")
        write(key, text)

    with monkeypatch.context() as broken:
        broken.setattr(storage, "write_small", full)
        assert run(tables=FEEDBACK).error == "insight_feedback: 503 Slow Down"
    assert InsightFeedback.objects.count() == 8 and Archive.objects.get().state == "verified"
    assert run(tables=FEEDBACK).state == "succeeded"
    assert [each.state for each in Archive.objects.order_by("id")] == ["archived", "archived"]
