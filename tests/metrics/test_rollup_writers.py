"""Random writers, several transactions open at once: at every step every bucket is what its raw rows say.

Small here; `make stress` runs 200, and 16 writers for a minute.
"""

import os
import random
import threading
import time
from datetime import timedelta

import psycopg
import pytest
import time_machine
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import rollup_verify, rollups, sealing
from metrics.models import LateRow, RollupDay, RollupHour, RollupMark, SealedDay, SystemMetric
from metrics.partitions import ensure_months
from metrics.reading import DAY, HOUR, Source
from tests.accounts.access import token
from tests.metrics.rollup_writers import (
    DAYS,
    END,
    PARTITION,
    SERVICES,
    START,
    TYPES,
    UNITS,
    VALUES,
    answer,
    assert_exact,
    buckets,
    copy,
    insert,
    insert_at_once,
    other_connection,
    raw,
    row,
)
from tests.metrics.writing import send

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stress]
STRESS = os.environ.get("STRESS") == "1"
RUNS, STEPS, SECONDS, WRITERS = (200, 20, 60, 16) if STRESS else (25, 8, 3, 8)
TABLES = ("system_metrics", PARTITION)
OPEN = START + timedelta(days=1)  # the first day is sealed at some moment, the others stay open


@pytest.fixture(autouse=True)
def november():
    ensure_months([START.date()])


class Run:
    """Writers with open transactions, a day that gets sealed, and what must hold after each step."""

    def __init__(self, chance: random.Random, secret: str) -> None:
        self.chance, self.secret = chance, secret
        self.writers = [other_connection() for _ in range(3)]
        # A writer waits for rows that another has changed and not committed; here that is a step that fails.
        for writer in self.writers:
            writer.execute("SET lock_timeout = '100ms'")
            writer.commit()
        # Of each hour of the sealed day the values that count, and those of rows that are not committed yet.
        self.sealed: dict[tuple, list[float]] | None = None
        self.late: dict[object, list[tuple]] = {writer: [] for writer in self.writers}

    def close(self) -> None:
        for writer in self.writers:
            writer.close()

    def step(self) -> None:
        chance = self.chance
        writer = chance.choice(self.writers)
        action = chance.choices(
            (self.write, self.post, self.change, self.remove, self.refresh, self.seal), (8, 4, 4, 2, 4, 1)
        )[0]
        try:
            action(writer)
        except psycopg.errors.LockNotAvailable:
            self.end(writer, commit=False)
        if chance.random() < 0.6:
            self.end(writer, commit=chance.random() < 0.75)

    def end(self, writer, *, commit: bool) -> None:
        (writer.commit if commit else writer.rollback)()
        late, self.late[writer] = self.late[writer], []
        if commit:
            self.count(late)

    def count(self, rows) -> None:
        """Rows that came after their day was sealed count on top."""
        for _, service, kind, value, unit, at in rows:
            hour = int(at.timestamp()) // HOUR * HOUR
            self.sealed.setdefault((service, kind, unit, hour), []).append(value)

    def some_rows(self, most: int) -> list[tuple]:
        pick = self.chance.choice
        return [
            row(pick(SERVICES), pick(TYPES), pick(VALUES), pick(UNITS), self.moment())
            for _ in range(self.chance.randint(1, most))
        ]

    def came_late(self, rows) -> list[tuple]:
        return [each for each in rows if self.sealed is not None and each[5] < OPEN]

    def post(self, writer) -> None:
        """Over HTTP, half of them with ids, and sometimes twice."""
        rows, named = self.some_rows(12), self.chance.random() < 0.5
        body = [
            {
                "service_name": service,
                "metric_type": kind,
                "metric_value": value,
                "unit": unit,
                "timestamp": at.isoformat(),
            }
            | ({"id": str(key)} if named else {})
            for key, service, kind, value, unit, at in rows
        ]
        for _ in range(1 + (named and self.chance.random() < 0.3)):
            with time_machine.travel(END, tick=False):
                assert send(self.secret, body).status_code == 200
        self.count(self.came_late(rows))

    def moment(self):
        return START + timedelta(seconds=self.chance.randrange(DAYS * DAY))

    def write(self, writer) -> None:
        rows, pick = self.some_rows(12), self.chance.choice
        pick((insert, insert_at_once, copy))(writer, rows, pick(TABLES))
        self.late[writer] += self.came_late(rows)

    def some(self) -> str:
        """Some rows of the days that stay open."""
        share = self.chance.randrange(256)
        return f"\"timestamp\" >= '{OPEN}' AND ('x' || substr(md5(id::text), 1, 2))::bit(8)::int < {share}"

    def change(self, writer) -> None:
        shift = self.chance.randrange(0, DAY)
        what = self.chance.choice(
            (
                f"metric_value = {self.chance.choice(VALUES)!r}",
                "service_name = CASE service_name WHEN 'a' THEN 'b' ELSE 'a' END",
                "unit = 'ms', metric_type = 'cpu'",
                "metric_metadata = '{}'",
                f"\"timestamp\" = least(\"timestamp\" + interval '{shift} s', '{END - timedelta(seconds=1)}')",
            )
        )
        table = self.chance.choice(TABLES)
        writer.execute(f"UPDATE {table} SET {what} WHERE {self.some()}")

    def remove(self, writer) -> None:
        writer.execute(f"DELETE FROM {self.chance.choice(('system_metrics', PARTITION))} WHERE {self.some()}")

    def refresh(self, writer) -> None:
        rollups.refresh(batch=self.chance.choice((1, 7, 5000)))

    def seal(self, writer) -> None:
        """Seal the first day; once it is, let retention take some of its rows."""
        if self.sealed is None:
            for each in self.writers:
                each.commit()
            sealing.seal(start=START, end=OPEN)
            self.sealed = raw(HOUR, end=OPEN)
        keys = list(SystemMetric.objects.filter(timestamp__lt=OPEN).values_list("pk", "timestamp"))
        keys = self.chance.sample(keys, self.chance.randint(0, len(keys)))
        before = self.first_day()
        with sealing.uncounted():
            sealing.merge_late(keys)
            SystemMetric.objects.filter(pk__in=[key for key, _ in keys]).delete()
        assert same(self.first_day(), before)

    def first_day(self) -> dict:
        return buckets(answer(start=START, end=OPEN))

    def check(self) -> None:
        if self.sealed is None:
            assert_exact()
            return
        counted = {key: (len(v), min(v), max(v)) for key, v in self.sealed.items()}
        assert {k: (v[0], v[2], v[3]) for k, v in self.first_day().items()} == counted
        days = buckets(answer(Source.DAILY, DAY, start=START, end=OPEN))
        assert sum(rows for rows, *_ in days.values()) == sum(map(len, self.sealed.values()))
        for source, step in ((Source.HOURLY, HOUR), (Source.DAILY, DAY)):
            for sketches in (False, True):
                found = buckets(answer(source, step, sketches, start=OPEN))
                wanted = raw(step, start=OPEN)
                assert {k: (v[0], v[2], v[3]) for k, v in found.items()} == {
                    k: (len(v), v[0], v[-1]) for k, v in wanted.items()
                }


