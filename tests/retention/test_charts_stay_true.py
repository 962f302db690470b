"""Charts say the same before retention, after it and after a restore; what needs raw rows says where they are."""

from datetime import timedelta

import pytest
from django.db import connection

from metrics import rollups
from tests.accounts.access import signed_in
from tests.retention.rows import DAY, NOW, OLD, fill, run
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.restoring import restore

pytestmark = pytest.mark.django_db(transaction=True)
FIGURES = ("avg", "min", "max", "count", "p50", "p95", "p99")
SERVICES = ["s0", "s1", "s2"]


@pytest.fixture
def viewer():
    return signed_in("staff")


def chart(viewer, **more):
    """The chart's data over forty days, one of which leaves: wide enough to be drawn of rollups, before it too."""
    wanted = {
        "service": SERVICES,
        "type": "cpu",
        "start": (OLD - 20 * DAY).isoformat(),
        "end": (OLD + 20 * DAY).isoformat(),
    }
    return viewer.get("/charts/data/", {**wanted, **more})


def drawn(viewer):
    """Of each series all that a chart draws of it."""
    body = chart(viewer, percentiles="1").json()
    return {
        (one["service"], one["unit"]): {name: one[name] for name in FIGURES if name in one}
        for one in body["series"]
    }


def extremes():
    """The lowest and highest value of each series, by the table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT service_name, min(metric_value), max(metric_value) FROM system_metrics GROUP BY 1"
        )
        return {name: (low, high) for name, low, high in cursor.fetchall()}


def drawn_extremes(viewer):
    return {
        service: (min(v for v in one["min"] if v is not None), max(v for v in one["max"] if v is not None))
        for (service, _), one in drawn(viewer).items()
    }


def restored(archive):
    return restore(archive=archive, until=NOW + DAY, by="tests", now=NOW)


def test_a_chart_shows_the_same_before_retention_after_it_and_after_a_restore(viewer):
    fill(days=1, rows=2000)
    rollups.refresh()
    truth, before = extremes(), drawn(viewer)
    assert drawn_extremes(viewer) == truth and set(truth) == set(SERVICES)
    run(tables=("system_metrics",))
    assert extremes() == {}
    assert drawn(viewer) == before
    restored(Archive.objects.get())
    assert extremes() == truth
    assert drawn(viewer) == before


def test_what_needs_raw_rows_says_where_they_are_and_works_again_once_they_are_back(viewer):
    fill(days=1, rows=40)
    rollups.refresh()
    day = {"start": OLD.isoformat(), "end": (OLD + DAY).isoformat(), "by": "instance"}
    assert chart(viewer, **day).status_code == 200
    run(tables=("system_metrics",))
    refused = chart(viewer, **day)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith("From 2024-03-10 00:00 on rows of this time are in the archive")
    assert refused.json()["url"] == "/archives/?table=system_metrics&from=2024-03-10&to=2024-03-10"
    restored(Archive.objects.get())
    assert chart(viewer, **day).status_code == 200


def test_the_rows_of_a_chart_say_that_others_are_in_the_archive(viewer):
    fill(days=2, rows=40)
    rollups.refresh()
    query = {"service": SERVICES, "type": "cpu", "start": OLD.isoformat(), "end": (OLD + 2 * DAY).isoformat()}

    def exported():
        lines = b"".join(viewer.get("/charts/rows/", query).streaming_content).decode().splitlines()
        return len([line for line in lines if not line.startswith("#")]) - 1, lines[-1]

    assert exported()[0] == 80 and not exported()[1].startswith("#")
    run(tables=("system_metrics",))
    link = "http://testserver/archives/?table=system_metrics&from=2024-03-10&to=2024-03-10"
    assert exported() == (
        0, f"# NOTE: rows of this time are in the archive, from 2024-03-10 00:00 UTC on: {link}"
    )  # fmt: skip


def test_a_day_of_several_objects_is_back_only_with_all_of_them(viewer, monkeypatch):
    monkeypatch.setattr("utxoiq_admin.retention.spool.SLICE_ROWS", 30)
    fill(days=1, rows=40)
    run(tables=("system_metrics",))
    day = {"start": OLD.isoformat(), "end": (OLD + DAY).isoformat(), "by": "instance"}
    first, second = Archive.objects.order_by("first_at")
    restored(first)
    assert chart(viewer, **day).status_code == 422
    restored(second)
    assert chart(viewer, **day).status_code == 200


def test_a_moment_whose_rows_left_links_to_their_objects(viewer):
    fill(days=1, rows=40)
    run(tables=("system_metrics",))
    at = f"{OLD + timedelta(hours=1):%Y-%m-%dT%H:%MZ}"
    page = viewer.get("/services/moment/", {"service": "s0", "at": at})
    body = page.content.decode()
    assert "Rows of this time are in the archive" in body
    assert "/archives/?table=system_metrics&amp;from=2024-03-10&amp;to=2024-03-10" in body
