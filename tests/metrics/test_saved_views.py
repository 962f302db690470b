"""Saved views: one's own to list, replace and delete, anybody's to open, and nothing in them but a charts address."""

import uuid

import pytest
from django.contrib.auth.models import User

from metrics.models import SavedView
from tests.accounts.access import person, signed_in

pytestmark = pytest.mark.django_db
VIEWS = "/charts/views/"


@pytest.fixture
def ana():
    return signed_in("staff")


def save(client, name="CPU of all", query="service=web-api&type=cpu&from=now-24h&to=now"):
    return client.post(VIEWS, {"name": name, "query": query})


def test_a_view_is_saved_listed_and_opened_by_its_address(ana):
    made = save(ana).json()
    assert (made["name"], made["query"]) == ("CPU of all", "service=web-api&type=cpu&from=now-24h&to=now")
    assert [view["id"] for view in ana.get(VIEWS).json()["views"]] == [made["id"]]
    assert ana.get(made["url"])["Location"] == f"/charts/?{made['query']}"


def test_saving_under_a_name_again_replaces_what_it_held(ana):
    first = save(ana).json()
    again = save(ana, name="  CPU   of all ", query="service=other").json()
    assert (again["id"], again["query"]) == (first["id"], "service=other")


def test_names_and_lists_are_each_persons_own_and_addresses_everybodys(ana):
    theirs = save(ana).json()
    ben = signed_in("ops")
    assert ben.get(VIEWS).json() == {"views": []}
    assert ben.get(theirs["url"]).status_code == 302
    assert save(ben).status_code == 201
    assert ben.post(theirs["delete"]).status_code == 404
    assert SavedView.objects.count() == 2
    assert ana.post(theirs["delete"]).status_code == 200
    assert ana.get(theirs["url"]).status_code == 404
    assert SavedView.objects.get().owner.username == "ops"


def test_a_view_holds_nothing_but_what_a_charts_page_knows(ana):
    made = save(ana, query="?next=//evil.example&service=a%0d%0aSet-Cookie:x&type=c%00pu&by=service").json()
    assert made["query"] == "service=a%0D%0ASet-Cookie%3Ax&by=service"


@pytest.mark.parametrize(
    ("name", "query", "why"),
    [("", "service=a", "at least 1"), (" ", "service=a", "at least 1"), ("x" * 81, "service=a", "at most 80"),
     ("a\0", "service=a", "A name has"), ("a", "", "nothing chosen"), ("a", "next=b", "nothing chosen"),
     ("a", "service=" + "x" * 4000, "4,000")],
)  # fmt: skip
def test_what_cannot_be_saved_is_told_why_and_nothing_is(ana, name, query, why):
    answer = save(ana, name, query)
    assert (answer.status_code, why in answer.json()["error"]) == (422, True)
    assert not SavedView.objects.exists()


def test_nobody_keeps_more_than_the_limit(ana):
    owner = User.objects.get(username="staff")
    SavedView.objects.bulk_create(SavedView(owner=owner, name=str(n), query="type=cpu") for n in range(100))
    assert "You have 100 views" in save(ana).json()["error"]
    assert save(ana, name="7").status_code == 201


def test_saving_and_deleting_are_refused_without_a_token_and_by_get(ana):
    made = save(ana).json()
    assert ana.get(made["delete"]).status_code == 405
    ana.handler.enforce_csrf_checks = True
    assert save(ana, name="other").status_code == 403
    assert ana.post(made["delete"]).status_code == 403
    assert SavedView.objects.count() == 1


@pytest.mark.parametrize("kind", ["anonymous", "outsider"])
def test_without_rights_nothing_is_saved_or_shown(kind):
    view = SavedView.objects.create(owner=person("staff"), name="x", query="type=cpu")
    client = signed_in(kind)
    assert (client.get(VIEWS).status_code, save(client).status_code) == (403, 403)
    assert client.post(f"{VIEWS}{view.pk}/delete/").status_code == 403
    assert client.get(f"{VIEWS}{view.pk}/").status_code == (302 if kind == "anonymous" else 403)
    assert SavedView.objects.count() == 1


def test_an_address_of_no_view_is_not_found(ana):
    assert ana.get(f"{VIEWS}{uuid.uuid4()}/").status_code == 404