def same(one: dict, two: dict) -> bool:
    return {k: (v[0], v[2], v[3]) for k, v in one.items()} == {k: (v[0], v[2], v[3]) for k, v in two.items()}


@settings(max_examples=RUNS, deadline=None, derandomize=not STRESS, suppress_health_check=list(HealthCheck))
@given(st.integers(min_value=0, max_value=2**32))
def test_every_bucket_is_exact_at_every_step(secret, seed):
    run = Run(random.Random(seed), secret)
    try:
        for _ in range(STEPS):
            run.step()
            run.check()
    finally:
        run.close()
        with connection.cursor() as cursor:
            for model in (SystemMetric, RollupMark, RollupHour, RollupDay, SealedDay, LateRow):
                cursor.execute(f"TRUNCATE {model._meta.db_table}")


@pytest.fixture
def secret():
    return token("metrics:write")[1]


def some_row(chance: random.Random) -> tuple:
    at = START + timedelta(seconds=chance.randrange(2 * HOUR))
    return row(f"s{chance.randrange(5)}", "cpu", chance.random(), "ms", at)


def test_many_writers_at_once_lose_nothing_and_wait_for_nobody(secret, settings):
    """Each transaction has several statements over the same series; a refresher runs all the while.

    A quarter of the writers come over HTTP, the others by INSERT and COPY into the table or a partition.
    """
    settings.RETENTION_METRICS_DAYS = 36_500  # START is inside, whenever this runs
    end = time.monotonic() + SECONDS
    errors: list[BaseException] = []
    written: list[int] = []

    def write(number: int) -> None:
        chance, count = random.Random(number), 0
        with other_connection() as conn:
            try:
                while time.monotonic() < end:
                    for _ in range(3):
                        rows = [some_row(chance) for _ in range(20)]
                        chance.choice((insert_at_once, copy))(conn, rows, chance.choice(TABLES))
                    conn.commit()
                    count += 60
            except BaseException as error:
                errors.append(error)
        written.append(count)

    def post(number: int) -> None:
        chance, count = random.Random(number), 0
        try:
            while time.monotonic() < end:
                rows = [some_row(chance) for _ in range(60)]
                body = [
                    {"id": str(key), "service_name": service, "metric_type": kind, "metric_value": value, "unit": unit,
                     "timestamp": at.isoformat()}
                    for key, service, kind, value, unit, at in rows
                ]  # fmt: skip
                receipt = send(secret, body).json()
                assert (receipt["accepted"], receipt["duplicate"]) == (60, 0)
                count += 60
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()
        written.append(count)

    threads = [threading.Thread(target=post if n % 4 == 3 else write, args=(n,)) for n in range(WRITERS)]
    [each.start() for each in threads]
    while any(each.is_alive() for each in threads):
        rollups.refresh()
        time.sleep(0.05)
    [each.join() for each in threads]
    rollups.refresh()
    assert (errors, len(written)) == ([], WRITERS)
    assert SystemMetric.objects.count() == sum(written)
    assert sum(RollupHour.objects.values_list("rows", flat=True)) == sum(written)
    assert rollup_verify.verify_day(START.date()) == []
    print(f"\n{WRITERS} writers, {SECONDS} s: {sum(written):,} rows, none lost")
