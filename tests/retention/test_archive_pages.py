"""Looking into the archive by its pages: what is refused, what is exported, what a damaged object still shows."""

import csv
import gzip
import io

import pytest
from django.db import connection

from tests.accounts.access import signed_in
from tests.retention.rows import DAY, OLD, fill, run
from tests.retention.test_damage import damage
from utxoiq_admin.retention import archive_views, looking
from utxoiq_admin.retention.models import Archive

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff():
    return signed_in("staff")


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("path", ["/archives/", "/archives/search/", "/archives/{pk}/"])
def test_a_time_that_is_none_is_refused_and_nothing_is_shown_as_if_it_were_all(staff, path):
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    path = path.format(pk=Archive.objects.get().pk)
    answer = staff.get(path, {"table": "insight_feedback", "from": "yesterday"})
    page = text(answer)
    assert "“yesterday” is no time: write it like 2026-11-24T14:00Z." in page
    assert 'value="yesterday"' in page and "ret-rows" not in page
    assert not answer.context.get("archives") and not answer.context.get("seen")


def test_a_search_to_a_day_includes_the_day(staff):
    fill(days=2, rows=8)
    run(tables=("insight_feedback",))
    query = {"table": "insight_feedback", "to": f"{OLD:%Y-%m-%d}", "read": "1"}
    assert "<strong>8 rows</strong> found in 8 lines of 1 object." in text(
        staff.get("/archives/search/", query)
    )


def test_objects_past_the_limit_are_a_link_away(staff, monkeypatch):
    monkeypatch.setattr(looking, "OBJECTS", 2)
    monkeypatch.setattr(archive_views, "OBJECTS", 2)
    fill(days=5, rows=8)
    run(tables=("insight_feedback",))
    found, url = [], "?table=insight_feedback"
    while url:
        response = staff.get(f"/archives/search/{url}")
        found += [archive.pk for archive in response.context["archives"]]
        url = response.context["older_url"]
    assert found == list(Archive.objects.order_by("-first_at").values_list("pk", flat=True))


def test_the_list_is_exported_as_it_is_filtered(staff):
    fill(days=2, rows=8)
    run()
    page = staff.get("/archives/", {"table": "insight_feedback", "from": f"{OLD + DAY:%Y-%m-%d}"})
    answer = staff.get(page.context["export_url"])
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    archive = Archive.objects.get(table="insight_feedback", first_at__gte=OLD + DAY)
    assert [(row["key"], row["rows"], row["checksum"], row["state"]) for row in rows] == [
        (archive.key, "8", archive.checksum, "archived")
    ]


def test_an_export_of_a_time_that_is_none_is_refused(staff):
    answer = staff.get("/archives/export.csv", {"to": "soon"})
    assert (answer.status_code, answer.content.decode()) == (
        422,
        "“soon” is no time: write it like 2026-11-24T14:00Z.",
    )


def test_a_damaged_object_shows_what_can_still_be_read_and_is_given_out(staff, archive_folder):
    fill(days=1, rows=8)
    run(tables=("insight_feedback",))
    archive = Archive.objects.get()

    def cut_in_the_fourth_line(data):
        lines = gzip.decompress(data).split(b"\n")
        return gzip.compress(b"\n".join([*lines[:3], lines[3][:20]]) + b"\n")

    damage(archive_folder, archive, cut_in_the_fourth_line)
    Archive.objects.update(state="damaged")
    page = staff.get(f"/archives/{archive.pk}/")
    assert len(page.context["seen"].rows) == 3
    assert f"{archive.key}: line 4 is no row of insight_feedback" in text(page)
    assert "what could still be read of it, and proves nothing" in text(page)
    download = staff.get(f"/archives/{archive.pk}/download/")
    assert "Content-Length" not in download.headers
    assert b"".join(download.streaming_content) == (archive_folder / archive.key).read_bytes()


def test_a_number_of_many_digits_in_an_object_is_shown(staff):
    fill(days=1, rows=8)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE system_metrics SET metric_metadata = jsonb_build_object('n', (repeat('9', 6000))::numeric)"
        )
    run(tables=("system_metrics",))
    page = staff.get(f"/archives/{Archive.objects.get().pk}/")
    assert (page.status_code, page.context["seen"].faults) == (200, [])
    assert len(page.context["seen"].rows) == 8
