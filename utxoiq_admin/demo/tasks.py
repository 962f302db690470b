"""Celery's doors to the demo data."""

from utxoiq_admin.core.task_runs import recorded
from utxoiq_admin.demo import living, removal


@recorded("demo.keep_alive", expires=50)
def keep_alive() -> str:
    """Each minute: the demo data goes on."""
    return f"{living.keep_alive()} rows"


@recorded("demo.remove")
def remove() -> str:
    """Remove the demo data, as somebody asked for on a page."""
    return f"{removal.remove_demo()} rows removed"
