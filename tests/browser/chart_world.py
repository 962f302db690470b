"""A server with known metrics, and the chart page as a person drives it. The rows are loaded once for all tests.

web-api      cpu each minute for two days, each ten minutes for 80: extremes at known times, silent for 41 minutes;
             latency in one minute the values 1 to 100; traffic in bytes
indexer      cpu each minute, of two instances; the last 50 minutes of both are missing, so it looks worst
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import setup_databases
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from backfill.models import BackfillJob
from metrics import rollups
from metrics.models import SystemMetric
from metrics.partitions import ensure
from tests.accounts.access import person
from utxoiq_admin.core.cache import ALL, change_generations

# Before the whole minute in which the rows were loaded.
SPIKE, SPIKE_AT = 97.25, timedelta(hours=3)
DIP, DIP_AT = 1.5, timedelta(hours=30)
OLD_SPIKE, OLD_SPIKE_AT = 99.5, timedelta(days=12)
SILENT_FROM, SILENT_UNTIL = timedelta(hours=5, minutes=41), timedelta(hours=5)
WHO = "ops"
MANY = 10  # minutes ago, when latency was reported a hundred times

_ROWS = """
INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp", metric_metadata)
SELECT %(service)s, %(type)s, %(base)s + 10 * sin(extract(epoch FROM at) / 3600), %(unit)s, at,
       jsonb_build_object('instance_id', %(instance)s::text)
