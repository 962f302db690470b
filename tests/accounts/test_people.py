"""Pages for people and groups: nobody gives, or takes over, a right that they do not hold."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from tests.accounts.access import person

pytestmark = pytest.mark.django_db
PEOPLE, GROUPS = "/admin/auth/user/", "/admin/auth/group/"
STRONG = "a pass phrase for tests"


@pytest.fixture
def manager():
    """Somebody of staff who was granted people and groups."""
    made = person("staff")
    wanted = [
        "add_user",
        "change_user",
        "view_user",
        "add_group",
        "change_group",
        "view_group",
        "delete_group",
    ]
    made.user_permissions.add(*Permission.objects.filter(codename__in=wanted))
    return made


def as_(user):
    client = Client()
    client.force_login(user)
    return client


def fields(user, **changes):
    """What the form of a person sends."""
    sent = {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_active": "on",
        "groups": list(user.groups.values_list("pk", flat=True)),
        "user_permissions": list(user.user_permissions.values_list("pk", flat=True)),
        **changes,
    }
    return {name: value for name, value in sent.items() if value is not None}


def group(name):
    return Group.objects.get(name=name)


def test_an_administrator_makes_a_person_with_groups():
    client = as_(person("administrator"))
    sent = {"username": "ana", "password1": STRONG, "password2": STRONG}
    client.post(f"{PEOPLE}add/", sent)
    ana = User.objects.get(username="ana")
    client.post(f"{PEOPLE}{ana.pk}/change/", fields(ana, groups=[group("ops").pk], first_name="Ana"))
    ana.refresh_from_db()
    assert (ana.first_name, [each.name for each in ana.groups.all()]) == ("Ana", ["ops"])
    assert ana.check_password(STRONG) and not ana.is_staff and not ana.is_superuser


@pytest.mark.parametrize("page", [PEOPLE, f"{PEOPLE}add/", f"{GROUPS}add/", GROUPS])
def test_pages_open_and_do_not_speak_of_staff_status(page):
    content = as_(person("administrator")).get(page).content.decode()
    assert "is_staff" not in content and "Staff status" not in content


def test_the_form_of_a_person_opens():
    administrator = person("administrator")
    content = as_(administrator).get(f"{PEOPLE}{administrator.pk}/change/").content.decode()
    assert 'name="is_superuser"' in content and 'name="is_staff"' not in content


def test_nobody_but_an_administrator_makes_one(manager):
    ana = User.objects.create_user("ana")
    for target in (ana, manager):
        as_(manager).post(f"{PEOPLE}{target.pk}/change/", fields(target, is_superuser="on"))
    assert not User.objects.filter(is_superuser=True).exists()


def test_a_manager_gives_groups_and_permissions_that_they_hold(manager):
    ana = User.objects.create_user("ana")
    held = Permission.objects.get(codename="view_systemmetric")
    sent = fields(ana, groups=[group("staff").pk], user_permissions=[held.pk])
    assert as_(manager).post(f"{PEOPLE}{ana.pk}/change/", sent).status_code == 302
    assert ana.has_perm("metrics.view_systemmetric") and ana.groups.get().name == "staff"


def test_a_manager_gives_nothing_that_they_do_not_hold(manager):
    ana = User.objects.create_user("ana")
    beyond = Permission.objects.get(codename="change_servicetoken")
    for sent in (fields(ana, groups=[group("ops").pk]), fields(ana, user_permissions=[beyond.pk])):
        answer = as_(manager).post(f"{PEOPLE}{ana.pk}/change/", sent)
        assert "is not one of the available choices" in answer.content.decode()
    assert not ana.groups.exists() and not ana.user_permissions.exists()


@pytest.mark.parametrize("kind", ["ops", "administrator"])
def test_a_manager_cannot_take_over_somebody_who_may_more(manager, kind):
    target = person(kind)
    sent = {"usable_password": "true", "password1": STRONG, "password2": STRONG}
    assert as_(manager).post(f"{PEOPLE}{target.pk}/password/", sent).status_code == 403
    assert (
        as_(manager).post(f"{PEOPLE}{target.pk}/change/", fields(target, is_active=None)).status_code == 403
    )
    target.refresh_from_db()
    assert target.is_active and not target.check_password(STRONG)


def test_a_manager_sets_the_password_of_somebody_who_may_less(manager):
    ana = User.objects.create_user("ana")
    sent = {"usable_password": "true", "password1": STRONG, "password2": STRONG}
    assert as_(manager).post(f"{PEOPLE}{ana.pk}/password/", sent).status_code == 302
    ana.refresh_from_db()
    assert ana.check_password(STRONG)


def test_a_manager_cannot_widen_or_remove_a_group_that_may_more(manager):
    ops = group("ops")
    sent = {"name": "ops", "permissions": []}
    assert as_(manager).post(f"{GROUPS}{ops.pk}/change/", sent).status_code == 403
    assert as_(manager).post(f"{GROUPS}{ops.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [ops.pk], "post": "yes"}
    as_(manager).post(GROUPS, chosen)
    assert group("ops").permissions.exists()


def test_a_manager_cannot_add_rights_to_their_own_group(manager):
    beyond = Permission.objects.get(codename="change_servicetoken")
    kept = list(group("staff").permissions.values_list("pk", flat=True))
    sent = {"name": "staff", "permissions": [*kept, beyond.pk]}
    answer = as_(manager).post(f"{GROUPS}{group('staff').pk}/change/", sent)
    assert "is not one of the available choices" in answer.content.decode()
    assert set(group("staff").permissions.values_list("pk", flat=True)) == set(kept)


@pytest.mark.parametrize("field", ["is_superuser", "is_active"])
def test_an_administrator_cannot_lock_themselves_out(field):
    administrator = person("administrator")
    sent = fields(administrator, **{"is_superuser": "on", field: None})
    answer = as_(administrator).post(f"{PEOPLE}{administrator.pk}/change/", sent)
    assert "You cannot take this from yourself" in answer.content.decode()
    administrator.refresh_from_db()
    assert administrator.is_superuser and administrator.is_active


def test_a_second_administrator_can_be_demoted():
    administrator, other = person("administrator"), User.objects.create_superuser("other")
    as_(administrator).post(f"{PEOPLE}{other.pk}/change/", fields(other))
    other.refresh_from_db()
    assert not other.is_superuser


def test_people_are_never_deleted():
    administrator, ana = person("administrator"), User.objects.create_user("ana")
    client = as_(administrator)
    assert client.post(f"{PEOPLE}{ana.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(PEOPLE, {"action": "delete_selected", "_selected_action": [ana.pk], "post": "yes"})
    assert User.objects.filter(username="ana").exists()


def test_the_lists_ask_the_database_the_same_however_long(django_assert_max_num_queries):
    client = as_(person("administrator"))
    for number in range(15):
        User.objects.create_user(f"u{number}").groups.add(group("staff"))
    for page in (PEOPLE, GROUPS):
        with django_assert_max_num_queries(14):
            assert client.get(page).status_code == 200
