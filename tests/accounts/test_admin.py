"""Pages for tokens and people: who gets what, and where the secret appears."""

import logging
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.accounts.access import KINDS, person, signed_in, token
from utxoiq_admin.accounts.models import ServiceToken
from utxoiq_admin.core.display import ago

pytestmark = pytest.mark.django_db
TOKENS, ADD = "/admin/accounts/servicetoken/", "/admin/accounts/servicetoken/add/"
NEW = {"name": "web-api", "scopes": ["metrics:write", "metrics:read"], "lifetime": "90"}


def change(made):
    return reverse("admin:accounts_servicetoken_change", args=[made.pk])


def revoke(made):
    return f"{TOKENS}{made.pk}/revoke/"


def grant(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


ACCESS = {
    # page: who gets it; "sign in" for everybody unknown
    "list": {"ops", "administrator"},
    "detail": {"ops", "administrator"},
    "add": {"administrator"},
    "revoke": {"administrator"},
    "delete": set(),
    "people": {"administrator"},
    "groups": {"administrator"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", ACCESS)
def test_who_may_open_what(kind, page):
    made, _ = token()
    address = {
        "list": TOKENS,
        "detail": change(made),
        "add": ADD,
        "revoke": revoke(made),
        "delete": f"{TOKENS}{made.pk}/delete/",
        "people": "/admin/auth/user/",
        "groups": "/admin/auth/group/",
    }[page]
    answer = signed_in(kind).get(address)
    if kind == "anonymous":
        assert (answer.status_code, "/admin/login/" in answer["Location"]) == (302, True)
    else:
        assert answer.status_code == (200 if kind in ACCESS[page] else 403)


@pytest.mark.parametrize("kind", KINDS)
def test_only_who_may_do_it_makes_and_revokes_tokens(kind):
    made, _ = token(name="other")
    client = signed_in(kind)
    client.post(ADD, NEW)
    client.post(revoke(made))
    made.refresh_from_db()
    allowed = kind == "administrator"
    assert ServiceToken.objects.filter(name="web-api").exists() is allowed
    assert (made.revoked_at is not None) is allowed


def test_the_secret_is_in_the_answer_and_nowhere_else(caplog):
    caplog.set_level(logging.DEBUG)
    client = signed_in("administrator")
    answer = client.post(ADD, NEW)
    (secret,) = re.findall(r'value="(utxoiq_[0-9a-f]{8}_[\w-]{43})"', answer.content.decode())
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    made = ServiceToken.objects.with_secret(secret).get()
    assert (made.scopes, made.created_by) == (["metrics:write", "metrics:read"], "administrator")
    assert (made.expires_at - timezone.now()).days == 89
    places = [
        caplog.text,
        str(answer.headers),
        str(answer.cookies),
        str(dict(client.session)),
        str(list(LogEntry.objects.values())),
        client.get(TOKENS).content.decode(),
        client.get(change(made)).content.decode(),
        client.get(f"{TOKENS}{made.pk}/history/").content.decode(),
    ]
    assert not [place for place in places if secret.split("_", 2)[2] in place]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "taken"}, "There is a token of this name already."),
        ({"name": "a\0b"}, "Null characters are not allowed."),
        ({"scopes": []}, "This field is required."),
        ({"scopes": ["root"]}, "root is not one of the available choices."),
        ({"lifetime": "9999"}, "9999 is not one of the available choices."),
    ],
)
def test_a_form_with_a_fault_makes_nothing(changes, message):
    token(name="taken")
    answer = signed_in("administrator").post(ADD, {**NEW, **changes})
    assert message in answer.content.decode()
    assert ServiceToken.objects.count() == 1


def test_the_list_shows_what_matters():
    used, _ = token("feedback:write", "feedback:read", last_used_at=timezone.now())
    page = signed_in("ops").get(TOKENS).content.decode()
    for text in (
        used.prefix,
        "feedback:write",
        "feedback:read",
        "no expiry",
        "active",
        ago(used.last_used_at),
    ):
        assert text in page


@pytest.mark.parametrize(("state", "shown"), [("active", "a"), ("expired", "e"), ("revoked", "r")])
def test_the_list_by_state(state, shown):
    past = timezone.now() - timezone.timedelta(days=1)
    token(name="a")
    token(name="e", created_at=past - timezone.timedelta(days=1), expires_at=past)
    token(name="r", revoked_at=past, revoked_by="ana")
    page = signed_in("ops").get(TOKENS, {"state": state})
    assert [each.name for each in page.context["cl"].result_list] == [shown]


def test_revoking_asks_first_and_is_recorded():
    made, _ = token()
    client = signed_in("administrator")
    question = client.get(revoke(made))
    made.refresh_from_db()
    assert made.revoked_at is None and "This cannot be undone." in question.content.decode()
    answer = client.post(revoke(made), follow=True)
    made.refresh_from_db()
    assert (made.revoked_by, LogEntry.objects.get().change_message) == ("administrator", "Revoked.")
    assert "web-api is revoked" in answer.content.decode()
    assert revoke(made) not in answer.content.decode()
    again = client.post(revoke(made), follow=True)
    assert "was revoked already; nothing was changed" in again.content.decode()
    assert LogEntry.objects.count() == 1


def test_revoking_needs_the_forms_own_token():
    made, _ = token()
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("administrator"))
    assert client.post(revoke(made)).status_code == 403
    assert ServiceToken.objects.get().revoked_at is None


def test_nothing_of_a_token_can_be_edited():
    made, _ = token()
    answer = signed_in("administrator").post(change(made), {**NEW, "name": "renamed"})
    assert answer.status_code == 403
    assert ServiceToken.objects.get().name == "web-api"


def test_a_granted_person_may_revoke():
    made, _ = token()
    client = Client()
    client.force_login(grant(person("staff"), "change_servicetoken"))
    assert revoke(made) in client.get(change(made)).content.decode()
    client.post(revoke(made))
    assert ServiceToken.objects.get().revoked_by == "staff"


@pytest.mark.parametrize("address", [f"{TOKENS}1/change/", f"{TOKENS}nonsense/change/"])
def test_an_address_that_names_no_token_leads_back(address):
    assert signed_in("administrator").get(address)["Location"] == "/admin/"


def test_nothing_is_revoked_where_no_token_is_named():
    assert signed_in("administrator").post(f"{TOKENS}nonsense/revoke/").status_code == 404


def test_a_search_that_no_text_can_match_is_refused():
    field = "app_label=auth&model_name=user&field_name=groups"
    assert signed_in("administrator").get(f"/admin/autocomplete/?{field}&term=a%00b").status_code == 400
