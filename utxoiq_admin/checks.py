"""Numbered checks of the settings: what cannot work, or would be unsafe, is refused at start."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from utxoiq_admin import service_checks  # noqa: F401  (registers them)
from utxoiq_admin.retention.storage import InvalidUrl
from utxoiq_admin.retention.storage import make as make_storage

LOCAL_HOSTS = {"127.0.0.1", "localhost", "[::1]", "::1", ".localhost", "testserver"}

RENEWED_SECONDS = 120  # two renewals of the queue's page: one may be lost


@register("platform")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    return [*_secret_key(), *_retention(), *_pool(), *_hosts(), *_limits()]


def _error(number: int, what: str, hint: str) -> CheckMessage:
    return Error(what, hint=hint, id=f"utxoiq_admin.E{number:03}")


def _warning(number: int, what: str, hint: str) -> CheckMessage:
    return Warning(what, hint=hint, id=f"utxoiq_admin.W{number:03}")


def _secret_key() -> Iterator[CheckMessage]:
    production = not settings.EMBEDDED_DATABASE and not settings.DEBUG
    if production and settings.SECRET_KEY == settings.INSECURE_SECRET_KEY:
        yield _error(
            1,
            "DATABASE_URL is set and DEBUG is off, but SECRET_KEY is the published default: anybody could "
            "sign in with a session they made.",
            "Set SECRET_KEY (or SECRET_KEY_FILE) to 50 random characters, the same on every machine.",
        )


def _retention() -> Iterator[CheckMessage]:
    for name in sorted(set(dir(settings))):
        if name.startswith("RETENTION_") and name.endswith("_DAYS") and getattr(settings, name) < 1:
            yield _error(
                2,
                f"{name} is {getattr(settings, name)}: rows would be taken out of the table as they come in.",
                f"Set {name} to at least 1.",
            )
        if name.startswith("ARCHIVE_") and name.endswith("_DAYS") and getattr(settings, name) < 0:
            yield _error(
                5,
                f"{name} is {getattr(settings, name)}: objects would be removed before they are made.",
                f"Set {name} to 0 to keep objects for ever, or to at least 1.",
            )
    try:
        make_storage(settings.ARCHIVE_URL)
    except InvalidUrl as error:
        yield _error(6, f"ARCHIVE_URL: {error}", "Set ARCHIVE_URL to a storage that can be used.")


def _pool() -> Iterator[CheckMessage]:
    least, most = settings.DB_POOL_MIN_SIZE, settings.DB_POOL_MAX_SIZE
    if most < 1 or least < 0 or least > most:
        yield _error(
            3,
            f"The database pool cannot hold DB_POOL_MIN_SIZE={least} to DB_POOL_MAX_SIZE={most} connections.",
            "Set DB_POOL_MAX_SIZE to at least 1, and DB_POOL_MIN_SIZE to 0 or more but no more than that.",
        )
    elif least == most:
        yield _warning(
            2,
            f"DB_POOL_MIN_SIZE and DB_POOL_MAX_SIZE are both {most}: after a restart of the database the "
            "first requests wait the whole of DB_POOL_TIMEOUT.",
            "Set DB_POOL_MIN_SIZE lower; the pool then recovers in about a second.",
        )
    for name in ("DB_POOL_TIMEOUT", "DB_POOL_MAX_LIFETIME", "WEB_PROCESSES", "WEB_THREADS"):
        if getattr(settings, name) <= 0:
            yield _error(3, f"{name} is {getattr(settings, name)}.", f"Set {name} above 0.")


def _hosts() -> Iterator[CheckMessage]:
    outside = sorted(set(settings.ALLOWED_HOSTS) - LOCAL_HOSTS)
    if settings.DEBUG and outside:
        yield _warning(
            1,
            f"DEBUG is on while others may reach this under {', '.join(outside)}: an error page would show "
            "them settings and code.",
            "Set DEBUG off, or take those names out of ALLOWED_HOSTS.",
        )
    if not settings.DEBUG and "*" in settings.ALLOWED_HOSTS:
        yield _warning(
            3,
            "ALLOWED_HOSTS is *: links that the application writes can be made to lead elsewhere.",
            "List the names under which it is reached, and have the proxy in front send one of them.",
        )


def _limits() -> Iterator[CheckMessage]:
    if settings.REVIEW_CLAIM_SECONDS < RENEWED_SECONDS:
        yield _error(
            4,
            f"REVIEW_CLAIM_SECONDS is {settings.REVIEW_CLAIM_SECONDS}: a page renews what it holds once a minute, so "
            "holds would end under those who work.",
            f"Set REVIEW_CLAIM_SECONDS to at least {RENEWED_SECONDS}.",
        )
    for name in ("STATEMENT_TIMEOUT_MS", "REDIS_TIMEOUT", "FLAG_THRESHOLD"):
        if getattr(settings, name) <= 0:
            yield _error(
                4, f"{name} is {getattr(settings, name)}, which is no limit.", f"Set {name} above 0."
            )
