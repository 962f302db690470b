import pytest


@pytest.fixture(autouse=True)
def plain_static(settings):
    """Pages are rendered without `collectstatic`."""
    storage = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, since it would else be left to one of two processes at the end."""
    items.sort(key=lambda item: "/stack/" not in str(item.path))
