"""After a test that commits, the tables are emptied, and what migrating put into them stands there again.

Django does this by asking every app for its permissions anew, which takes three times as long as all the rest.
"""

from collections.abc import Iterator

import pytest
from django.core.management.commands import flush
from django.db import connection

# In the order of their foreign keys.
MADE_BY_MIGRATING = ("django_content_type", "auth_permission", "auth_group", "auth_group_permissions")


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """A copy of those rows is taken after the first flush, which makes them as Django does."""
    made, ready = flush.emit_post_migrate_signal, False

    def put_back(*args: object, **kwargs: object) -> None:
        nonlocal ready
        with connection.cursor() as cursor:
            if not ready:
                made(*args, **kwargs)
                cursor.execute("DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept")
                for table in MADE_BY_MIGRATING:
                    cursor.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}")
                ready = True
                return
            for table in MADE_BY_MIGRATING:
                cursor.execute(f"INSERT INTO public.{table} SELECT * FROM kept.{table}")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flush, "emit_post_migrate_signal", put_back)
        yield
