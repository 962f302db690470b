"""`manage.py create_service_token NAME --scope … [--expires 90d]`: make a token and print its secret once."""

import getpass
import re
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from utxoiq_admin.accounts.models import SCOPES
from utxoiq_admin.accounts.services import token_create

LONGEST = timedelta(days=3650)


def expiry(text: str, now: datetime) -> datetime | None:
    """`90d`, an ISO date or time (UTC unless it says otherwise), or `never`. Raises ValueError."""
    if text == "never":
        return None
    if days := re.fullmatch(r"(\d{1,4})d", text):
        return now + timedelta(days=int(days[1]))
    moment = parse_datetime(text)
    if moment is None:
        day = parse_date(text)
        if day is None:
            raise ValueError
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Make a service token. Its secret is the last line printed, and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the service that will use it; one token per name")
        parser.add_argument(
            "--scope",
            action="append",
            required=True,
            dest="scopes",
            help=f"may be repeated; {', '.join(SCOPES)}",
        )
        parser.add_argument(
            "--expires", default="never", help="such as 90d, 2027-03-01, or never (the default)"
        )

    def handle(self, *, name: str, scopes: list[str], expires: str, **options: Any) -> None:
        now = timezone.now()
        try:
            expires_at = expiry(expires, now)
        except ValueError:
            raise CommandError(
                f"--expires {expires}: write days such as 90d, an ISO date such as 2027-03-01, or never."
            ) from None
        if expires_at and expires_at > now + LONGEST:
            raise CommandError(f"--expires {expires}: at most {LONGEST.days} days ahead, or never.")
        try:
            token, secret = token_create(
                name=name,
                scopes=scopes,
                expires=expires_at,
                created_by=f"command line ({getpass.getuser()})"[:150],
            )
        except ValidationError as error:
            raise CommandError("No token was made. " + " ".join(error.messages)) from error
        until = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "without an expiry"
        self.stderr.write(
            f"{token.name}: {', '.join(token.scopes)}, {until}. Keep the secret below; it is not shown again."
        )
        self.stdout.write(secret)
