"""Celery's doors to the services of `feedback`."""

from feedback import figures, figures_verify, review_rows, review_texts
from utxoiq_admin.core.heartbeats import heard_task
from utxoiq_admin.core.task_runs import recorded


@heard_task("feedback.refresh_figures")
def refresh_figures() -> str:
    """Every 5 s: changes are added to the figures. Readers add what is left, so nothing is wrong if it is late."""
    return f"{figures.refresh()} changes"


@recorded("feedback.verify_figures")
def verify_figures() -> str:
    """Nightly: some insights by chance are counted from their rows, and mended if their figures differ."""
    found = figures_verify.verify(sample=figures_verify.SAMPLE)
    return f"{found.differed} of {found.checked} insights differed and were mended"


@heard_task("feedback.refresh_reviews")
def refresh_reviews() -> str:
    """Every 5 s: insights whose flags changed are computed anew."""
    return f"{review_rows.refresh(wait=False)} marks"


@heard_task("feedback.warm_texts")
def warm_texts() -> str:
    """Every minute: the texts of the insights that come up next, so that a moderator waits for none."""
    return f"{review_texts.warm()} texts"


@recorded("feedback.measure_queue", expires=240)
def measure_queue() -> str:
    """Every five minutes: what time alone changed in the queue, and a sample of its length and age."""
    return review_rows.measure()
