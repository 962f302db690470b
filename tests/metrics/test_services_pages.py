"""The pages about services: what they show, what they refuse, who may retire, and what they cost."""

import re
from datetime import UTC, timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from metrics.models import Retirement, SystemMetric
from tests.accounts.access import KINDS, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


def report(now, minutes, service="web-api", metric_type="cpu", unit="percent", value=10.0, metadata=None):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service, metric_type=metric_type, unit=unit, metric_value=value,
            timestamp=now - timedelta(minutes=minute), metric_metadata=metadata,
        )
        for minute in minutes
    )  # fmt: skip


def page(path, kind="staff", client=None):
    response = (client or signed_in(kind)).get(path)
    assert response.status_code == 200
    return response, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def names(response, group="rows"):
    return [row.service.name for row in response.context[group]]


def test_the_overview_puts_groups_apart_and_counts_what_needs_a_look(now):
    report(now, range(1, 20))
    report(now, range(30, 40), "silent")
    report(now, [20 * 1440], "gone")
    report(now, [2 * 1440], "old")
    Retirement.objects.create(service_name="old", note="merged into web-api", retired_by="ana")
    response, text = page("/services/")
    assert (names(response), names(response, "gone"), names(response, "retired")) == (
        ["silent", "web-api"], ["gone"], ["old"],
    )  # fmt: skip
    assert "1 of 2 needs a look" in text and "merged into web-api" in text and "by ana" in text
    last = now - timedelta(minutes=30)
    assert f"silent since {last:%Y-%m-%d %H:%M:%S} every 1 min" in text


def test_the_filter_is_in_the_address_and_in_what_refreshes(now):
    report(now, range(1, 20))
    report(now, range(30, 40), "web-old")
    report(now, range(1, 20), "ingest", value=95)
    client = signed_in("staff")
    for query, expected in (
        ("q=WEB", ["web-old", "web-api"]),
        ("state=problems", ["web-old", "ingest"]),
        ("state=silent", ["web-old"]),
        ("q=api&state=silent", []),
        ("state=unheard-of", ["web-old", "ingest", "web-api"]),
    ):
        response, _ = page(f"/services/?{query}", client=client)
        assert names(response) == expected, query
        live, _ = page("/services/" + response.context["live"], client=client)
        assert names(live) == expected and "<html" not in live.content.decode()
    assert "No service is like this." in page("/services/?q=zzz", client=client)[1]


def test_without_any_service_the_page_says_how_one_appears():
    assert "Each appears here with its first metric" in page("/services/")[1]


@pytest.mark.parametrize("kind", KINDS)
def test_only_ops_retire_and_bring_back(now, kind):
    report(now, [60])
    client = signed_in(kind)
    allowed = kind in ("ops", "administrator")
    assert client.get("/services/retire/").status_code == 405
    answer = client.post("/services/retire/", {"service": "web-api", "note": "why"})
    assert answer.status_code == (302 if allowed else 403)
    assert Retirement.objects.filter(ended_at=None).count() == allowed
    Retirement.objects.get_or_create(service_name="web-api", ended_at=None, defaults={"note": "n"})
    answer = client.post("/services/take-back/", {"service": "web-api"})
    assert answer.status_code == (302 if allowed else 403)
    assert Retirement.objects.filter(ended_at=None).count() == (not allowed)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"service": "alive", "note": "why"}, "alive still reports"),
        ({"service": "silent"}, "Say why in 1 to 500 characters"),
        ({"service": "nobody", "note": "why"}, "No such service"),
        ({"service": "silent", "note": "a\0b"}, "Say why"),
        ({"service": "a\0b", "note": "why"}, "No such service"),
    ],
)
def test_what_is_not_retired_is_told_why(now, body, why):
    report(now, [1], "alive")
    report(now, [60], "silent")
    client = signed_in("ops")
    response = client.post("/services/retire/", body, follow=True)
    assert why in str(next(iter(response.context["messages"]))) and not Retirement.objects.exists()


def test_retiring_needs_the_forms_token(now):
    from django.test import Client

    report(now, [60])
    client = Client(enforce_csrf_checks=True)
    client.force_login(signed_in("ops").get("/services/").wsgi_request.user)
    assert client.post("/services/retire/", {"service": "web-api", "note": "why"}).status_code == 403
    assert not Retirement.objects.exists()


