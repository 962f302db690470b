"""Our own rows: each by its own setting, however far the run's clock was moved."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from feedback.models import QueueSample, ReviewSkip
from tests.accounts.access import signed_in
from tests.retention.rows import DAY
from utxoiq_admin.core.leases import LeaseLost, hold
from utxoiq_admin.core.models import HeartbeatGap
from utxoiq_admin.retention import own, runs
from utxoiq_admin.retention.models import Pause, Run

pytestmark = pytest.mark.django_db(transaction=True)


def tidy(now=None):
    with hold("test", ttl=runs.TTL) as lease:
        own.tidy(now=now or timezone.now(), lease=lease, at=lambda step, **_: None)


def one_of_each(days, user):
    """A row of each of our tables that ended so many days ago; their keys tell the days."""
    at = timezone.now() - days * DAY
    Run.objects.create(
        trigger="page",
        requested_by=str(days),
        requested_at=at,
        tables=[],
        open=None,
        state="failed",
        finished_at=at,
    )
    Pause.objects.create(until=at, by=str(days))
    HeartbeatGap.objects.create(name=str(days), heard_until=at - DAY, heard_again=at)
    QueueSample.objects.create(at=at, waiting=days, escalated=0)
    Session.objects.create(session_key=str(days), session_data="", expire_date=at)
    ReviewSkip.objects.create(insight_id=str(days), moderator=user, until=at)


COLUMNS = {
    "retention.Run": (Run, "requested_by"),
    "retention.Pause": (Pause, "by"),
    "core.HeartbeatGap": (HeartbeatGap, "name"),
    "feedback.QueueSample": (QueueSample, "waiting"),
    "sessions.Session": (Session, "session_key"),
    "feedback.ReviewSkip": (ReviewSkip, "insight_id"),
}


def left():
    """The days ago of the rows that are there still, for each table."""
    return {
        label: sorted(int(value) for value in model.objects.values_list(column, flat=True))
        for label, (model, column) in COLUMNS.items()
    }


def test_own_rows_go_by_their_settings_and_younger_ones_stay(settings, django_user_model):
    for days, each in zip((10, 12, 20, 7, 5, 3), own.OWN, strict=True):
        setattr(settings, each.days_setting, days)
    user = django_user_model.objects.create_user("ana")
    for days in (2, 4, 6, 9, 11, 19, 21):
        one_of_each(days, user)
    tidy()
    assert left() == {
        "retention.Run": [2, 4, 6, 9],
        "retention.Pause": [2, 4, 6, 9, 11],
        "core.HeartbeatGap": [2, 4, 6, 9, 11, 19],
        "feedback.QueueSample": [2, 4, 6],
        "sessions.Session": [2, 4],
        "feedback.ReviewSkip": [2],
    }


def test_each_table_has_a_setting_of_its_own():
    names = [each.days_setting for each in (*own.OWN, *own.ELSEWHERE)]
    assert len(names) == len(set(names))


def test_every_table_that_is_tidied_is_tried_above():
    assert {each.model_label for each in own.OWN} == COLUMNS.keys()


def test_a_clock_moved_ahead_ages_none_of_our_own_rows(django_user_model):
    one_of_each(1, django_user_model.objects.create_user("ana"))
    tidy(now=timezone.now() + timedelta(days=2000))
    assert left() == {key: [1] for key in COLUMNS}


def test_a_run_that_was_taken_over_deletes_no_own_rows(django_user_model):
    one_of_each(1000, django_user_model.objects.create_user("ana"))
    with hold("test", ttl=runs.TTL) as lease:
        lease.release()
        with pytest.raises(LeaseLost):
            own.tidy(now=timezone.now(), lease=lease, at=lambda step, **_: None)
    assert left() == {key: [1000] for key in COLUMNS}


def test_the_page_says_how_long_our_own_rows_are_kept(settings):
    settings.RETENTION_SESSIONS_DAYS = 3
    page = signed_in("ops").get("/retention/").content.decode()
    assert '<span title="RETENTION_SESSIONS_DAYS">sessions that ended 3 d</span>' in page
