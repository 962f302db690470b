"""Runs: one at a time, taken over, stopped, paused; asked for by API, page, schedule and command."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from feedback.models import InsightFeedback
from tests.accounts.access import bearer, signed_in, token
from tests.core.conftest import until
from tests.retention.rows import DAY, NOW, fill, run
from utxoiq_admin.core.leases import LeaseLost, hold
from utxoiq_admin.core.models import Lease, TaskRun
from utxoiq_admin.monitoring import sources
from utxoiq_admin.retention import archiving, health, runs, services, tasks, views
from utxoiq_admin.retention.models import Archive, Pause, Run
from utxoiq_admin.retention.policies import POLICIES

pytestmark = pytest.mark.django_db(transaction=True)
RUN = "/api/v1/monitoring/retention/run"


def ask(**changes):
    return runs.request(trigger=Run.Trigger.COMMAND, by="tests", clock=NOW, send=False, **changes)


def test_a_second_request_gets_the_run_that_is_there():
    first, new = ask()
    assert new and ask() == (first, False)
    services.perform(run_id=first.pk)
    assert ask()[1]


def test_two_who_ask_at_once_get_one_run():
    found = []

    def work():
        found.append(ask())
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [each.start() for each in threads]
    [each.join(10) for each in threads]
    assert len({run.pk for run, _ in found}) == 1 and sum(new for _, new in found) == 1


def test_a_run_that_fell_silent_is_marked_crashed_and_its_rows_leave_with_the_next(monkeypatch):
    fill(days=1, rows=8)

    def dies(*_args):
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(archiving, "_remove", dies)
        broken.setattr(runs, "end", lambda *_args: None)
        with pytest.raises(SystemExit):
            run(tables=("insight_feedback",))
    crashed = Run.objects.get()
    assert (crashed.state, Archive.objects.get().state) == ("running", "verified")
    done = run(tables=("insight_feedback",))
    crashed.refresh_from_db()
    assert (crashed.state, done.state) == ("crashed", "succeeded")
    assert (InsightFeedback.objects.count(), Archive.objects.count()) == (0, 1)


def test_a_run_whose_lease_was_taken_commits_no_deletion(monkeypatch):
    fill(days=1, rows=8)
    ordinary = archiving.remove_rows

    def robbed(archive, policy, lease, **rest):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE core_leases SET token = gen_random_uuid()")
        return ordinary(archive, policy, lease, **rest)

    monkeypatch.setattr(archiving, "remove_rows", robbed)
    asked, _ = ask(tables=("insight_feedback",))
    with pytest.raises(LeaseLost):
        services.perform(run_id=asked.pk)
    assert InsightFeedback.objects.count() == 8
    assert Run.objects.get().state == "crashed"


def test_a_run_stops_between_slices_when_asked_and_goes_on_next_time(monkeypatch):
    monkeypatch.setattr(runs, "PULSE", 0.01)
    fill(days=3, rows=8)
    ordinary = archiving._remove

    def stopped_after(work, archive, *rest):
        done = ordinary(work, archive, *rest)
        assert runs.stop(run=work.run, by="ana")
        until(lambda: work.at.__self__._stopped)
        return done

    monkeypatch.setattr(archiving, "_remove", stopped_after)
    done = run(tables=("insight_feedback",))
    assert done.state == "stopped" and done.error.startswith(
        "Stopped by ana before: insight_feedback: 2024-03-11"
    )
    assert InsightFeedback.objects.count() == 16
    monkeypatch.undo()
    assert run(tables=("insight_feedback",)).state == "succeeded" and InsightFeedback.objects.count() == 0


def test_a_pause_skips_nights_visibly_and_people_may_still_run():
    fill(days=1, rows=8)
    runs.pause(until=timezone.now() + DAY, by="ana", reason="migration")
    tasks.run.run()
    skipped = Run.objects.get()
    assert (skipped.state, skipped.trigger) == ("skipped", "schedule")
    assert "by ana (migration)" in skipped.error
    assert TaskRun.objects.get(name="retention.run").detail == skipped.error
    assert run().state == "succeeded"
    runs.pause(until=timezone.now() + 2 * DAY, by="bo")
    assert (Pause.objects.count(), runs.current_pause().by) == (2, "bo")
    assert runs.resume(by="bo") and runs.current_pause() is None
    tasks.run.run()
    assert Run.objects.filter(trigger="schedule", state="succeeded").count() == 1


def test_the_night_is_skipped_while_other_work_holds_the_lease():
    with hold(runs.LEASE, ttl=runs.TTL):
        tasks.run.run()
    assert "Other work of retention was under way: 'retention' is held by" in Run.objects.get().error


def test_a_run_that_was_taken_over_while_it_read_back_verifies_nothing(monkeypatch):
    fill(days=1, rows=8)
    read = archiving.exhaust

    def taken_over(lines):
        read(lines)
        Lease.objects.filter(name=runs.LEASE).update(token=uuid.uuid4())

    monkeypatch.setattr(archiving, "exhaust", taken_over)
    with pytest.raises(LeaseLost):
        run()
    assert set(Archive.objects.values_list("state", flat=True)) == {"writing"}


def test_the_command_says_when_nothing_was_done():
    with hold(runs.LEASE, ttl=runs.TTL), pytest.raises(CommandError, match=r"Nothing was done\. Other work"):
        call_command("run_retention")


def test_the_api_starts_a_run_answers_the_running_one_and_tells_how_it_went(client):
    fill(days=1, rows=8)
    _, secret = token("retention:run")
    answers = [client.generic("POST", RUN, headers=bearer(secret)) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    first, second = (each.json() for each in answers)
    assert first["id"] == second["id"] and first["state"] == "queued" and first["requested_by"] == "web-api"
    asked = TaskRun.objects.get(name="retention.run")
    assert (asked.args, asked.queue) == ({"run": first["id"]}, "long")
    Run.objects.update(clock=NOW)
    tasks.run.run(str(asked.pk))
    done = client.get(first["url"], headers=bearer(secret)).json()
    assert (done["state"], done["error"]) == ("succeeded", "")
    assert {each["table"]: each["rows_deleted"] for each in done["tables"]} == {
        "backfill_jobs": 2, "insight_feedback": 8, "system_metrics": 8,
    }  # fmt: skip


def test_the_api_refuses_tables_without_policy_and_paused_nights(client):
    _, secret = token("retention:run")
    answer = client.post(
        RUN, {"tables": ["auth_user"]}, content_type="application/json", headers=bearer(secret)
    )
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (422, "body.tables")
    runs.pause(until=timezone.now() + DAY, by="ana")
    answer = client.generic("POST", RUN, headers=bearer(secret))
    assert (answer.status_code, answer.json()["errors"][0]["what"]) == (409, "paused")
    assert Run.objects.count() == 0


def test_the_command_previews_and_runs(capsys):
    fill(days=2, rows=8)
    call_command("run_retention", "--dry-run", now=NOW)
    assert (
        "insight_feedback: 16 rows from 2024-03-10 to 2024-03-11 to archive and delete"
        in capsys.readouterr().out
    )
    assert InsightFeedback.objects.count() == 16 and Run.objects.count() == 0
    call_command("run_retention", now=NOW, table=["insight_feedback"])
    assert capsys.readouterr().out == "16 rows verified, 16 deleted\n"
    call_command("run_retention", "--dry-run", now=NOW, table=["insight_feedback"])
    assert "insight_feedback: nothing is due (rows before 2024-11-24 would be)" in capsys.readouterr().out


def test_a_command_whose_run_fails_ends_with_the_reason(settings, tmp_path):
    fill(days=1, rows=8)
    (tmp_path / "file").write_text("no folder")
    settings.ARCHIVE_URL = (tmp_path / "file" / "below").as_uri()
    with pytest.raises(CommandError, match="could not be written"):
        call_command("run_retention", now=NOW)


def ended(state, finished_at, *, tables=tuple(POLICIES), error=""):
    return Run.objects.create(
        trigger="schedule", requested_by="s", tables=list(tables), open=None, state=state,
        finished_at=finished_at, error=error,
    )  # fmt: skip


def test_the_check_says_how_it_stands():
    now = timezone.now()
    assert health.retention_check(now).level.name == "OK"
    good = ended("succeeded", now - timedelta(hours=3))
    assert health.retention_check(now).text == f"retention {good.finished_at:%H:%M} (3 h ago)"
    for hours, level in ((30, "SOON"), (80, "BROKEN")):
        Run.objects.update(finished_at=now - timedelta(hours=hours))
        assert health.retention_check(now).level.name == level
    ended("failed", now, error="disk\nfull")
    assert health.retention_check(now).text == "retention failed: disk"
    runs.pause(until=now + DAY, by="ana")
    assert "paused until" in health.retention_check(now).text


def test_the_age_of_the_last_success_is_measured_and_one_of_some_tables_is_none():
    assert sources.retention().values == []
    now = timezone.now()
    ended("succeeded", now - timedelta(hours=30))
    ended("succeeded", now, tables=["backfill_jobs"])
    ended("failed", now)
    (age,) = sources.retention().values
    assert (age.metric_type, age.unit) == ("retention_age", "s")
    assert 30 * 3600 <= age.value < 30 * 3600 + 60
    assert health.retention_check(now).level.name == "SOON"


ACTIONS = {
    "/retention/run/": {},
    "/retention/pause/": {"until": "2026-12-01T02:00"},
    "/retention/resume/": {},
}


@pytest.mark.parametrize("kind", ["anonymous", "outsider", "staff", "moderators", "ops"])
def test_who_may_start_pause_and_restore(kind):
    client, run_there = signed_in(kind), ask()[0]
    archive = Archive.objects.create(
        table="system_metrics",
        key="k",
        state="archived",
        first_at=NOW,
        last_at=NOW,
        verified_at=NOW,
        rows=1,
        bytes=1,
    )
    tomorrow = (timezone.now() + DAY).strftime("%Y-%m-%d")
    paths = {
        **ACTIONS,
        f"/retention/{run_there.pk}/stop/": {},
        f"/archives/{archive.pk}/restore/": {"until": tomorrow},
    }
    for path, data in paths.items():
        assert client.get(path).status_code in (
            405,
            403 if kind in ("outsider", "staff", "moderators") else 302,
        )
        answer = client.post(path, data)
        assert answer.status_code == (302 if kind in ("anonymous", "ops") else 403), path
        assert kind != "anonymous" or answer["Location"].startswith("/admin/login/")
    assert TaskRun.objects.filter(name="retention.restore").count() == (kind == "ops")
    run_there.refresh_from_db()
    assert run_there.state == ("stopped" if kind == "ops" else "queued")


def test_a_pause_that_cannot_be_changes_nothing():
    client = signed_in("ops")
    far = (timezone.now() + 40 * DAY).isoformat()[:16]
    for given in ("", "tomorrow", "2020-01-01T00:00", far):
        client.post("/retention/pause/", {"until": given})
    assert Pause.objects.count() == 0


def test_the_page_shows_what_was_done_and_what_is_kept():
    fill(days=2, rows=8)
    run()
    page = signed_in("staff").get("/retention/")
    kept = {
        each.policy.table: (each.objects, each.archived_rows, each.last.rows_deleted)
        for each in page.context["kept"]
    }
    assert kept == {
        "backfill_jobs": (2, 4, 4),
        "insight_feedback": (2, 16, 16),
        "system_metrics": (2, 16, 16),
    }
    text = page.content.decode()
    assert "Preview run" not in text and "Pause until" not in text
    assert "Preview run" in signed_in("ops").get("/retention/").content.decode()
    assert views.next_night(NOW).isoformat() == "2026-11-25T02:00:00+00:00"
