"""The three lists: keyset pages, bounded counts, filters that cannot break, exports of what is shown."""

import csv
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.contrib.admin import helpers
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from unfold.forms import AdminForm, Fieldline

from backfill.models import BackfillJob
from feedback.models import InsightFeedback
from metrics.admin import SystemMetricAdmin
from metrics.models import SystemMetric
from tests.accounts.access import signed_in
from utxoiq_admin.core import admin as lists

pytestmark = pytest.mark.django_db
# Django's own, as they are before the theme's classes take their names.
DjangoAdminForm, DjangoFieldline = AdminForm.__mro__[1], Fieldline.__mro__[1]
METRICS, FEEDBACK, JOBS = (
    "/admin/metrics/systemmetric/",
    "/admin/feedback/insightfeedback/",
    "/admin/backfill/backfilljob/",
)


@pytest.fixture
def staff():
    return signed_in("staff")


def metrics(count, *, start=None, **values):
    start = start or timezone.now() - timedelta(minutes=1)
    defaults = {
        "service_name": "web-api",
        "metric_type": "cpu",
        "metric_value": 1,
        "unit": "percent",
    } | values
    # Ten rows share each second, as batches do: the id must break ties.
    return SystemMetric.objects.bulk_create(
        [SystemMetric(timestamp=start - timedelta(seconds=n // 10), **defaults) for n in range(count)]
    )


def shown(response):
    return [row.pk for row in response.context["cl"].result_list]


def walk(client, path, link):
    pages, url = [], path
    while url:
        response = client.get(url)
        pages.append(shown(response))
        step = getattr(response.context["cl"], link)
        url = path.split("?")[0] + step if step else ""
    return pages


def test_paging_shows_every_row_once_in_order(staff):
    metrics(123)
    expected = list(SystemMetric.objects.order_by("-timestamp", "-id").values_list("pk", flat=True))
    pages = walk(staff, METRICS, "next_url")
    assert [len(page) for page in pages] == [50, 50, 23]
    assert [pk for page in pages for pk in page] == expected


def test_paging_back_reaches_the_first_page_again(staff):
    metrics(120)
    last = f"{METRICS}{staff.get(METRICS + staff.get(METRICS).context['cl'].next_url).context['cl'].next_url}"
    back = walk(staff, last, "previous_url")
    assert back[-1] == shown(staff.get(METRICS))
    assert sorted(pk for page in back for pk in page) == sorted(
        SystemMetric.objects.values_list("pk", flat=True)
    )


def test_a_row_written_while_paging_moves_nothing(staff):
    metrics(60)
    second = METRICS + staff.get(METRICS).context["cl"].next_url
    before = shown(staff.get(second))
    metrics(30, start=timezone.now())
    assert shown(staff.get(second)) == before


def test_a_list_costs_the_same_queries_whatever_it_holds(staff, django_assert_num_queries):
    metrics(60)
    staff.get(METRICS)
    # Session, user, two of permissions, service and type names, demo banner, the page, its estimate, its count.
    with django_assert_num_queries(10) as few:
        staff.get(METRICS)
    metrics(500)
    with django_assert_num_queries(len(few)):
        staff.get(METRICS)


@pytest.mark.parametrize("path", [METRICS, FEEDBACK, JOBS])
def test_no_address_makes_a_list_count_its_choices(staff, path, django_assert_num_queries):
    metrics(3)
    staff.get(path)
    with CaptureQueriesContext(connection) as plain:
        staff.get(path)
    with django_assert_num_queries(len(plain)):
        assert staff.get(path + "?_facets=1").context["cl"].add_facets is False


def test_the_count_is_exact_up_to_the_limit_and_estimated_above(staff, monkeypatch):
    metrics(40)
    assert "40 rows" in staff.get(METRICS).content.decode()
    metrics(20)
    monkeypatch.setattr(lists, "COUNT_LIMIT", 39)
    changelist = staff.get(METRICS).context["cl"]
    assert changelist.count_is_exact is False
    assert changelist.count_text.startswith("about ")


def test_metrics_always_have_a_range_of_24_hours_by_default(staff):
    now = timezone.now()
    new, old = metrics(1, start=now - timedelta(hours=23)), metrics(1, start=now - timedelta(hours=25))
    assert shown(staff.get(METRICS)) == [new[0].pk]
    assert shown(staff.get(METRICS + "?range=7d")) == [new[0].pk, old[0].pk]
    bounds = "from={}&to={}".format(*(quote((now - timedelta(hours=h)).isoformat()) for h in (26, 24)))
    assert shown(staff.get(f"{METRICS}?{bounds}")) == [old[0].pk]


def test_filters_of_metrics(staff):
    wanted = metrics(2, service_name="feature-engine", metric_type="latency")
    metrics(3, service_name="feature-engine")
    metrics(4, metric_type="latency")
    both = staff.get(METRICS + "?service=feature-engine&type=latency")
    assert sorted(shown(both)) == sorted(row.pk for row in wanted)


@pytest.mark.parametrize(
    "query",
    ["?range=soon", "?from=yesterday", "?from=2026-01-02&to=2026-01-01", "?q=no-uuid", "?after=garbage", "?service=%00",
     "?q=%00", "?o=99", "?before=AAAA", "?nonsense=1", "?range=90d&after=bnVsbA"],
)  # fmt: skip
def test_garbage_in_the_address_is_answered_not_raised(staff, query):
    metrics(1)
    response = staff.get(METRICS + query, follow=True)
    assert response.status_code == 200


@pytest.mark.parametrize("garbage", ["range=soon", "q=no-uuid"])
def test_garbage_on_a_later_page_is_answered_too(staff, garbage):
    metrics(lists.PAGE_SIZE + 1)
    later = parse_qs(urlsplit(staff.get(METRICS).context["cl"].next_url).query)["after"][0]
    assert staff.get(METRICS + f"?{garbage}&after={later}", follow=True).status_code == 200


@pytest.mark.parametrize("query", ["?rating=abc", "?rating=99999999999999", "?flag=%27", "?o=-1", "?q=%25"])
def test_garbage_for_the_feedback_list(staff, query):
    assert staff.get(FEEDBACK + query, follow=True).status_code == 200


@pytest.mark.parametrize(
    "address",
    [f"{JOBS}?start_block__range=0", f"{JOBS}?created_by__regex=[", f"{JOBS}?started_at=9999-12-31T23:59:59-23:59",
     f"{FEEDBACK}?rating__range=1", f"{FEEDBACK}?comment__contains=x", f"{METRICS}?metric_metadata__foo=1",
     f"{METRICS}?metric_value__gt=1", f"{METRICS}?after=garbage", "/admin/auth/user/?username__range=1",
     "/admin/auth/group/?name__regex=[", "/admin/accounts/servicetoken/?name__regex=[",
     "/admin/accounts/servicetoken/?q=%00"],
)  # fmt: skip
def test_what_a_list_does_not_offer_is_refused_and_said(address):
    boss = signed_in("administrator")
    assert boss.get(address)["Location"] == address.split("?")[0] + "?e=1"
    assert lists.NOT_UNDERSTOOD in boss.get(address, follow=True).content.decode()


def test_an_export_of_what_the_list_does_not_offer_exports_nothing(staff):
    assert staff.get(METRICS + "export/?metric_value__gt=1")["Location"] == "../?e=1"


def test_feedback_filters_and_search(staff):
    def feedback(n, **values):
        return InsightFeedback.objects.create(insight_id="i1", user_id=f"u{n}", **values).pk

    spam, odd = feedback(1, flag_type="spam", rating=1), feedback(2, flag_type="offensive")
    plain = feedback(3, rating=5, comment="good")
    assert sorted(shown(staff.get(FEEDBACK + "?flag=any"))) == sorted([spam, odd])
    assert shown(staff.get(FEEDBACK + "?flag=spam")) == [spam]
    assert shown(staff.get(FEEDBACK + "?flag=other")) == [odd]
    assert shown(staff.get(FEEDBACK + "?rating=5&comment=yes")) == [plain]
    assert shown(staff.get(FEEDBACK + "?q=u2")) == [odd]
    assert len(shown(staff.get(FEEDBACK + "?q=i1"))) == 3
    assert shown(staff.get(f"{FEEDBACK}?q={spam}")) == [spam]
    assert "other: offensive" in staff.get(FEEDBACK).content.decode()


def test_jobs_sort_only_by_indexed_columns(staff):
    now = timezone.now()
    for n, kind in enumerate(["blocks", "transactions", "blocks"]):
        BackfillJob.objects.create(
            job_type=kind,
            start_block=0,
            end_block=9,
            current_block=n,
            status="paused",
            started_at=now - timedelta(hours=n),
        )
    by_start = list(BackfillJob.objects.order_by("-started_at").values_list("pk", flat=True))
    assert shown(staff.get(JOBS)) == by_start
    assert shown(staff.get(JOBS + "?o=3")) == by_start  # progress has no index
    assert shown(staff.get(JOBS + "?o=4")) == by_start[::-1]
    assert shown(staff.get(JOBS + "?job_type=transactions&status=paused")) == [by_start[1]]


def test_two_rows_with_one_id_break_no_page(staff):
    first = metrics(1)[0]
    other = SystemMetric.objects.bulk_create(
        [SystemMetric(id=first.pk, service_name="s", metric_type="cpu", metric_value=7, unit="ms",
                      timestamp=first.timestamp - timedelta(minutes=5))]
    )[0]  # fmt: skip
    assert shown(staff.get(METRICS)) == [first.pk, first.pk]
    newest = staff.get(f"{METRICS}{first.pk}/change/")
    assert newest.context["original"].timestamp == first.timestamp
    older = staff.get(f"{METRICS}{first.pk}/change/?at={quote(other.timestamp.isoformat())}")
    assert older.context["original"].metric_value == 7


def test_a_detail_is_drawn_by_the_theme_whatever_the_process_served_before(staff, monkeypatch):
    """The theme puts its own classes in Django's place at its first form: until then labels had a colon."""
    monkeypatch.setattr(helpers, "AdminForm", DjangoAdminForm)
    monkeypatch.setattr(helpers, "Fieldline", DjangoFieldline)
    page = staff.get(f"{METRICS}{metrics(1)[0].pk}/change/").content.decode()
    assert "Metric type</label>" in page
    assert "Metric type:" not in page


@pytest.mark.parametrize("path", ["nonsense/change/", f"{'0' * 32}/change/"])
def test_an_id_that_is_not_there_leads_back(staff, path):
    assert staff.get(METRICS + path, follow=True).status_code == 200


def test_the_export_is_what_the_filters_show(staff):
    kept = metrics(2, service_name="feature-engine", metric_metadata={"instance_id": "=1+1"})
    metrics(3)
    response = staff.get(METRICS + "export/?service=feature-engine")
    table = list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode())))
    assert table[0] == list(SystemMetricAdmin.export_fields)
    assert sorted(row[0] for row in table[1:]) == sorted(str(row.pk) for row in kept)
    assert response["Content-Disposition"].startswith("attachment; filename=")


def test_an_export_stops_at_its_limit(staff, monkeypatch):
    monkeypatch.setattr(lists, "EXPORT_LIMIT", 5)
    metrics(9)
    body = b"".join(staff.get(METRICS + "export/").streaming_content).decode()
    lines = body.strip().splitlines()
    assert (len(lines), lines[-1].startswith("# CUT")) == (7, True)
    assert "first 5" in staff.get(METRICS).content.decode()


def test_cells_say_utc_age_and_units(staff):
    metrics(1, start=datetime.now(UTC) - timedelta(minutes=3, seconds=1), metric_value=1536, unit="bytes")
    page = staff.get(METRICS).content.decode()
    assert "1.5 KiB" in page and "3 min ago" in page
