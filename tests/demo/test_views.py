"""The banner and its button."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import timezone

from utxoiq_admin.demo import tasks
from utxoiq_admin.demo.banner import banner
from utxoiq_admin.demo.models import DemoState

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.demo.urls")]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(tasks.remove, "apply_async", lambda queue: messages.append(queue))
    return messages


@pytest.fixture
def state() -> DemoState:
    return DemoState.objects.create(state="present", percent=100, rows=12, updated_at=timezone.now())


def person(kind: str) -> User | AnonymousUser:
    if kind == "anonymous":
        return AnonymousUser()
    user = User.objects.create_user(kind, is_superuser=kind == "superuser", is_staff=True)
    if kind == "ops":
        user.user_permissions.add(Permission.objects.get(codename="change_demostate"))
    return user


def client_of(kind: str, **options: Any) -> Client:
    client = Client(**options)
    user = person(kind)
    if isinstance(user, User):
        client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("kind", "status"), [("anonymous", 403), ("staff", 403), ("ops", 302), ("superuser", 302)]
)
def test_only_ops_and_superusers_may_remove(
    kind: str, status: int, state: DemoState, sent: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert client_of(kind).post("/demo/remove").status_code == status
    state.refresh_from_db()
    allowed = status == 302
    assert state.state == ("removing" if allowed else "present")
    assert sent == (["long"] if allowed else [])


def test_removal_is_never_a_get(state: DemoState, sent: list[str]) -> None:
    assert client_of("superuser").get("/demo/remove").status_code == 405
    assert client_of("admin", enforce_csrf_checks=True).post("/demo/remove").status_code == 403
    state.refresh_from_db()
    assert (state.state, sent) == ("present", [])


@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("/charts/?range=6h", "/charts/?range=6h"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("", "/"),
    ],
)
def test_leads_back_to_our_own_pages_only(target: str, lands: str, state: DemoState, sent: list[str]) -> None:
    response = client_of("superuser").post("/demo/remove", {"next": target})
    assert response["Location"] == lands


def test_a_broker_that_is_away_does_not_break_the_page(
    state: DemoState, monkeypatch: Any, django_capture_on_commit_callbacks: Any
) -> None:
    def away(queue: str) -> None:
        raise ConnectionError

    monkeypatch.setattr(tasks.remove, "apply_async", away)
    with django_capture_on_commit_callbacks(execute=True):
        assert client_of("superuser").post("/demo/remove").status_code == 302
    state.refresh_from_db()
    assert state.state == "removing"  # the minute's task takes it up


def request_of(kind: str) -> Any:
    request = RequestFactory().get("/charts/?range=6h")
    request.user = person(kind)
    return request


def test_no_banner_without_demo_data(django_assert_num_queries: Any) -> None:
    request = request_of("superuser")
    with django_assert_num_queries(1):
        assert banner(request) is None
    DemoState.objects.create()
    assert banner(request) is None


def test_the_banner_costs_one_query(state: DemoState, django_assert_num_queries: Any) -> None:
    request = request_of("superuser")
    with django_assert_num_queries(1):
        assert banner(request) == {
            "state": "present",
            "phase": "",
            "percent": 100,
            "rows": 12,
            "interrupted": False,
            "can_remove": True,
        }


@pytest.mark.parametrize(("kind", "can"), [("anonymous", False), ("staff", False), ("ops", True)])
def test_the_banner_offers_removal_to_whom_it_is_allowed(kind: str, can: bool, state: DemoState) -> None:
    shown = banner(request_of(kind))
    assert shown is not None and shown["can_remove"] is can


def html(kind: str = "superuser") -> str:
    request = request_of(kind)
    return " ".join(render_to_string("demo/banner.html", {"demo": banner(request)}, request=request).split())


def test_the_bar_says_demo_data_and_asks_before_it_removes(state: DemoState) -> None:
    page = html()
    assert '<span class="demo-banner__what">Demo data</span>' in page
    assert '<form method="post" action="/demo/remove">' in page and "csrfmiddlewaretoken" in page
    assert 'name="next" value="/charts/?range=6h"' in page
    assert "Remove all demo rows? Real rows stay." in page
    assert "<form" not in html("staff")


def test_the_bar_shows_how_far_loading_is(state: DemoState) -> None:
    DemoState.objects.update(state="loading", phase="feedback", percent=61.7)
    assert "Loading demo data: feedback, 62 %" in html()
    DemoState.objects.update(updated_at=timezone.now() - timedelta(minutes=3))
    assert "Loading demo data stopped at 62 %" in html("admin")


def test_the_bar_shows_how_far_removal_is(state: DemoState) -> None:
    DemoState.objects.update(state="removing", phase="", percent=30)
    page = html()
    assert "Removing demo data: 30 %" in page and "<form" not in page


def test_no_bar_without_demo_data() -> None:
    assert html() == ""
