import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from utxoiq_admin.roles import ROLES, sync_roles

pytestmark = pytest.mark.django_db
# What people see as tables of the platform; people, groups, tokens and sessions are not among them.
VIEWED_BY_STAFF = ["backfill", "feedback", "metrics", "retention", "core"]


def granted(name):
    return {
        f"{each.content_type.app_label}.{each.codename}"
        for each in Group.objects.get(name=name).permissions.select_related("content_type")
    }


@pytest.mark.parametrize("name", ROLES)
def test_after_migrate_a_group_has_its_permissions(name):
    assert granted(name) == set(ROLES[name])


@pytest.mark.parametrize("name", ["moderators", "ops"])
def test_each_group_includes_what_staff_may_see(name):
    assert set(ROLES["staff"]) < set(ROLES[name]) or set(ROLES["staff"]) == set(ROLES[name])


def test_staff_views_every_table_of_the_platform():
    models = [model for label in VIEWED_BY_STAFF for model in apps.get_app_config(label).get_models()]
    assert {f"{m._meta.app_label}.view_{m._meta.model_name}" for m in models} == set(ROLES["staff"])


def test_no_group_may_touch_people_groups_tokens_or_sessions():
    everything = {each for wanted in ROLES.values() for each in wanted}
    assert not {
        each for each in everything if each.split(".")[0] in ("auth", "sessions", "admin", "contenttypes")
    }
    assert {each for each in everything if each.startswith("accounts.")} == {"accounts.view_servicetoken"}


def test_syncing_twice_changes_nothing(django_assert_num_queries):
    before = {name: granted(name) for name in ROLES}
    sync_roles()
    assert {name: granted(name) for name in ROLES} == before


def test_what_an_administrator_granted_stays():
    extra = Permission.objects.get(codename="add_user")
    Group.objects.get(name="staff").permissions.add(extra)
    someone = User.objects.create_user("ana")
    someone.groups.add(Group.objects.get(name="staff"))
    sync_roles()
    assert "auth.add_user" in granted("staff")
    assert someone.groups.get().name == "staff"


def test_what_is_missing_comes_back():
    Group.objects.get(name="ops").delete()
    Group.objects.get(name="staff").permissions.clear()
    sync_roles()
    assert granted("ops") == set(ROLES["ops"]) and granted("staff") == set(ROLES["staff"])


def test_a_permission_that_does_not_exist_yet_is_skipped():
    Permission.objects.get(codename="view_systemmetric").delete()
    Group.objects.all().delete()
    sync_roles()
    assert granted("staff") == set(ROLES["staff"]) - {"metrics.view_systemmetric"}


def test_migrate_syncs():
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)


def test_without_the_tables_of_auth_nothing_happens():
    class Nothing:
        def get_model(self, *args):
            raise LookupError

    sync_roles(apps=Nothing())