def test_the_overviews_cost_does_not_grow_with_services(now, django_assert_max_num_queries):
    for number in range(12):
        report(now, range(1, 4), f"s{number}", metadata={"instance_id": "a"})
    client = signed_in("staff")
    with django_assert_max_num_queries(23):
        assert len(client.get("/services/").context["rows"]) == 12


def test_high_usage_by_default_asks_the_descriptions_question(now):
    report(now, range(1, 50), "hot", value=92.5)
    report(now, range(1, 50), "calm", value=20)
    response, text = page("/services/high/")
    assert [usage.service for usage, _, _ in response.context["rows"]] == ["hot"]
    assert "1 above 80" in text and "of 2 services that report cpu" in text and "92.5 %" in text
    assert "/charts/?service=hot&amp;type=cpu&amp;range=1h" in response.content.decode()


def test_type_threshold_and_window_come_from_the_address(now):
    report(now, range(90, 100), "slow", "latency", "ms", 900)
    report(now, range(1, 9), "slow", "latency", "ms", 100)
    client = signed_in("staff")
    assert page("/services/high/?type=latency&above=500", client=client)[0].context["rows"] == []
    response, _ = page("/services/high/?type=latency&above=500.5&range=6h", client=client)
    assert [round(usage.average, 1) for usage, _, _ in response.context["rows"]] == [544.4]
    start, end = (quote((now - timedelta(minutes=m)).astimezone(UTC).isoformat()) for m in (101, 80))
    response, _ = page(f"/services/high/?type=latency&above=500&from={start}&to={end}", client=client)
    assert [usage.average for usage, _, _ in response.context["rows"]] == [900]
    assert "No service reported nothing" in page("/services/high/?type=nothing", client=client)[1]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("above=much", "“much” is no number: write the threshold like 80 or 0.5."),
        ("above=nan", "“nan” is no number"),
        ("range=3w", "“3w” is no range"),
        ("from=2020-01-01&to=2022-01-01", "A window has at most 366 days"),
        ("type=a%00b", "Nothing has such a name."),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(query, why):
    response, text = page(f"/services/high/?{query}")
    assert why in text and response.context["answer"] is None


def test_a_moment_shows_all_within_five_minutes_with_metadata(now):
    at = now.replace(second=0, microsecond=0) - timedelta(hours=3)
    report(at, [5, 1, -1, -5], metadata={"instance_id": "a", "region": "zürich"})
    report(at, [5.01, -5.01], value=99)
    report(at, [2], metric_type="latency", unit="ms", value=182)
    report(at, [0], "another")
    client = signed_in("staff")
    response, text = page(f"/services/moment/?service=web-api&at={at:%Y-%m-%dT%H:%M:%SZ}", client=client)
    shown = [(row["metric"].metric_type, row["offset"], row["nearest"]) for row in response.context["rows"]]
    assert shown == [
        ("cpu", -300, False), ("cpu", -60, True), ("cpu", 60, False), ("cpu", 300, False), ("latency", -120, True),
    ]  # fmt: skip
    assert "5 rows of 2 types" in text and "zürich" in text and "−5 min" in text and "182 ms" in text
    nearest, _ = page("/services/moment/" + response.context["links"]["nearest"], client=client)
    assert [row["offset"] for row in nearest.context["rows"]] == [-60, -120]
    earlier, _ = page("/services/moment/" + response.context["links"]["earlier"], client=client)
    assert earlier.context["at"] == at - timedelta(minutes=10)


def test_a_moment_without_rows_leads_to_the_charts_and_a_wrong_one_is_told(now):
    report(now, [1])
    client = signed_in("staff")
    assert (
        "web-api reported nothing within five minutes"
        in page("/services/moment/?at=2026-01-01T00:00Z", client=client)[1]
    )
    assert "“noon” is no time" in page("/services/moment/?at=noon", client=client)[1]
    assert "Nothing has such a name" not in page("/services/moment/", client=client)[1]
    assert client.get("/services/moment/?service=a%00b").status_code == 200


def test_a_moment_is_bounded(now):
    report(now, [n / 1000 for n in range(2100)])
    response, text = page("/services/moment/?service=web-api")
    assert len(response.context["rows"]) == 2000 and "there are more than these" in text
