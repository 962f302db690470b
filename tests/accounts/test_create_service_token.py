from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command

from utxoiq_admin.accounts.models import ServiceToken

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def run(*args):
    out, err = StringIO(), StringIO()
    with time_machine.travel(NOW, tick=False):
        call_command("create_service_token", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_prints_the_secret_alone_on_the_last_line_of_stdout():
    out, err = run("web-api", "--scope", "metrics:write", "--scope", "metrics:read", "--expires", "90d")
    secret = out.splitlines()[-1]
    made = ServiceToken.objects.with_secret(secret).get()
    assert (made.name, made.scopes) == ("web-api", ["metrics:write", "metrics:read"])
    assert made.created_by.startswith("command line (")
    assert secret not in err
    assert "web-api: metrics:write, metrics:read, until 2027-02-22 12:00 UTC." in err


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("2027-03-01", datetime(2027, 3, 1, tzinfo=UTC)),
        ("2027-03-01T10:00:00+02:00", datetime(2027, 3, 1, 8, tzinfo=UTC)),
        ("2027-03-01 10:00", datetime(2027, 3, 1, 10, tzinfo=UTC)),
        ("never", None),
    ],
)
def test_expiry_by_days_date_time_or_never(text, moment):
    run("web-api", "--scope", "metrics:read", "--expires", text)
    assert ServiceToken.objects.get().expires_at == moment


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a", "--scope", "metrics:admin"], "Unknown scope metrics:admin. The known ones are: metrics:write"),
        (["a"], "--scope"),
        (["a", "--scope", "metrics:read", "--expires", "soon"], "--expires soon: write days such as 90d"),
        (["a", "--scope", "metrics:read", "--expires", "2027-02-30"], "--expires 2027-02-30: write"),
        (["a", "--scope", "metrics:read", "--expires", "9999d"], "at most 3650 days ahead"),
        (["a", "--scope", "metrics:read", "--expires", "2020-01-01"], "The expiry lies in the past."),
        (["taken", "--scope", "metrics:read"], "There is a token of this name already."),
    ],
)
def test_says_what_is_wrong_and_makes_nothing(args, message):
    run("taken", "--scope", "metrics:read")
    with pytest.raises(CommandError, match=message):
        run(*args)
    assert ServiceToken.objects.count() == 1
