"""A real Chromium against a server of the test's own; skipped with a reason where none is installed."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tests.browser import chart_world

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PASSWORD = "a pass phrase for tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                item.add_marker(pytest.mark.skip(reason="no Chromium: install the package chromium"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread, which Django would take for an async caller.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Visitor:
    """A browser window, and what went wrong in it: console errors, failed scripts, requests to other hosts."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base, self.faults = page, base, []
        page.set_default_timeout(10_000)
        page.on("console", lambda m: self.faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._check_host)

    def _check_host(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.faults.append(f"request to {request.url}")

    def go(self, path: str) -> Any:
        return self.page.goto(self.base + path)

    def sign_in(self, name: str) -> None:
        """From the next page on, without the form."""
        client = Client()
        client.force_login(User.objects.get(username=name))
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": self.base}]
        )

    def sign_in_by_form(self, name: str) -> None:
        """As a person does."""
        user = User.objects.get(username=name)
        user.set_password(PASSWORD)
        user.save()
        self.go("/admin/login/?next=/")
        self.page.fill("input[name=username]", name)
        self.page.fill("input[name=password]", PASSWORD)
        with self.page.expect_navigation():
            self.page.click("button[type=submit]")


@pytest.fixture
def visitor(chromium: Any, live_server: Any) -> Iterator[Visitor]:
    """A window of 1280 x 720 in UTC+2 (so that local time would show), with nobody signed in."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, timezone_id="Europe/Helsinki")
    opened = Visitor(context.new_page(), live_server.url)
    yield opened
    context.close()
    assert opened.faults == []


@pytest.fixture(scope="session")
def charts_server(django_db_setup: Any, django_db_blocker: Any) -> Iterator[str]:
    """The chart page's server, once for all its tests: loading the rows takes longer than a test.

    Its tests carry no mark of the database, and so run after all that do, whose end empties it.
    """
    with django_db_blocker.unblock(), chart_world.served() as url:
        yield url


@pytest.fixture
def charts_visitor(chromium: Any, charts_server: str) -> Iterator[Visitor]:
    """A signed-in window of 1280 x 720 in UTC+2, with nothing remembered from the test before."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, timezone_id="Europe/Helsinki")
    chart_world.load_once()
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=charts_server)
    opened = Visitor(context.new_page(), charts_server)
    opened.sign_in(chart_world.WHO)
    yield opened
    context.close()
    assert opened.faults == []


@pytest.fixture
def charts(charts_visitor: Visitor) -> chart_world.Charts:
    """The chart page, not opened yet."""
    return chart_world.Charts(charts_visitor)
