"""What a token wrote, and why rows of it were rejected: counted, bounded, and never at a request's cost."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.urls import reverse

from tests.accounts.access import signed_in, token
from utxoiq_admin.accounts import usage
from utxoiq_admin.accounts.models import TokenRejection, TokenUsage
from utxoiq_admin.accounts.usage import KEEP_REASONS, Rejection, usage_note, usage_of

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def counts(made, now=NOW):
    found = usage_of(token=made, now=now)
    return found.accepted, found.duplicate, found.rejected


@pytest.mark.django_db
def test_sums_reach_back_24_hours_before_the_running_one():
    made, _ = token("metrics:write")
    usage_note(token=made, now=NOW - 25 * HOUR, accepted=1000)
    usage_note(token=made, now=NOW - 24 * HOUR, accepted=100)
    usage_note(token=made, now=NOW - HOUR, accepted=10, duplicate=3)
    usage_note(token=made, now=NOW, accepted=1, rejections=[Rejection("unit", "Empty.")] * 2)
    other, _ = token("metrics:write", name="other")
    assert counts(made) == (111, 3, 2)
    assert counts(other) == (0, 0, 0)
    assert usage_of(token=made, now=NOW).since == datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.django_db
def test_hours_that_nobody_will_ask_for_are_forgotten():
    made, _ = token("metrics:write")
    usage_note(token=made, now=NOW, accepted=1)
    usage_note(token=made, now=NOW + timedelta(days=8), accepted=1)
    usage_note(token=made, now=NOW + timedelta(days=8) + 2 * HOUR, accepted=1)
    assert TokenUsage.objects.filter(token=made).count() == 2


@pytest.mark.django_db
def test_equal_reasons_are_one_entry_with_its_rows_and_the_last_series():
    made, _ = token("metrics:write")
    usage_note(token=made, now=NOW, rejections=[Rejection("unit", "Empty.", "web-api cpu")] * 3)
    usage_note(token=made, now=NOW + HOUR, rejections=[Rejection("unit", "Empty.", "web-api latency")])
    usage_note(token=made, now=NOW + 2 * HOUR, rejections=[Rejection("body", "Not JSON.", rows=0)])
    found = [
        (each.field, each.about, each.rows, each.last_at) for each in usage_of(token=made, now=NOW).reasons
    ]
    assert found == [("body", "", 0, NOW + 2 * HOUR), ("unit", "web-api latency", 4, NOW + HOUR)]


@pytest.mark.django_db
def test_reasons_are_few_however_many_a_sender_makes_up():
    made, _ = token("metrics:write")
    for turn in range(3):
        names = [Rejection(f"{turn}-{each}" * 99, "No such field." * 99, "x" * 999) for each in range(500)]
        usage_note(token=made, now=NOW + turn * HOUR, rejections=names)
    kept = TokenRejection.objects.filter(token=made)
    assert kept.count() == KEEP_REASONS
    assert {each.last_at for each in kept} == {NOW + 2 * HOUR}
    assert counts(made, NOW + 2 * HOUR) == (0, 0, 1500)


@pytest.mark.django_db(transaction=True)
def test_batches_of_one_token_lose_no_count():
    made, _ = token("metrics:write")

    def write():
        for turn in range(25):
            reasons = [Rejection(str(each), "Empty.") for each in range(turn % 3)]
            usage_note(token=made, now=NOW, accepted=2, rejections=reasons)
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert counts(made) == (200, 0, 4 * 24)


@pytest.mark.django_db(transaction=True)
def test_a_count_that_somebody_blocks_is_given_up_after_a_moment(caplog):
    made, _ = token("metrics:write")
    usage_note(token=made, now=NOW, accepted=1)

    def note():
        usage_note(token=made, now=NOW, accepted=1)
        connection.close()

    with transaction.atomic():
        TokenUsage.objects.select_for_update().get(token=made)
        thread = threading.Thread(target=note)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    assert "token_usage_not_noted name=web-api" in caplog.text
    assert counts(made) == (1, 0, 0)


@pytest.mark.django_db
def test_a_broken_table_fails_no_request(monkeypatch, caplog):
    made, _ = token("metrics:write")
    monkeypatch.setattr(usage, "_COUNT", "SELECT nothing")
    usage_note(token=made, now=NOW, accepted=1)
    assert "token_usage_not_noted" in caplog.text
    assert counts(made) == (0, 0, 0)


@pytest.mark.django_db
def test_the_tokens_page_says_why_a_metric_does_not_show():
    made, _ = token("metrics:write")
    page = reverse("admin:accounts_servicetoken_change", args=[made.pk])
    with time_machine.travel(NOW, tick=False):
        client = signed_in("administrator")
        assert "None: every row that arrived with this token was stored." in client.get(page).content.decode()
        rejection = Rejection("<unit>", "String should have at least 1 character.", "web-api cpu")
        usage_note(token=made, now=NOW, accepted=12_345, duplicate=6, rejections=[rejection])
        text = client.get(page).content.decode()
    for each in ("12,345 rows", "6 rows", "1 rows", "&lt;unit&gt;", rejection.reason, "web-api cpu"):
        assert each in text
    assert "2026-11-23 12:00:00" in text
