"""What runs by itself: each periodic task with its rhythm and how its last run ended."""

from typing import Any

from django.db.models import OuterRef, Subquery
from django_celery_beat.models import PeriodicTask

from utxoiq_admin.core.models import TaskRun
from utxoiq_admin.core.pages import Page

RECENT = 20


def rhythm(task: PeriodicTask) -> str:
    """When a task runs, in words: "every 60 s", "daily 00:10"; other crontabs as the library describes them."""
    if task.interval:
        return f"every {task.interval.every} {task.interval.period}"
    cron = task.crontab
    if cron and cron.minute.isdigit() and cron.hour.isdigit():
        days = {"*": "daily", "0": "Sundays"}.get(cron.day_of_week, f"on weekday {cron.day_of_week}")
        return f"{days} {int(cron.hour):02}:{int(cron.minute):02}"
    return str(cron.human_readable) if cron else "–"


class SchedulePage(Page):
    title = "Schedule"
    template_name = "schedule.html"
    permission_required = "core.view_taskrun"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        newest = TaskRun.objects.filter(name=OuterRef("task")).order_by("-queued_at", "-id")
        tasks = (
            PeriodicTask.objects.exclude(task="celery.backend_cleanup")
            .select_related("interval", "crontab")
            .annotate(last_run=Subquery(newest.values("pk")[:1]))
            .order_by("name")
        )
        runs = TaskRun.objects.in_bulk([task.last_run for task in tasks if task.last_run])
        return super().get_context_data(
            rows=[(task, rhythm(task), runs.get(task.last_run)) for task in tasks],
            recent=TaskRun.objects.order_by("-queued_at", "-id")[:RECENT],
            **kwargs,
        )
