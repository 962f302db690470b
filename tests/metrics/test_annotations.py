"""A gap is told apart by cause; marks come from whoever registered."""

from datetime import UTC, datetime, timedelta

import pytest

from metrics import annotations
from metrics.annotations import Cause, Mark, Reason, explain, marks_between
from metrics.gaps import Gap

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=1)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def gap(first, last, by_hours=False):
    return Gap("web-api", at(first), at(last), by_hours, timedelta(minutes=5))


def reason(first, last, cause=Cause.NOT_INGESTING):
    return Reason(at(first), at(last), cause, f"{cause} {first}")


def pieces(gap, *reasons, now=NOW):
    return [
        ((p.start - NOON) / timedelta(minutes=1), (p.end - NOON) / timedelta(minutes=1), p.cause)
        for p in explain(gap, reasons, now=now)
    ]


def test_without_a_reason_the_service_was_silent():
    (piece,) = explain(gap(0, 41), [], now=NOW)
    assert (piece.cause, piece.text) == (Cause.SILENT, "web-api was silent for 41 min")
    for told in (at(41), at(41) + timedelta(seconds=59)):  # drawn before the minute ended, explained after
        (piece,) = explain(gap(0, 41), [], now=told)
        assert piece.text == "web-api is silent for 41 min now"


def test_a_gap_is_cut_where_its_cause_changes():
    assert pieces(gap(0, 60), reason(20, 40)) == [
        (0, 20, Cause.SILENT), (20, 40, Cause.NOT_INGESTING), (40, 60, Cause.SILENT),
    ]  # fmt: skip


def test_the_seconds_between_the_last_row_and_our_own_silence_are_no_silence():
    assert pieces(gap(0, 60), reason(0.5, 59)) == [(0, 60, Cause.NOT_INGESTING)]
    assert pieces(gap(0, 60), reason(2, 20), reason(21, 40)) == [
        (0, 40, Cause.NOT_INGESTING),
        (40, 60, Cause.SILENT),
    ]


def test_the_archive_is_said_before_an_outage_but_not_of_hours_that_rollups_lack():
    reasons = (reason(0, 60), reason(30, 90, Cause.ARCHIVED))
    assert pieces(gap(0, 90), *reasons) == [(0, 30, Cause.NOT_INGESTING), (30, 90, Cause.ARCHIVED)]
    assert pieces(gap(0, 90, by_hours=True), *reasons) == [
        (0, 60, Cause.NOT_INGESTING),
        (60, 90, Cause.SILENT),
    ]


def test_reasons_elsewhere_explain_nothing():
    assert pieces(gap(0, 60), reason(-30, 0), reason(60, 90)) == [(0, 60, Cause.SILENT)]


class Told:
    def __init__(self, *minutes):
        self.minutes = minutes

    def marks(self, start, end, *, may, limit):
        return [Mark(at(m), "test", f"{m}") for m in self.minutes if start <= at(m) < end][-limit:]

    def reasons(self, start, end, *, now):
        return []


@pytest.fixture
def providers(monkeypatch):
    monkeypatch.setattr(annotations, "_providers", {})


def test_marks_of_all_providers_come_in_order_of_time(providers):
    annotations.register("one", Told(5, 1))
    annotations.register("other", Told(3, 99))
    marks, more = marks_between(at(0), at(10), may=lambda permission: True)
    assert ([mark.label for mark in marks], more) == (["1", "3", "5"], False)


def test_too_many_marks_keep_the_newest_and_say_so(providers):
    annotations.register("one", Told(*range(150)))
    annotations.register("other", Told(*range(150, 260)))
    marks, more = marks_between(at(0), at(1000), may=lambda permission: True)
    assert (len(marks), marks[0].label, marks[-1].label, more) == (200, "60", "259", True)


def test_registering_a_name_again_replaces_it(providers):
    annotations.register("one", Told(1))
    annotations.register("one", Told(2))
    assert [m.label for m in marks_between(at(0), at(9), may=lambda permission: True)[0]] == ["2"]
    annotations.unregister("one")
    assert marks_between(at(0), at(9), may=lambda permission: True) == ([], False)
