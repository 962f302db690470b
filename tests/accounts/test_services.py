import logging
import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from tests.accounts.access import token
from utxoiq_admin.accounts.models import SCOPES, ServiceToken
from utxoiq_admin.accounts.services import token_create, token_note_use, token_revoke

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_a_secret_is_returned_once_and_never_stored(caplog):
    caplog.set_level(logging.DEBUG)
    made, secret = token("metrics:write", "metrics:read")
    assert re.fullmatch(r"utxoiq_[0-9a-f]{8}_[\w-]{43}", secret)
    assert secret.startswith(made.prefix + "_")
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM service_tokens t")
        stored = cursor.fetchone()[0]
    assert secret not in stored and secret.split("_", 2)[2] not in stored
    assert secret.split("_", 2)[2] not in caplog.text
    assert ServiceToken.objects.with_secret(secret).get() == made


def test_two_secrets_differ():
    assert token(name="a")[1] != token(name="b")[1]


def test_scopes_are_kept_in_their_known_order_and_once():
    made, _ = token("metrics:read", "metrics:write", "metrics:read")
    assert made.scopes == ["metrics:write", "metrics:read"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scopes": ["metrics:admin"]}, "Unknown scope metrics:admin."),
        ({"scopes": []}, "cannot be blank"),
        ({"name": "  "}, "cannot be blank"),
        ({"name": "web-api"}, "There is a token of this name already."),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"expires": NOW - timedelta(days=400)}, "The expiry lies in the past."),
        ({"name": "nul\0"}, "Use letters, digits, spaces"),
        ({"name": "two\nlines"}, "Use letters, digits, spaces"),
    ],
)
def test_refuses_and_stores_nothing(changes, message):
    token()
    wanted = {"name": "other", "scopes": ["metrics:read"], "expires": None, "created_by": "tests", **changes}
    with time_machine.travel(NOW), pytest.raises(ValidationError, match=re.escape(message)):
        token_create(**wanted)
    assert ServiceToken.objects.count() == 1


@pytest.mark.parametrize("scopes", ["'{}'", "'{metrics:write,root}'", "'{NULL}'"])
def test_the_database_itself_refuses_other_scopes(scopes):
    with pytest.raises(IntegrityError, match="chk_service_token_scopes"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO service_tokens (name, digest, prefix, scopes, created_by) "
            f"VALUES ('x', 'd', 'p', {scopes}, 'me')"
        )


def test_the_known_scopes_are_those_of_the_design():
    assert set(SCOPES) == {
        "metrics:write", "metrics:read", "feedback:write", "feedback:read",
        "backfill:write", "backfill:read", "monitoring:read", "retention:run",
    }  # fmt: skip


def test_revoking_says_who_and_when_and_happens_once():
    made, _ = token()
    with time_machine.travel(NOW, tick=False):
        assert token_revoke(token=made, by="ana") is True
    assert token_revoke(token=made, by="ben") is False
    assert (made.revoked_at, made.revoked_by, made.state()) == (NOW, "ana", "revoked")


@pytest.mark.parametrize(
    ("expires", "revoked", "state"),
    [
        (None, None, "active"),
        (NOW + timedelta(seconds=1), None, "active"),
        (NOW, None, "expired"),
        (NOW, NOW, "revoked"),
    ],
)
def test_state_and_usable_agree(expires, revoked, state):
    by = "ana" if revoked else None
    made, _ = token(created_at=NOW - timedelta(days=1), expires_at=expires, revoked_at=revoked, revoked_by=by)
    assert made.state(NOW) == state
    assert ServiceToken.objects.usable(NOW).exists() is (state == "active")


def test_use_is_noted_once_a_minute(django_assert_num_queries):
    made, _ = token()
    token_note_use(token=made, now=NOW)
    made.refresh_from_db()
    assert made.last_used_at == NOW
    with django_assert_num_queries(0):
        token_note_use(token=made, now=NOW + timedelta(seconds=59))
    token_note_use(token=made, now=NOW + timedelta(seconds=61))
    made.refresh_from_db()
    assert made.last_used_at == NOW + timedelta(seconds=61)


@pytest.mark.django_db(transaction=True)
def test_a_row_held_by_somebody_else_is_not_waited_for():
    made, _ = token()
    with transaction.atomic():
        ServiceToken.objects.select_for_update().get(pk=made.pk)
        noting = threading.Thread(target=_note_in_own_connection, args=(made,))
        noting.start()
        noting.join(3)
        assert not noting.is_alive()
    made.refresh_from_db()
    assert made.last_used_at is None


def _note_in_own_connection(made):
    token_note_use(token=made, now=NOW)
    connection.close()


def test_a_failure_to_note_the_use_is_swallowed(caplog):
    made, _ = token()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        token_note_use(token=made, now=NOW)
        assert ServiceToken.objects.get().last_used_at is None
        transaction.set_rollback(True)
    assert "token_use_not_noted name=web-api" in caplog.text
