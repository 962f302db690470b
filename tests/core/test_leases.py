"""One holder at a time, by the database's clock; a holder that lost its lease commits nothing."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.db import InternalError, connection, transaction

from tests.core.conftest import until
from utxoiq_admin.core import leases
from utxoiq_admin.core.leases import HeldLease, LeaseHeld, LeaseLost, acquire, hold
from utxoiq_admin.core.models import Lease, TaskRun

HOUR = timedelta(hours=1)


def run_out(name: str = "retention") -> None:
    """Let the lease's time pass, as the database sees it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE core_leases SET heartbeat_at = now() - interval '2 hours', expires_at = now() - interval '1 hour' "
            "WHERE name = %s",
            [name],
        )


@pytest.mark.django_db
def test_a_lease_is_given_back_at_the_end_also_of_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), hold("retention", ttl=HOUR):
        assert Lease.objects.count() == 1
        raise ZeroDivisionError
    assert Lease.objects.count() == 0


@pytest.mark.django_db
def test_a_second_holder_is_refused_and_told_who_holds_it_since_when() -> None:
    with hold("retention", ttl=HOUR, holder="one:7") as lease:
        since = Lease.objects.get().acquired_at
        with pytest.raises(LeaseHeld) as refusal, hold("retention", ttl=HOUR):
            pytest.fail("held twice")
        assert f"'retention' is held by one:7 since {since:%Y-%m-%d %H:%M:%S} UTC" in str(refusal.value)
        assert Lease.objects.get().token == lease.token
        with hold("backup", ttl=HOUR):
            assert Lease.objects.count() == 2


@pytest.mark.django_db
def test_one_that_ran_out_is_taken_and_its_holder_finds_out() -> None:
    first = acquire("retention", ttl=HOUR)
    run_out()
    second = acquire("retention", ttl=HOUR)
    for step in (first.renew, first.check):
        with pytest.raises(LeaseLost, match="held by another now"), transaction.atomic():
            step()
    first.release()
    assert Lease.objects.get().token == second.token
    second.renew()


@pytest.mark.django_db
def test_one_that_ran_out_and_was_not_taken_goes_on() -> None:
    lease = acquire("retention", ttl=HOUR)
    run_out()
    with transaction.atomic():
        lease.check()
    lease.renew()
    row = Lease.objects.get()
    assert row.expires_at - row.heartbeat_at == HOUR
    with pytest.raises(LeaseHeld):
        acquire("retention", ttl=HOUR)


@pytest.mark.django_db(transaction=True)
def test_check_belongs_into_a_transaction_and_acquire_does_not() -> None:
    lease = acquire("retention", ttl=HOUR)
    with pytest.raises(transaction.TransactionManagementError, match="inside atomic"):
        lease.check()
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        acquire("backup", ttl=HOUR)


@pytest.fixture
def other() -> Iterator[psycopg.Connection]:
    """A connection beside the test's."""
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    with psycopg.connect(**parameters, autocommit=True) as server:
        yield server


@pytest.mark.django_db(transaction=True)
def test_nobody_takes_the_lease_while_a_checked_transaction_is_open(other: psycopg.Connection) -> None:
    lease = acquire("retention", ttl=HOUR)
    run_out()
    taken: list[HeldLease] = []

    def take() -> None:
        taken.append(acquire("retention", ttl=HOUR))
        connection.close()

    taker = threading.Thread(target=take)
    with transaction.atomic():
        lease.check()
        taker.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%core_leases%'"
        until(lambda: other.execute(waits).fetchone() == (1,))
        assert taken == []
        TaskRun.objects.create(name="committed under the lease")
    taker.join()
    assert len(taken) == 1
    with pytest.raises(LeaseLost), transaction.atomic():
        lease.check()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_try_at_once_exactly_one_gets_it() -> None:
    start, outcomes = threading.Barrier(6), []

    def attempt() -> None:
        connection.ensure_connection()
        start.wait()
        try:
            outcomes.append(acquire("retention", ttl=HOUR).name)
        except LeaseHeld:
            outcomes.append("held")
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] * 5 + ["retention"]


@pytest.mark.django_db(transaction=True)
def test_a_holder_that_freezes_in_a_checked_transaction_is_ended_and_commits_nothing(
    other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "IDLE", "200ms")
    lease = acquire("retention", ttl=HOUR)
    run_out()
    with pytest.raises(InternalError, match="idle-in-transaction"), transaction.atomic():
        lease.check()
        # The taker waits for the frozen one's transaction, which the server ends.
        other.execute("DELETE FROM core_leases")
        TaskRun.objects.create(name="too late")
    connection.close()
    assert TaskRun.objects.count() == 0
