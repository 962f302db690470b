"""Every address of the admin against every kind of visitor. One that is not in the table fails the last test."""

import uuid

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import resolve

from backfill.models import BackfillJob
from feedback.models import InsightFeedback
from metrics.models import SystemMetric
from tests.accounts.access import KINDS, signed_in, token

pytestmark = pytest.mark.django_db

ROW = uuid.UUID(int=7)
EVERYBODY = {"outsider", "staff", "moderators", "ops", "administrator"}
VIEWERS = EVERYBODY - {"outsider"}
OPS, ADMINISTRATOR, NOBODY = {"ops", "administrator"}, {"administrator"}, set[str]()


def of(table, row, **who):
    """The six addresses that Django gives each table, and who may open each."""
    return {
        f"{table}/": who["listing"],
        f"{table}/add/": who["add"],
        f"{table}/{row}/change/": who["change"],
        f"{table}/{row}/history/": who["change"],
        f"{table}/{row}/delete/": who["delete"],
    }


ROWS = {"listing": VIEWERS, "add": NOBODY, "change": VIEWERS, "delete": NOBODY}
PAGES = {
    "": EVERYBODY,
    "password_change/": EVERYBODY,
    "password_change/done/": EVERYBODY,
    "jsi18n/": EVERYBODY,
    **of(
        "auth/user", "{user}", listing=ADMINISTRATOR, add=ADMINISTRATOR, change=ADMINISTRATOR, delete=NOBODY
    ),
    "auth/user/{user}/password/": ADMINISTRATOR,
    **of(
        "auth/group",
        "{group}",
        listing=ADMINISTRATOR,
        add=ADMINISTRATOR,
        change=ADMINISTRATOR,
        delete=ADMINISTRATOR,
    ),
    **of("accounts/servicetoken", "{token}", listing=OPS, add=ADMINISTRATOR, change=OPS, delete=NOBODY),
    "accounts/servicetoken/{token}/revoke/": ADMINISTRATOR,
    **of("backfill/backfilljob", ROW, **ROWS),
    **of("feedback/insightfeedback", ROW, **ROWS),
    **of("metrics/systemmetric", ROW, **ROWS),
    "backfill/backfilljob/export/": VIEWERS,
    "feedback/insightfeedback/export/": VIEWERS,
    "metrics/systemmetric/export/": VIEWERS,
}
APPS = {
    "auth/": ADMINISTRATOR,
    "accounts/": OPS,
    "backfill/": VIEWERS,
    "feedback/": VIEWERS,
    "metrics/": VIEWERS,
}
PAGES |= APPS
# For everybody signed in: no object of ours stands elsewhere on the site, and no search spans the tables.
NOT_FOUND = ["r/{content_type}/{user}/", "search/?s=metric"]
# Open to all; leaving; a choice of some form that no form of ours has; old addresses that lead to the detail.
ELSEWHERE = {"login", "logout", "autocomplete", None}
# Who is not one of KINDS, and what they are like.
LIKE = {"switched off": "anonymous", "with Django's flag": "outsider", "moderators and ops": "ops"}


@pytest.fixture
def places():
    """What stands in the addresses."""
    BackfillJob.objects.create(
        id=ROW, job_type="blocks", start_block=1, end_block=9, current_block=1, status="paused"
    )
    InsightFeedback.objects.create(id=ROW, insight_id="i", user_id="u", rating=3)
    SystemMetric.objects.create(id=ROW, service_name="s", metric_type="cpu", metric_value=1, unit="ms")
    return {
        "user": User.objects.create_user("ana").pk,
        "group": Group.objects.create(name="night shift").pk,
        "token": token()[0].pk,
        "content_type": ContentType.objects.get_for_model(User).pk,
    }


def visitor(kind):
    if kind in KINDS:
        return signed_in(kind)
    made = User.objects.create_user("somebody", is_staff=kind == "with Django's flag")
    if kind == "switched off":
        made.groups.set(Group.objects.filter(name="ops"))
        made.is_active, made.is_superuser = False, True
        made.save()
    if kind == "moderators and ops":
        made.groups.set(Group.objects.filter(name__in=["moderators", "ops"]))
    client = Client()
    client.force_login(made)
    return client


@pytest.mark.parametrize("kind", [*KINDS, *LIKE])
def test_who_may_open_what(kind, places):
    client, like = visitor(kind), LIKE.get(kind, kind)
    found, wanted = {}, {}
    for page, who in PAGES.items():
        answer = client.get("/admin/" + page.format(**places))
        to_sign_in = answer.status_code == 302 and answer["Location"].startswith("/admin/login/")
        found[page] = "sign in" if to_sign_in else answer.status_code
        # An app is its tables that the visitor sees: where there are none there is no page.
        refusal = 404 if page in APPS else 403
        wanted[page] = "sign in" if like == "anonymous" else 200 if like in who else refusal
    assert found == wanted


@pytest.mark.parametrize("kind", [kind for kind in [*KINDS, *LIKE] if kind != "administrator"])
def test_nobody_else_changes_people_groups_or_tokens(kind, places):
    client = visitor(kind)

    def everything():
        people = list(User.objects.exclude(username__in=[kind, "somebody"]).values().order_by("pk"))
        return (
            people,
            list(Group.objects.values().order_by("pk")),
            Group.objects.filter(user__username="ana").count(),
        )

    before = everything()
    sent = {
        "auth/user/add/": {"username": "eve", "password1": "a pass phrase", "password2": "a pass phrase"},
        "auth/user/{user}/change/": {"username": "ana", "is_active": "on", "is_superuser": "on"},
        "auth/user/{user}/password/": {"password1": "a pass phrase", "password2": "a pass phrase"},
        "auth/group/add/": {"name": "new"},
        "auth/group/{group}/change/": {"name": "renamed"},
        "auth/group/{group}/delete/": {"post": "yes"},
    }
    for page, fields in sent.items():
        assert client.post("/admin/" + page.format(**places), fields).status_code in (302, 403), page
    assert everything() == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", NOT_FOUND)
def test_what_django_and_the_theme_offer_besides_is_not_there(page, kind, places):
    answer = signed_in(kind).get("/admin/" + page.format(**places))
    assert answer.status_code == (302 if kind == "anonymous" else 404)


def test_no_page_offers_the_search_that_is_not_there():
    """The theme would, to an account with Django's flag, as the first administrator has."""
    page = signed_in("administrator").get("/").content.decode()
    assert "Service tokens" in page
    assert "/admin/search/" not in page


def test_every_address_of_the_admin_is_in_the_table():
    names = set()
    for pattern in admin.site.urls[0]:
        children = getattr(pattern, "url_patterns", [pattern])
        names |= {child.name for child in children}
    places = {"user": 1, "group": 1, "token": ROW, "content_type": 1}
    told = {
        resolve("/admin/" + page.split("?")[0].format(**places)).url_name for page in [*PAGES, *NOT_FOUND]
    }
    assert names - ELSEWHERE == told
