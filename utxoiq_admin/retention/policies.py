"""How long rows live, and where: the platform's promise as settings. Everything else here obeys these lines."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.apps import apps
from django.conf import settings
from django.db.models import Model

from feedback.review_sql import OPEN
from metrics import partitions


@dataclass(frozen=True)
class Policy:
    """One table of the platform. `stays` is a condition on the row `t` that keeps it however old, in SQL."""

    table: str
    model_label: str
    time: str
    days_setting: str
    archive_days_setting: str
    stays: str = ""
    stays_words: str = ""
    in_months: bool = False  # partitioned, its rows rolled up, and its key (id, time)

    @property
    def days(self) -> int:
        """How long a row stays in the database."""
        return int(getattr(settings, self.days_setting))

    @property
    def archive_days(self) -> int:
        """How long an object stays in the archive; 0 for ever."""
        return int(getattr(settings, self.archive_days_setting))

    @property
    def model(self) -> type[Model]:
        return apps.get_model(self.model_label)

    def cutoff(self, now: datetime) -> datetime:
        """Rows before it leave: the midnight (UTC) that lies at least the period back, so that days go whole."""
        return midnight(now - timedelta(days=self.days))


def midnight(moment: datetime) -> datetime:
    """The start of its UTC day."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


# A moderator judges the flag with the comment that came with it; once that is done, the row goes like any other.
UNDECIDED = f"""t.flag_type IS NOT NULL AND EXISTS (SELECT FROM insight_flags f
WHERE f.insight_id = t.insight_id AND f.user_id = t.user_id AND {OPEN})"""

POLICIES = {
    policy.table: policy
    for policy in (
        Policy(
            "backfill_jobs",
            "backfill.BackfillJob",
            "started_at",
            "RETENTION_JOBS_DAYS",
            "ARCHIVE_JOBS_DAYS",
            stays="t.status IN ('running', 'paused')",
            stays_words="running and paused jobs stay",
        ),
        Policy(
            "insight_feedback",
            "feedback.InsightFeedback",
            "created_at",
            "RETENTION_FEEDBACK_DAYS",
            "ARCHIVE_FEEDBACK_DAYS",
            stays=UNDECIDED,
            stays_words="feedback whose flag is undecided stays",
        ),
        Policy(
            partitions.TABLE,
            "metrics.SystemMetric",
            "timestamp",
            "RETENTION_METRICS_DAYS",
            "ARCHIVE_METRICS_DAYS",
            in_months=True,
        ),
    )
}
