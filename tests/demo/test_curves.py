"""Values are a pure function of plan, series and minute, and look like a platform at work."""

from datetime import timedelta
from statistics import mean

import pytest

from tests.demo.conftest import ANCHOR
from utxoiq_admin.demo.curves import LIVE_SERIES, SERIES, UNITS, Curve, Series
from utxoiq_admin.demo.plan import DAY, Plan, chain_tip, minute_of, moment_of

PLAN = Plan(seed=3, anchor=ANCHOR, days=90)
NOW = minute_of(ANCHOR)


def series(service: str, metric_type: str) -> Series:
    return next(s for s in SERIES if (s.service, s.metric_type) == (service, metric_type))


@pytest.mark.parametrize("which", SERIES[::7], ids=lambda s: f"{s.instance}-{s.metric_type}")
def test_a_value_does_not_depend_on_what_else_is_asked(which: Series) -> None:
    together = list(Curve(PLAN, which).values(range(NOW - 3000, NOW)))
    alone = [Curve(PLAN, which).value(minute) for minute in range(NOW - 3000, NOW, 97)]
    assert together[::97] == alone


def test_another_seed_gives_other_values() -> None:
    other = Plan(seed=4, anchor=ANCHOR, days=90)
    assert Curve(PLAN, SERIES[0]).value(NOW) != Curve(other, SERIES[0]).value(NOW)


def test_every_service_that_reports_has_all_five_kinds_from_two_or_three_instances() -> None:
    kinds: dict[str, set[tuple[str, str]]] = {}
    for each in LIVE_SERIES:
        kinds.setdefault(each.service, set()).add((each.instance, each.metric_type))
    assert set(kinds) == {
        "web-api", "feature-engine", "insight-generator", "utxoiq-ingestion", "data-ingestion",
    }  # fmt: skip
    for found in kinds.values():
        instances = {instance for instance, _ in found}
        assert len(instances) in (2, 3)
        assert found == {(i, kind) for i in instances for kind in UNITS}


def test_percentages_stay_percentages_and_counts_are_whole() -> None:
    for which in LIVE_SERIES:
        values = [v for v in Curve(PLAN, which).values(range(NOW - 2 * DAY, NOW, 5)) if v is not None]
        assert min(values) >= 0
        assert which.unit != "percent" or max(values) <= 100
        assert which.unit != "count" or all(v == int(v) for v in values)


def test_afternoons_are_busier_than_nights_and_weekdays_than_weekends() -> None:
    curve = Curve(PLAN, series("web-api", "cpu"))
    hours: dict[tuple[bool, int], list[float]] = {}
    for minute in range(NOW - 56 * DAY, NOW - 28 * DAY, 5):
        moment = moment_of(minute)
        hours.setdefault((moment.weekday() >= 5, moment.hour), []).append(curve.value(minute) or 0)
    assert mean(hours[False, 17]) > 2 * mean(hours[False, 4])
    assert mean(hours[False, 17]) > 1.15 * mean(hours[True, 17])


def test_an_incident_is_seen_in_several_metrics_at_once() -> None:
    [incident] = PLAN.incidents(NOW - DAY, NOW)
    middle, before = incident.first + incident.minutes // 2, incident.first - 200
    for service, metric_type in incident.effects:
        curve = Curve(PLAN, series(service, metric_type))
        assert (curve.value(middle) or 0) > 2 * (curve.value(before) or 0), (service, metric_type)


def test_a_queue_climbs_through_an_incident_and_drains_after_it() -> None:
    [incident] = PLAN.incidents(NOW - DAY, NOW)
    curve = Curve(PLAN, series("utxoiq-ingestion", "queue_depth"))
    at = [curve.value(incident.first + int(part * incident.minutes)) or 0 for part in (0, 0.4, 0.95, 1.6)]
    assert at[0] < at[1] < at[2] > at[3]


def test_two_incidents_before_the_anchor_and_more_to_come() -> None:
    assert len(PLAN.incidents(NOW - 90 * DAY, NOW)) == 2
    assert len(PLAN.incidents(NOW, NOW + 30 * DAY)) == 3


def test_all_instances_of_one_service_are_silent_for_forty_minutes_once() -> None:
    silent = [minute for minute in range(NOW - 90 * DAY, NOW) if PLAN.silent(minute)]
    assert len(silent) == silent[-1] - silent[0] + 1 == 41
    for which in SERIES:
        values = list(Curve(PLAN, which).values(range(silent[0] - 1, silent[-1] + 2)))
        gaps = sum(value is None for value in values)
        expected = {"feature-engine": 41, "legacy-indexer": len(values)}.get(which.service, 0)
        assert gaps == expected, which


def test_the_retired_service_reported_until_weeks_ago() -> None:
    curve = Curve(PLAN, series("legacy-indexer", "cpu"))
    assert curve.value(PLAN.retired) is not None
    assert curve.value(PLAN.retired + 1) is None
    assert moment_of(PLAN.retired) == ANCHOR - timedelta(days=24)


def test_the_chain_is_at_975_000_in_november_2026() -> None:
    assert chain_tip(ANCHOR.replace(year=2026, month=11, day=15)) == pytest.approx(975_000, abs=1_000)
