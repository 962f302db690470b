"""`make bench`: our figures beside their limits, in one run on one machine.

Sizes are flags: `make bench ARGS="--metrics 2000000"`. The data is made anew in a PostgreSQL of its own, in a
temporary folder (26 million rows take about 8 GB there and some minutes).
"""

import argparse
import os
import time

NEEDS_METRICS = ("lists", "services", "charts", "drawing", "ingest")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--metrics", type=int, default=26_000_000, help="rows in system_metrics")
    parser.add_argument("--feedback", type=int, default=5_000_000, help="rows in insight_feedback")
    parser.add_argument("--repeat", type=int, default=40, help="requests measured per page")
    parser.add_argument("--ingest-requests", type=int, default=40, help="batches of 5,000 rows a turn")
    parser.add_argument("--connections", type=int, default=4, help="connections that write at once")
    parser.add_argument(
        "--retention",
        type=int,
        nargs="+",
        default=[1_000_000, 5_000_000],
        help="old rows of metrics, each a run",
    )
    parser.add_argument(
        "--only",
        choices=[*NEEDS_METRICS, "progress", "feedback", "queue", "retention"],
        help="measure nothing else",
    )
    options = parser.parse_args()

    from tests import servers

    os.environ.setdefault("TMPDIR", "/var/tmp")
    servers.POSTGRES_SETTINGS.update(shared_buffers="1GB", max_wal_size="8GB", maintenance_work_mem="512MB")
    servers.start()
    try:
        os.environ["DJANGO_SETTINGS_MODULE"] = "utxoiq_admin.settings"
        import django

        django.setup()
        run(options)
    finally:
        servers.servers.stop()


def run(options: argparse.Namespace) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    from benchmarks import (
        charts,
        data,
        drawing,
        feedback,
        ingest,
        lists,
        progress,
        queue,
        retention,
        services,
    )
    from benchmarks.report import Report

    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    setup_test_environment()
    call_command("migrate", verbosity=0)
    freeze_what_stays()
    if options.only in (None, *NEEDS_METRICS):
        begun = time.monotonic()
        rows = data.build_metrics(options.metrics)
        print(f"built {rows:,} metrics in {time.monotonic() - begun:.0f} s", flush=True)
    if options.only in (None, "feedback", "queue"):
        begun = time.monotonic()
        rows = data.build_feedback(options.feedback)
        print(f"built {rows:,} rows of feedback in {time.monotonic() - begun:.0f} s", flush=True)
    report = Report()
    if options.only in (None, "lists"):
        lists.measure(report, repeat=options.repeat)
    if options.only in (None, "services"):
        services.measure(report, repeat=options.repeat)
    if options.only in (None, "charts"):
        charts.measure(report, repeat=options.repeat)
    if options.only in (None, "drawing"):
        drawing.measure(report, repeat=max(5, options.repeat // 4))
    if options.only in (None, "ingest"):
        ingest.measure(report, requests=options.ingest_requests, connections=options.connections, turns=3)
    if options.only in (None, "progress"):
        progress.measure(report)
    if options.only in (None, "feedback"):
        feedback.measure(report, repeat=options.repeat)
    if options.only in (None, "queue"):
        queue.measure(report, repeat=options.repeat)
    if options.only in (None, "retention"):
        retention.measure(report, sizes=options.retention)
    report.print()


def freeze_what_stays() -> None:
    """As each of gunicorn's workers does (`stack/gunicorn.conf.py`): else one page in twenty waits for a collection."""
    import gc

    from django.urls import get_resolver

    assert get_resolver().url_patterns  # loads every view
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
