"""A migration that is killed half way is tried again by the next start, and nothing stands in its way."""

import pytest
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from utxoiq_admin.management.commands.migrate import WholeMigrations

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    pass


class Made(migrations.Migration):
    """Its index is made at the end, which is when Django notes it only afterwards."""

    operations = [
        migrations.CreateModel(
            "Half",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=9, db_index=True)),
            ],
        )
    ]


def there():
    return "backfill_half" in connection.introspection.table_names()


def killed_when_noted(monkeypatch, name):
    def dies(*_args):
        raise Killed

    monkeypatch.setattr(MigrationRecorder, name, dies)


def test_a_table_stands_if_and_only_if_its_migration_is_noted(monkeypatch):
    made, executor = Made("0999_half", "backfill"), WholeMigrations(connection)
    with monkeypatch.context() as broken, pytest.raises(Killed):
        killed_when_noted(broken, "record_applied")
        executor.apply_migration(ProjectState(), made)
    assert not there()
    executor.apply_migration(ProjectState(), made)
    assert there()
    with monkeypatch.context() as broken, pytest.raises(Killed):
        killed_when_noted(broken, "record_unapplied")
        executor.unapply_migration(ProjectState(), made)
    assert there()
    executor.unapply_migration(ProjectState(), made)
    assert not there()
    assert not MigrationRecorder.Migration.objects.filter(name="0999_half").exists()


def test_the_command_migrates_so(monkeypatch):
    used, plan = [], MigrationExecutor.migration_plan

    def noted(self, *args, **kwargs):
        used.append(type(self))
        return plan(self, *args, **kwargs)

    monkeypatch.setattr(MigrationExecutor, "migration_plan", noted)
    call_command("migrate", verbosity=0)
    assert set(used) == {WholeMigrations}


def test_an_index_that_was_left_half_made_is_made_anew():
    executor = WholeMigrations(connection)
    state = executor.loader.project_state(("feedback", "0003_insight_flags"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'idx_feedback_comments'::regclass::oid")
        before = cursor.fetchone()
        executor.apply_migration(state, executor.loader.get_migration("feedback", "0004_comments_index"))
        cursor.execute(
            "SELECT indexrelid, indisvalid FROM pg_index WHERE indexrelid = 'idx_feedback_comments'::regclass"
        )
        ((after, valid),) = cursor.fetchall()
    assert valid and after != before[0]
    noted = MigrationRecorder.Migration.objects.filter(app="feedback", name="0004_comments_index")
    noted.latest("pk").delete()
    assert noted.count() == 1
