"""Filters that the three lists share: ranges of time, exact values, and what the pages on either side are called."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from backfill.models import BackfillJob
from feedback.models import InsightFeedback
from tests.accounts.access import signed_in
from tests.core.test_admin_lists import FEEDBACK, JOBS, METRICS, metrics, shown
from utxoiq_admin.core import admin as lists

pytestmark = pytest.mark.django_db
AGES = (timedelta(minutes=30), timedelta(hours=5), timedelta(days=20), timedelta(days=200))


@pytest.fixture
def staff():
    return signed_in("staff")


@pytest.fixture(params=[FEEDBACK, JOBS])
def aged(request):
    """A list and the ids of its rows, each of an age of its own, newest first."""
    now = timezone.now()
    if request.param == FEEDBACK:
        rows = [
            InsightFeedback.objects.create(insight_id="i", user_id=f"u{n}", created_at=now - age)
            for n, age in enumerate(AGES)
        ]
    else:
        rows = [
            BackfillJob.objects.create(
                job_type="blocks",
                start_block=0,
                end_block=9,
                current_block=n,
                status="paused",
                started_at=now - age,
            )
            for n, age in enumerate(AGES)
        ]
    return request.param, [row.pk for row in rows], now


@pytest.mark.parametrize(("query", "count"), [("", 4), ("?range=1h", 1), ("?range=6h", 2), ("?range=30d", 3)])
def test_a_range_narrows_jobs_and_feedback_and_none_is_set_at_first(staff, aged, query, count):
    path, ids, _ = aged
    response = staff.get(path + query)
    assert shown(response) == ids[:count]
    chosen = [
        c["display"]
        for c in response.context["cl"].filter_specs[0].choices(response.context["cl"])
        if c["selected"]
    ]
    assert chosen == [{"": "any time", "?range=1h": "1 h", "?range=6h": "6 h", "?range=30d": "30 d"}[query]]


@pytest.mark.parametrize(
    ("older", "newer", "which"),
    [(100, None, slice(0, 3)), (None, 1, slice(2, 4)), (100, 1, slice(2, 3))],
    ids=["from", "to", "both"],
)
def test_absolute_moments_narrow_them_too(staff, aged, older, newer, which):
    path, ids, now = aged
    bounds = {"from": older, "to": newer}
    query = "&".join(f"{k}={quote((now - timedelta(days=d)).isoformat())}" for k, d in bounds.items() if d)
    response = staff.get(f"{path}?{query}")
    assert shown(response) == ids[which]
    assert response.context["cl"].has_active_filters


def test_a_range_that_is_not_understood_shows_nothing_and_says_so(staff, aged):
    response = staff.get(aged[0] + "?range=soon")
    assert shown(response) == []
    assert "Range not understood" in response.content.decode()


def test_a_link_names_exactly_one_insight_or_one_user(staff):
    """An insight and a user may have one name: a search finds both, a link only what it names."""
    of_insight = InsightFeedback.objects.create(insight_id="same", user_id="u/1 &").pk
    of_user = InsightFeedback.objects.create(insight_id="other", user_id="same").pk
    assert sorted(shown(staff.get(FEEDBACK + "?q=same"))) == sorted([of_insight, of_user])
    assert shown(staff.get(FEEDBACK + "?insight=same")) == [of_insight]
    assert shown(staff.get(FEEDBACK + "?user=same")) == [of_user]
    assert shown(staff.get(FEEDBACK + "?insight=")) == []
    body = staff.get(FEEDBACK).content.decode()
    assert 'href="/admin/feedback/insightfeedback/?insight=same"' in body
    assert 'href="/admin/feedback/insightfeedback/?user=u%2F1+%26"' in body
    detail = staff.get(f"{FEEDBACK}{of_insight}/change/").content.decode()
    assert f'href="{FEEDBACK}?insight=same"' in detail
    assert f'href="{FEEDBACK}?user=u%2F1+%26"' in detail


def choices(response, title):
    """What the filter offers, and which of it is chosen."""
    changelist = response.context["cl"]
    [spec] = [each for each in changelist.filter_specs if each.title == title]
    offered = list(spec.choices(changelist))
    return [each["display"] for each in offered], [each["display"] for each in offered if each["selected"]]


def test_a_chosen_service_is_asked_for_its_own_types_only(staff):
    metrics(1, service_name="postgres", metric_type="connections")
    metrics(1, service_name="web-api", metric_type="latency")
    assert choices(staff.get(METRICS), "type") == (["All", "connections", "latency"], ["All"])
    one = staff.get(METRICS + "?service=postgres")
    assert choices(one, "type") == (["All", "connections"], ["All"])


@pytest.mark.parametrize(
    ("path", "name", "title"),
    [(METRICS, "service", "service"), (METRICS, "type", "type"), (JOBS, "job_type", "type")],
)
def test_what_filters_is_what_the_bar_says_even_if_nothing_has_it(staff, path, name, title):
    metrics(1)
    response = staff.get(f"{path}?{name}=gone")
    assert shown(response) == []
    assert choices(response, title)[1] == ["gone"]


def test_an_exact_value_stands_in_the_bar_only_while_it_filters(staff):
    InsightFeedback.objects.create(insight_id="i1", user_id="u1")
    titles = [spec.title for spec in staff.get(FEEDBACK).context["cl"].filter_specs]
    assert titles == ["written", "flag", "rating", "comment"]
    titles = [spec.title for spec in staff.get(FEEDBACK + "?user=u1").context["cl"].filter_specs]
    assert titles == ["written", "flag", "rating", "comment", "user"]


@pytest.mark.parametrize(
    ("path", "order", "words"),
    [(METRICS, "", ("Newer", "Older")), (METRICS, "&o=0", ("Older", "Newer")), (JOBS, "&o=0", ("Previous", "Next")),
     (JOBS, "&o=-4", ("Newer", "Older")), (JOBS, "&o=4", ("Older", "Newer"))],
)  # fmt: skip
def test_pages_are_called_by_what_the_order_makes_them(staff, monkeypatch, path, order, words):
    monkeypatch.setattr(lists.LargeTableAdmin, "list_per_page", 2)
    metrics(6)
    for n in range(6):
        BackfillJob.objects.create(
            job_type=f"kind-{n}", start_block=0, end_block=9, current_block=0, status="paused",
            started_at=timezone.now() - timedelta(hours=n),
        )  # fmt: skip
    first = staff.get(f"{path}?{order}")
    second = staff.get(path + first.context["cl"].next_url).content.decode()
    assert f"← {words[0]}</a>" in second
    assert f"{words[1]} →</a>" in second
