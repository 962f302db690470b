import pytest
from django.urls import get_resolver

from utxoiq_admin.core import cache

FORKING = ("test_faults.py", "test_killed_at_each_step.py")


@pytest.fixture(scope="session", autouse=True)
def every_view_is_there() -> None:
    """A module that is imported while a test has changed another one would keep the change."""
    assert get_resolver().url_patterns


@pytest.fixture(autouse=True)
def plain_static(settings):
    """Pages are rendered without `collectstatic`."""
    storage = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage}


@pytest.fixture(autouse=True)
def nothing_cached():
    """A test that is rolled back tells no listener: what it cached is wrong for the next one with the same names."""
    cache.change_generations([cache.ALL])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, since it would else be left to one of two processes at the end.

    Tests that fork come before those with a browser, whose event loop then lives in this process: a child that is
    forked with it loses its connection to the database.
    """
    items.sort(key=lambda item: "/stack/" not in str(item.path))
    first = next((place for place, item in enumerate(items) if "/browser/" in str(item.path)), None)
    if first is not None:
        forking = [item for item in items[first:] if item.path.name in FORKING]
        items[first:] = [*forking, *(item for item in items[first:] if item not in forking)]