FROM generate_series(%(start)s, %(end)s, %(step)s) AS at
WHERE NOT (at > %(silent_from)s AND at < %(silent_until)s)
"""


class World:
    """`now` is the whole minute in which the rows were loaded."""

    now: datetime


def load_once() -> None:
    """Load the rows, unless they stand already."""
    if not User.objects.filter(username=WHO).exists():
        load()
        person(WHO)


def load() -> None:
    """The rows, and the rollups of all but one of them: what is drawn is then put together from both."""
    call_command("migrate", verbosity=0)
    ensure()
    minute = timedelta(minutes=1)
    now = World.now = timezone.now().replace(second=0, microsecond=0)
    silence = {"silent_from": now - SILENT_FROM, "silent_until": now - SILENT_UNTIL}
    cpu = {"service": "web-api", "type": "cpu", "unit": "percent", "base": 40, "instance": "web-0", **silence}
    recent = {"start": now - timedelta(days=2), "end": now - minute, "step": minute}
    old = {"start": now - timedelta(days=80), "end": now - timedelta(days=2, minutes=10), "step": 10 * minute}
    short = {"start": now - timedelta(hours=8), "end": now - 50 * minute, "step": minute}
    with connection.cursor() as cursor:
        for rows in (
            cpu | recent,
            cpu | old,
            cpu | short | {"service": "indexer", "base": 60, "instance": "indexer-0"},
            cpu | short | {"service": "indexer", "base": 20, "instance": "indexer-1"},
            cpu | short | {"type": "traffic", "unit": "bytes", "base": 3 * 1024**2, "end": now - minute},
        ):
            cursor.execute(_ROWS, rows)
    at = [(SPIKE_AT, SPIKE), (DIP_AT, DIP), (OLD_SPIKE_AT, OLD_SPIKE)]
    write("cpu", [(now - ago + timedelta(seconds=20), value) for ago, value in at], unit="percent")
    write(
        "latency", [(now - MANY * minute + timedelta(seconds=value % 60), value) for value in range(1, 101)]
    )
    rollups.refresh()
    write("cpu", [(now - timedelta(hours=1, seconds=-1), 41.0)], unit="percent")
    BackfillJob.objects.create(
        job_type="blocks", start_block=1, end_block=9, current_block=9, status="failed", error_message="no node",
        started_at=now - timedelta(hours=4), completed_at=now - timedelta(hours=2),
    )  # fmt: skip


def write(
    kind: str, values: list[tuple[datetime, float]], *, unit: str = "ms", service: str = "web-api"
) -> None:
    SystemMetric.objects.bulk_create(
        SystemMetric(service_name=service, metric_type=kind, metric_value=value, unit=unit, timestamp=at)
        for at, value in values
    )
    change_generations([ALL])  # as the listener does within a second


def remove(service: str) -> None:
    """Take the rows of a service away again: other tests count on the others alone."""
    SystemMetric.objects.filter(service_name=service).delete()
    rollups.refresh()
    change_generations([ALL])


def figures(service: str, kind: str, start: float, end: float) -> tuple[float, float, int, float]:
    """Lowest, highest, count and average by plain SQL over the raw rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT min(metric_value), max(metric_value), count(*), avg(metric_value) FROM system_metrics
               WHERE service_name = %s AND metric_type = %s AND "timestamp" >= %s AND "timestamp" < %s""",
            [service, kind, datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)],
        )
        return cursor.fetchone()


@contextmanager
def served() -> Iterator[str]:
    """The address of a server for as long as tests run: these come after all others, and the database is dropped."""
    if connection.settings_dict["NAME"] != settings.DATABASES["default"]["TEST"]["NAME"]:
        # Run alone: pytest-django makes the database only if it also runs a test that carries its mark.
        setup_databases(verbosity=0, interactive=False)
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": static}):
        server = LiveServer("127.0.0.1")
        try:
            yield server.url
        finally:
            server.stop()


class Charts:
    """The chart page in a window. `state` and `drawn` read what is on it, never what was sent."""

    def __init__(self, visitor: Any) -> None:
        self.visitor, self.page, self.now = visitor, visitor.page, World.now

    def open(self, query: str = "") -> "Charts":
        self.visitor.go(f"/charts/{query and '?'}{query}")
        return self.ready()

    def ready(self) -> "Charts":
        self.page.wait_for_selector(
            "#charts:not([aria-busy]) .metric-chart .uplot, #chart-message:not([hidden])"
        )
        self.page.wait_for_function("!document.querySelector('#charts[aria-busy]')")
        return self

    def press(self, key: str) -> "Charts":
        self.page.locator("body").press(key)
        return self

    @contextmanager
    def redrawn(self) -> Iterator[None]:
        """Within it something is done that asks the server; after it the answer is drawn."""
        self.page.evaluate(
            """() => { window.drawn = new Promise(done =>
            document.getElementById('charts').addEventListener('charts:drawn', done, { once: true })); }"""
        )
        yield
        self.page.evaluate("window.drawn.then(() => null)")

    @property
    def query(self) -> str:
        return self.page.evaluate("decodeURIComponent(location.search.slice(1))")

    def titles(self) -> list[str]:
        return self.page.locator(".metric-chart h2").all_inner_texts()

    def chart(self, number: int = 0) -> dict[str, Any]:
        """What uPlot drew in one chart: bounds, and each series with its label, whether it shows, and its values."""
        return self.page.evaluate(
            """n => { const { plot, body } = document.querySelectorAll('.metric-chart')[n].holder;
            const told = values => values.map(v => v === undefined ? 'joined' : v);
            const series = plot.series.slice(1).map((s, i) => (
                { label: s.label, show: s.show, values: told(plot.data[i + 1]), gaps: s._paths?.gaps ?? [] }));
            return { ...body, min: plot.scales.y.min, max: plot.scales.y.max, series }; }""",
            number,
        )

    def series(self, label: str, number: int = 0) -> dict[str, Any]:
        return next(each for each in self.chart(number)["series"] if each["label"] == label)

    def tip(self, number: int = 0) -> str:
        return self.page.locator(".metric-chart").nth(number).locator(".chart-tip").inner_text()

    def pixel(self, seconds: float, value: float, *, number: int = 0, shift: int = 0) -> list[int]:
        """The colour that was painted at a time and value, or `shift` pixels beside it."""
        return self.page.evaluate(
            """([n, x, y, by]) => { const { plot: u } = document.querySelectorAll('.metric-chart')[n].holder;
            const copy = document.createElement('canvas'), pen = copy.getContext('2d', { willReadFrequently: true });
            [copy.width, copy.height] = [u.ctx.canvas.width, u.ctx.canvas.height];
            pen.drawImage(u.ctx.canvas, 0, 0);
            const [left, top] = [Math.round(u.valToPos(x, 'x', true)) + by, Math.round(u.valToPos(y, 'y', true))];
            return [...pen.getImageData(left, top, 1, 1).data]; }""",
            [number, seconds, value, shift],
        )

    def red_at(self, value: float) -> bool:
        """Whether a red line is painted at this value, across the first chart."""
        share = self.page.evaluate(
            """value => { const { ctx, bbox, valToPos } = document.querySelector('.metric-chart').holder.plot;
            const copy = document.createElement('canvas'), pen = copy.getContext('2d', { willReadFrequently: true });
            [copy.width, copy.height] = [ctx.canvas.width, ctx.canvas.height];
            pen.drawImage(ctx.canvas, 0, 0);
            const strip = pen.getImageData(bbox.left, Math.round(valToPos(value, 'y', true)) - 1, bbox.width, 3).data;
            let red = 0;
            for (let i = 0; i < strip.length; i += 4)
                red += strip[i] - strip[i + 1] > 60 && strip[i] - strip[i + 2] > 60;
            return red / bbox.width; }""",
            value,
        )
        return share > 0.4

    def hide(self, hidden: bool) -> None:
        """As the browser does with a tab behind another."""
        self.page.evaluate(
            """hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
            document.dispatchEvent(new Event('visibilitychange')); }""",
            hidden,
        )

    def hover(self, number: int, share: float) -> None:
        box = self.page.locator(".u-over").nth(number).bounding_box()
        self.page.mouse.move(box["x"] + box["width"] * share, box["y"] + 60)

    def drag(self, number: int, start: float, end: float) -> None:
        self.hover(number, start)
        self.page.mouse.down()
        self.hover(number, (start + end) / 2)
        self.hover(number, end)
        self.page.mouse.up()


def values(column: list[Any]) -> list[float]:
    return [value for value in column if isinstance(value, int | float)]
