"""What runs by itself: each periodic task with its rhythm and how its last run ended."""

from typing import Any

from django_celery_beat.models import PeriodicTask

from utxoiq_admin.core.models import Heartbeat, TaskRun
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
        tasks = (
            PeriodicTask.objects.exclude(task="celery.backend_cleanup")
            .select_related("interval", "crontab")
            .order_by("name")
        )
        names = [task.task for task in tasks]
        runs, heard = TaskRun.objects.newest_of(names), Heartbeat.objects.in_bulk(names)
        return super().get_context_data(
            rows=[(task, rhythm(task), runs.get(task.task), heard.get(task.task)) for task in tasks],
            recent=TaskRun.objects.order_by("-queued_at", "-id")[:RECENT],
            **kwargs,
        )
