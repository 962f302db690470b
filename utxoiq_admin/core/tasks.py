"""The ground floor's own periodic task."""

from utxoiq_admin.core import enqueue, task_runs


@task_runs.recorded("core.tick")
def tick() -> str:
    """Send messages that were lost, give up runs whose worker died, delete old rows."""
    lost = task_runs.mark_lost()
    removed, _ = task_runs.clean_up()
    sent = enqueue.send_overdue()
    return f"{sent} messages sent again, {lost} runs lost, {removed} old runs removed"
