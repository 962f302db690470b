"""The silences of our own processes are kept, and tell when the application stood still."""

from datetime import timedelta

import pytest
from django.utils import timezone

from utxoiq_admin.core import heartbeats
from utxoiq_admin.core.models import Heartbeat, HeartbeatGap
from utxoiq_admin.core.standstill import standstills

pytestmark = pytest.mark.django_db

NOON = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=4)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def heard(name, *minutes):
    """The process writes its heartbeat at each of these minutes after noon."""
    for minute in minutes:
        Heartbeat.objects.update_or_create(name=name, defaults={"at": at(minute)})


def test_a_silence_above_45_s_leaves_one_row_and_a_shorter_one_none():
    for seconds in (0, 10, 55, 101, 111):
        Heartbeat.objects.update_or_create(name="worker", defaults={"at": NOON + timedelta(seconds=seconds)})
    assert list(HeartbeatGap.objects.values_list("name", "heard_until", "heard_again")) == [
        ("worker", NOON + timedelta(seconds=55), NOON + timedelta(seconds=101))
    ]


def test_the_heartbeat_that_processes_write_is_seen_too(monkeypatch):
    monkeypatch.setattr(heartbeats, "_last", {})
    monkeypatch.setattr(heartbeats, "close_old_connections", lambda: None)  # inside the test's transaction
    Heartbeat.objects.create(name="beat", at=NOON)
    assert heartbeats.beat("beat")
    gap = HeartbeatGap.objects.get()
    assert (gap.name, gap.heard_until, gap.heard_again) == ("beat", NOON, Heartbeat.objects.get().at)


def test_gaps_older_than_any_chart_are_forgotten_when_a_new_one_comes():
    HeartbeatGap.objects.create(
        name="worker", heard_until=NOON - timedelta(days=2000), heard_again=NOON - timedelta(days=1999)
    )
    heard("worker", 0, 60)
    assert list(HeartbeatGap.objects.values_list("heard_until", flat=True)) == [NOON]


def away(name, *stretches, heard_at):
    """The process is heard at `heard_at`, and was not in these stretches of minutes."""
    Heartbeat.objects.create(name=name, at=at(heard_at))
    for first, last in stretches:
        HeartbeatGap.objects.create(name=name, heard_until=at(first), heard_again=at(last))


def test_only_what_all_three_missed_is_a_standstill():
    away("worker", (0, 20), (30, 50), heard_at=60)
    away("beat", (5, 35), heard_at=60)
    away("listener", (-3, 2), (8, 18), (32, 33), heard_at=60)
    assert standstills(at(-60), at(60), now=at(60)) == [(at(8), at(18)), (at(32), at(33))]


def test_a_worker_away_alone_is_none():
    away("worker", (0, 20), heard_at=20)
    away("beat", heard_at=20)
    away("listener", heard_at=20)
    assert standstills(at(0), at(20), now=at(20)) == []


def test_one_that_lasts_goes_to_now_and_is_cut_to_the_range():
    for name in ("worker", "beat", "listener"):
        heard(name, 0)
    assert standstills(at(-10), at(60), now=at(30)) == [(at(0), at(30))]
    assert standstills(at(5), at(10), now=at(30)) == [(at(5), at(10))]


def test_without_any_heartbeat_nothing_is_known():
    assert standstills(at(0), at(60), now=at(60)) == []
