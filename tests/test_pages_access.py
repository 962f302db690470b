"""Every page and export outside the admin against every kind of visitor (`test_admin_access` has those inside).

A page that is not in the table fails the last test.
"""

import gzip
import uuid
from datetime import UTC, datetime

import pytest
from django.urls import get_resolver, resolve

from backfill.models import BackfillJob
from feedback.models import InsightFeedback
from metrics.models import SystemMetric
from tests.accounts.access import KINDS, signed_in
from utxoiq_admin.retention.models import Archive

pytestmark = pytest.mark.django_db

IDS = {name: uuid.UUID(int=n + 1) for n, name in enumerate(["job", "feedback", "metric", "archive"])}
NOW = datetime(2026, 8, 1, tzinfo=UTC)
VIEWERS = {"staff", "moderators", "ops", "administrator"}
OPS = {"ops", "administrator"}
JUDGES = {"moderators", "administrator"}
RANGE = "service=s&type=cpu&start=2026-11-24T10:00Z&end=2026-11-24T11:00Z"
# Not pages but answers to one: a visitor without rights is told so, not sent to sign in.
ANSWERS = (
    "/charts/data/",
    "/charts/annotations/",
    "/charts/rows/",
    "/charts/views/",
    f"/jobs/{IDS['job']}/data/",
)
PAGES = {
    "/": VIEWERS,
    "/?live=1": VIEWERS,
    "/charts/": VIEWERS,
    "/charts/annotations/?start=2026-11-23&end=2026-11-24&service=s": VIEWERS,
    f"/charts/data/?{RANGE}": VIEWERS,
    f"/charts/rows/?{RANGE}": VIEWERS,
    "/charts/views/": VIEWERS,
    "/insights/": VIEWERS,
    "/insights/export.csv": VIEWERS,
    "/insights/i/": VIEWERS,
    "/services/": VIEWERS,
    "/services/high/": VIEWERS,
    "/services/moment/": VIEWERS,
    "/jobs/": VIEWERS,
    "/jobs/?live=1": VIEWERS,
    "/jobs/export.csv": VIEWERS,
    "/jobs/coverage/": VIEWERS,
    "/jobs/start/": OPS,
    f"/jobs/{IDS['job']}/": VIEWERS,
    f"/jobs/{IDS['job']}/data/": VIEWERS,
    f"/jobs/pause/?job={IDS['job']}": OPS,
    f"/jobs/cancel/?job={IDS['job']}": OPS,
    "/review/": JUDGES,
    "/review/?live=1": JUDGES,
    "/review/item/?insight=i": JUDGES,
    "/review/history/": JUDGES,
    "/review/ignored/": JUDGES,
    "/review/history/data/": JUDGES,
    "/review/history/export/": JUDGES,
    "/schedule/": VIEWERS,
    "/retention/": VIEWERS,
    "/retention/?live=1": VIEWERS,
    "/retention/preview/": OPS,
    "/archives/": VIEWERS,
    "/archives/export.csv": VIEWERS,
    "/archives/search/?read=1": VIEWERS,
    f"/archives/{IDS['archive']}/": VIEWERS,
    f"/archives/{IDS['archive']}/download/": VIEWERS,
}
# Posted, or of one's own alone: tested with their own pages.
ELSEWHERE = {
    *(
        f"review/{name}/"
        for name in ["claim", "next", "renew", "release", "decide", "skip", "undo", "ignore", "heed", "bulk"]
    ),
    "demo/remove",
    "services/retire/",
    "services/take-back/",
    "retention/run/",
    "retention/pause/",
    "retention/resume/",
    "retention/<uuid:pk>/stop/",
    "archives/<uuid:pk>/restore/",
    "charts/views/<uuid:view>/",
    "charts/views/<uuid:view>/delete/",
}
FORBIDDEN_TO_ALL = [
    "/admin/backfill/backfilljob/add/",
    f"/admin/backfill/backfilljob/{IDS['job']}/delete/",
    "/admin/feedback/insightfeedback/add/",
    f"/admin/feedback/insightfeedback/{IDS['feedback']}/delete/",
    "/admin/metrics/systemmetric/add/",
    f"/admin/metrics/systemmetric/{IDS['metric']}/delete/",
]


@pytest.fixture(autouse=True)
def rows(tmp_path, settings):
    settings.ARCHIVE_URL = tmp_path.as_uri()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    Archive.objects.create(
        id=IDS["archive"], table="system_metrics", key="a.jsonl.gz", state="archived", first_at=NOW, last_at=NOW,
        verified_at=NOW, rows=1, bytes=23, checksum="", sha256="",
    )  # fmt: skip
    BackfillJob.objects.create(
        id=IDS["job"], job_type="blocks", start_block=1, end_block=9, current_block=1, status="running"
    )
    InsightFeedback.objects.create(id=IDS["feedback"], insight_id="i", user_id="u", flag_type="offensive")
    SystemMetric.objects.create(
        id=IDS["metric"], service_name="s", metric_type="cpu", metric_value=1, unit="ms"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", PAGES)
def test_who_may_look(path, kind):
    response = signed_in(kind).get(path)
    if kind == "anonymous" and not path.startswith(ANSWERS):
        assert (response.status_code, response["Location"].split("?")[0]) == (302, "/admin/login/")
    else:
        assert response.status_code == (200 if kind in PAGES[path] else 403)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", FORBIDDEN_TO_ALL)
def test_nobody_adds_or_deletes_rows_by_hand(path, kind):
    client = signed_in(kind)
    for ask in (client.get, client.post):
        assert ask(path).status_code == (302 if kind == "anonymous" else 403)
    assert (BackfillJob.objects.count(), InsightFeedback.objects.count(), SystemMetric.objects.count()) == (
        1,
        1,
        1,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("path", "data"),
    [
        (f"/admin/backfill/backfilljob/{IDS['job']}/change/", {"status": "completed", "created_by": "me"}),
        (f"/admin/feedback/insightfeedback/{IDS['feedback']}/change/", {"rating": "1", "comment": "mine"}),
        (f"/admin/metrics/systemmetric/{IDS['metric']}/change/", {"metric_value": "2"}),
    ],
)
def test_nothing_is_editable_by_accident(path, data, kind):
    before = [list(model.objects.values()) for model in (BackfillJob, InsightFeedback, SystemMetric)]
    response = signed_in(kind).post(path, data)
    assert response.status_code == (302 if kind == "anonymous" else 403)
    assert [list(model.objects.values()) for model in (BackfillJob, InsightFeedback, SystemMetric)] == before


def test_somebody_without_a_group_reads_what_to_ask_for_and_of_whom():
    signed_in("administrator")
    page = signed_in("outsider").get("/").content.decode()
    assert "Your account has no group yet." in page
    assert "<strong>staff</strong>" in page and "from administrator" in page


def test_every_page_outside_the_admin_is_in_the_table():
    open_or_elsewhere = {"admin/", "api/v1/", "healthz", "readyz", "favicon.ico"}
    found = set()
    for pattern in get_resolver().url_patterns:
        children = getattr(pattern, "url_patterns", None)
        route = str(pattern.pattern)
        if route in open_or_elsewhere:
            continue
        found |= {route + str(child.pattern) for child in children} if children is not None else {route}
    assert found - ELSEWHERE == {resolve(path.split("?")[0]).route for path in PAGES}
