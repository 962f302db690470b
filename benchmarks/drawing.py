"""From a click to a drawn chart, in a real Chromium against gunicorn: server, transfer, drawing.

A click on a preset asks for all series in one request. `server` is what answering took (Server-Timing, our caches
empty); `transfer` all else until the figures are parsed, so the request's own way through the web server too; `drawing`
until the browser has painted them. Goals are for the whole, by the median.
"""

import os
import statistics
import subprocess
import sys
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from benchmarks.ingest import web_server
from benchmarks.report import Report
from metrics import rollups
from utxoiq_admin.core.cache import ALL, change_generations

GOAL = {(8, "30d"): 200.0}  # of the whole, in ms; elsewhere only measured
SERIES = {1: (1, 1), 8: (8, 1), 40: (8, 5)}  # services, types
PRESETS = ("24h", "30d", "1y")

# Clicks, waits for the figures to be drawn, and for the frame that shows them.
_CLICK = """preset => new Promise(done => {
  document.getElementById("charts").addEventListener("charts:drawn", ({ detail }) =>
    requestAnimationFrame(() => setTimeout(() => {
      const painted = performance.now();
      done([detail.server, detail.transfer, painted - detail.begun, painted - detail.clicked]);
    })), { once: true });
  document.querySelector(`[data-preset="${preset}"]`).click();
})"""


def measure(report: Report, *, repeat: int) -> None:
    try:
        from playwright.sync_api import sync_playwright

        from tests.browser.conftest import CHROMIUM, FLAGS
    except ImportError:
        CHROMIUM = ""
    if not CHROMIUM:
        print("  no Chromium: drawing is not measured", flush=True)
        return
    rollups.refresh()
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0", "--skip-checks"]
    subprocess.run(collect, cwd=settings.BASE_DIR, env=os.environ, check=True)
    with web_server() as port, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, which Django would take for an async caller.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for count, names in SERIES.items():
            page = _opened(browser, f"http://127.0.0.1:{port}", *names)
            for preset in PRESETS:
                _report(report, count, preset, _timed(page, preset, repeat))
            page.context.close()
        browser.close()
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def _opened(browser: Any, base: str, services: int, types: int) -> Any:
    """The charts of so many series, in a signed-in window of 1280 x 720."""
    client = Client()
    client.force_login(User.objects.get_or_create(username="bench-drawing", is_superuser=True)[0])
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": base}])
    query = {
        "service": [f"service-{number:02}" for number in range(1, services + 1)],
        "type": [f"type-{number:02}" for number in range(1, types + 1)],
        "range": "15m",
    }
    page = context.new_page()
    page.goto(f"{base}/charts/?{urlencode(query, doseq=True)}")
    page.wait_for_selector(".metric-chart .uplot")
    return page


def _timed(page: Any, preset: str, repeat: int) -> list[list[float]]:
    """(server, transfer, drawing, whole) in ms of each click, after two that warm it; from another range each time."""
    times = []
    for turn in range(repeat + 2):
        page.evaluate(_CLICK, "15m")
        change_generations([ALL])
        found = page.evaluate(_CLICK, preset)
        if turn >= 2:
            times.append(found)
    return times


def _report(report: Report, count: int, preset: str, times: list[list[float]]) -> None:
    server, transfer, drawing, whole = (statistics.median(column) for column in zip(*times, strict=True))
    parts = f"server {server:.0f} + transfer {transfer:.0f} + drawing {drawing:.0f}"
    print(f"  {count} series over {preset}: {parts}", flush=True)
    report.add(f"click to drawn, {count} series, {preset}", whole, GOAL.get((count, preset), whole))
