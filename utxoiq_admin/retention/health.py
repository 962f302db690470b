"""Whether the promise is kept: the last success and its age, for the first page and as a metric."""

from datetime import datetime, timedelta

from django.urls import reverse

from utxoiq_admin.core.display import first_line, span
from utxoiq_admin.core.health import Check, Level
from utxoiq_admin.retention import runs
from utxoiq_admin.retention.models import Run
from utxoiq_admin.retention.policies import POLICIES

LATE = timedelta(hours=26)  # a night and two hours
BROKEN = timedelta(days=3)


def last_success() -> datetime | None:
    """When a run of all tables last ended well; None when none ever did. One of some tables keeps no promise."""
    whole = Run.objects.filter(state=Run.State.SUCCEEDED, tables__contains=list(POLICIES))
    return whole.order_by("-finished_at").values_list("finished_at", flat=True).first()


def retention_check(now: datetime) -> Check:
    """One sentence on the last run, or on the pause."""
    url = reverse("retention")
    last = Run.objects.filter(open=None).order_by("-finished_at").first()
    success = last_success()
    if (pause := runs.current_pause()) is not None:
        return Check("retention", Level.SOON, f"retention is {pause}", pause.created_at, url, "retention")
    if last is None:
        return Check(
            "retention", Level.OK, "retention: first run at the next 02:00", url=url, link="retention"
        )
    if last.state in (Run.State.FAILED, Run.State.CRASHED):
        text = f"retention {last.state}: {first_line(last.error, otherwise='no reason noted')}"
        age = now - (success or last.requested_at)
        level = Level.BROKEN if age > BROKEN or success is None else Level.SOON
        return Check("retention", level, text, last.finished_at, url, "retention")
    if success is None or now - success > LATE:
        when = f"{span((now - success).total_seconds())} ago" if success else "never"
        level = Level.BROKEN if success is None or now - success > BROKEN else Level.SOON
        return Check("retention", level, f"retention last succeeded {when}", success, url, "retention")
    text = f"retention {success:%H:%M} ({span((now - success).total_seconds())} ago)"
    return Check("retention", Level.OK, text, success, url, "retention")
