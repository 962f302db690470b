"""What Celery beat sends, and when. A message that nobody took in `expire_seconds` is worth nothing any more."""

from typing import Any

from celery.schedules import crontab

SCHEDULE: dict[str, dict[str, Any]] = {
    "start rows whose message was lost": {
        "task": "core.tick",
        "schedule": 60.0,
        "options": {"expire_seconds": 50},
    },
    "measure host and servers": {
        "task": "monitoring.measure",
        "schedule": 60.0,
        "options": {"expire_seconds": 50},
    },
    "tidy what is known of backfill jobs": {
        "task": "backfill.tidy",
        "schedule": 600.0,
        "options": {"expire_seconds": 300},
    },
    "make partitions ahead": {
        "task": "metrics.maintain_partitions",
        "schedule": crontab(hour="0", minute="10"),
        "options": {"expire_seconds": 3600},
    },
    "bring rollups up to date": {
        "task": "metrics.refresh_rollups",
        "schedule": 5.0,
        "options": {"expire_seconds": 5},
    },
    "add changes to the figures of insights": {
        "task": "feedback.refresh_figures",
        "schedule": 5.0,
        "options": {"expire_seconds": 5},
    },
    "compare figures of insights with their rows": {
        "task": "feedback.verify_figures",
        "schedule": crontab(hour="0", minute="50"),
        "options": {"expire_seconds": 3600},
    },
    "note which instances report": {
        "task": "metrics.note_instances",
        "schedule": 60.0,
        "options": {"expire_seconds": 50},
    },
    "bring the review queue up to date": {
        "task": "feedback.refresh_reviews",
        "schedule": 5.0,
        "options": {"expire_seconds": 5},
    },
    "ask for the texts that come up in the queue": {
        "task": "feedback.warm_texts",
        "schedule": 60.0,
        "options": {"expire_seconds": 50},
    },
    "measure the review queue": {
        "task": "feedback.measure_queue",
        "schedule": 300.0,
        "options": {"expire_seconds": 240},
    },
    "compare rollups with their rows": {
        "task": "metrics.verify_rollups",
        "schedule": crontab(hour="0", minute="40"),
        "options": {"expire_seconds": 3600},
    },
    "archive, verify, delete": {
        "task": "retention.run",
        "schedule": crontab(hour="2", minute="0"),
        "options": {"expire_seconds": 6 * 3600, "queue": "long"},
    },
    "take over a retention run that crashed": {
        "task": "retention.watch",
        "schedule": 300.0,
        "options": {"expire_seconds": 240},
    },
}
DEMO: dict[str, dict[str, Any]] = {
    "keep demo data alive": {
        "task": "demo.keep_alive",
        "schedule": 60.0,
        "options": {"expire_seconds": 50},
    }
}


def beat_schedule(*, demo: bool) -> dict[str, dict[str, Any]]:
    """The schedule for the settings; with the demo's upkeep where demo data may be loaded, and nowhere else."""
    return SCHEDULE | (DEMO if demo else {})
