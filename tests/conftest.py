import pytest


@pytest.fixture(autouse=True)
def plain_static(settings):
    """Pages are rendered without `collectstatic`."""
    storage = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage}
