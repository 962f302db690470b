"""Retention: a run over old metrics, beside the same SELECT as JSON lines through gzip on one connection.

The run does all of it: seal, spool, upload to a folder, read back, read back again, delete by proof. It is a process of
its own, whose peak memory is the operating system's figure. Rows of a month long past, a row a minute of 200 series.
"""

import os
import re
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.db import connection

from benchmarks.data import MINUTES, SERIES, SERVICES, TYPES
from benchmarks.report import Report
from metrics import rollups
from metrics.partitions import ensure_months, months
from utxoiq_admin.retention.spool import GZIP_LEVEL

START = datetime(2024, 3, 1, tzinfo=UTC)
GOAL = 3.0  # times as long as the baseline
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
MEMORY_LIMIT = 200 * 1024 * 1024


def measure(report: Report, *, sizes: list[int]) -> None:
    """Seconds for each size beside the baseline, and the run's peak memory."""
    for place, rows in enumerate(sizes):
        start = START + timedelta(days=60 * place)
        built = _build(rows, start)
        bare = _bare(start)
        seconds, memory = _run()
        print(
            f"  retention of {built:,} rows: {built / seconds:,.0f} rows/s; SELECT through gzip "
            f"{built / bare:,.0f} rows/s; a run has {bare / seconds:.2f} of its rate"
        )
        report.add(
            f"retention of {built:,} rows (limit: 3 x SELECT through gzip)",
            seconds * 1000,
            bare * 1000 * GOAL,
        )
        report.add(
            f"peak memory of it, MiB (limit: {MEMORY_LIMIT >> 20})", memory / 2**20, MEMORY_LIMIT / 2**20, ""
        )


def _build(rows: int, start: datetime) -> int:
    end = start + timedelta(minutes=rows // SERIES)
    ensure_months(list(months(start.date(), end.date())))
    built, day = 0, start
    with connection.cursor() as cursor:
        while day < end:
            until = min(end, day + timedelta(days=1))
            cursor.execute(MINUTES, [day, until, SERVICES, TYPES])
            built += cursor.rowcount
            day = until
            rollups.refresh()
        cursor.execute("VACUUM (ANALYZE) system_metrics")
    return built


def _bare(start: datetime) -> float:
    """The baseline: one COPY of a SELECT of rows as JSON, through gzip into a file."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)
    begun = time.perf_counter()
    query = f"""COPY (SELECT row_to_json(t) FROM system_metrics t WHERE "timestamp" >= '{start:%Y-%m-%d}'
        AND "timestamp" < '{start + timedelta(days=59):%Y-%m-%d}' ORDER BY "timestamp")
        TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"""
    with (
        TemporaryDirectory() as folder,
        Path(folder, "rows.gz").open("wb") as file,
        connection.cursor() as cursor,
    ):
        with cursor.copy(query) as copy:
            for line in copy:
                file.write(packer.compress(bytes(line)))
        file.write(packer.flush())
        os.fsync(file.fileno())
    return time.perf_counter() - begun


def _run() -> tuple[float, int]:
    """(seconds, peak bytes) of `manage.py run_retention`; what starting Python and Django takes is taken off."""
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "ARCHIVE_URL": Path(folder).as_uri(), "LOG_LEVEL": "WARNING"}
        begun = time.perf_counter()
        _manage(["run_retention", "--dry-run", "--now", "2020-01-01"], environment)
        empty = time.perf_counter() - begun
        begun = time.perf_counter()
        memory = _manage(["run_retention", "--table", "system_metrics"], environment)
        return time.perf_counter() - begun - empty, memory


def _manage(arguments: list[str], environment: dict[str, str]) -> int:
    """Run a command in a process of its own; its peak memory in bytes.

    By /proc while it runs: what wait4 tells includes the parent's own memory, which the child shares until it begins.
    """
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        env=environment,
        cwd=settings.BASE_DIR,
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    while process.poll() is None:
        with suppress(OSError):
            found = PEAK.search(Path(f"/proc/{process.pid}/status").read_text())
            peak = int(found[1]) * 1024 if found else peak
        time.sleep(0.02)
    assert process.returncode == 0, f"{arguments} ended with {process.returncode}"
    return peak
