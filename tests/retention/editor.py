"""Somebody who changes rows while retention is at work."""

import json
import mmap
import random
import time
from pathlib import Path
from typing import Any

import psycopg

from tests.metrics.rollup_writers import other_connection
from tests.retention.faults import Events, fork, reap

EDITS, PAUSE = 25, 0.02  # at most so many in one run, seconds between two


class Editor:
    """Somebody who edits feedback and sends late metrics all the while, and notes what stands in the end.

    A process: with a second thread here, a fork could find a lock held that nobody gives back.
    """

    def __init__(self, seed: int, notes: Path) -> None:
        self.chance, self.notes = random.Random(seed), notes
        self._over = mmap.mmap(-1, 1)
        notes.write_text("")
        self._pid = fork(self._work)

    def over(self) -> list[tuple[str, str, str, bool]]:
        """End it; (table, id, line, sure) of each row as it was written, in order.

        Not sure: the connection was dropped around the commit, which may have happened or not.
        """
        self._over[0] = 1
        assert reap(self._pid) == "ended 0"
        return [tuple(json.loads(line)) for line in self.notes.read_text().splitlines()]

    def _work(self, events: Events) -> None:
        server = _other()
        with self.notes.open("a") as notes:
            for _ in range(EDITS):
                if self._over[0]:
                    return
                time.sleep(PAUSE)
                for write in (self._edit, self._come_late):
                    found: list[tuple[str, str, str]] = []
                    try:
                        with server.transaction():
                            found += write(server)
                        sure = True
                    except psycopg.OperationalError:
                        if not server.broken and not server.closed:
                            raise
                        server, sure = _other(), False
                    except psycopg.errors.CheckViolation:  # the partition of a late row is gone
                        continue
                    notes.writelines(json.dumps([*each, sure]) + "\n" for each in found)

    def _edit(self, server: Any) -> Any:
        return server.execute(
            """UPDATE insight_feedback SET comment = comment || '.', updated_at = now() WHERE id IN (
                 SELECT id FROM insight_feedback ORDER BY md5(id::text || %s) LIMIT 2 FOR UPDATE SKIP LOCKED)
               RETURNING 'insight_feedback', id::text, row_to_json(insight_feedback)::text""",
            [str(self.chance.random())],
        ).fetchall()

    def _come_late(self, server: Any) -> Any:
        return server.execute(
            """INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp")
               SELECT 'late', 'cpu', 1, 'percent', day + %s * interval '1 s' FROM metric_sealed_days
               ORDER BY day DESC LIMIT 1
               RETURNING 'system_metrics', id::text, row_to_json(system_metrics)::text""",
            [self.chance.randint(0, 86_399)],
        ).fetchall()


def _other() -> psycopg.Connection:
    server = other_connection()
    server.autocommit = True
    server.execute("SET TimeZone = 'UTC'")
    return server
