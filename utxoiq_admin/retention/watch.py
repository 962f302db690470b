"""A run that crashed is noticed and taken over; a night that failed, or was missed, is made up for before noon."""

from datetime import timedelta

from django.utils import timezone

from utxoiq_admin.retention import runs
from utxoiq_admin.retention.models import Run

TRIES = 3  # runs in a row that did not succeed; from then on a person is needed
FAILED_WAIT = timedelta(hours=1)  # what failed by itself (the storage, a lock) needs time; a crash does not
MISSED_WAIT = timedelta(minutes=15)  # for the schedule's message to be taken up
TOO_OLD = timedelta(hours=12)  # of the last end: the next night is nearer than the last


def watch() -> str:
    """Every few minutes: mark what fell silent, knock again for what waits, ask for another try; what was done."""
    runs.mark_crashed()
    if waiting := Run.objects.filter(open=True).first():
        runs.knock_again(waiting)
        return f"{waiting.state} since {waiting.requested_at:%H:%M}"
    if runs.current_pause():
        return "paused"
    if _missed():
        runs.request(trigger=Run.Trigger.SCHEDULE, by="schedule, late")
        return "asked for the night's run, which did not take place"
    latest = list(Run.objects.exclude(state=Run.State.SKIPPED)[:TRIES])
    if not latest or not _wants_another(latest):
        return "nothing to do"
    last = latest[0]
    run, new = runs.request(
        trigger=Run.Trigger(last.trigger), by=f"after {last}"[:150], tables=last.tables, clock=last.clock
    )
    return f"asked for another try, {latest[0].state} before" if new else f"{run.state} meanwhile"


def _missed() -> bool:
    """Whether the night passed without a run of the schedule: nothing was up, or another run was under way."""
    now = timezone.now()
    night = runs.last_night(now)
    nights = Run.objects.filter(trigger=Run.Trigger.SCHEDULE)
    last = nights.order_by("-requested_at").values_list("requested_at", flat=True).first()
    return last is not None and last < night and MISSED_WAIT <= now - night < TOO_OLD


def _wants_another(latest: list[Run]) -> bool:
    """By the runs, the latest first: a crash at once, a failed night after an hour, and neither for ever."""
    last, ended = latest[0], latest[0].finished_at
    unlucky = [each.state in (Run.State.CRASHED, Run.State.FAILED) for each in latest]
    if not unlucky[0] or ended is None or (len(unlucky) == TRIES and all(unlucky)):
        return False
    if last.trigger == Run.Trigger.COMMAND:  # somebody sits before it
        return False
    age = timezone.now() - ended
    if last.state == Run.State.FAILED:
        return last.trigger == Run.Trigger.SCHEDULE and FAILED_WAIT <= age < TOO_OLD
    return age < TOO_OLD
