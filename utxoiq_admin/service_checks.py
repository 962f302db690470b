"""Checks of the servers that the settings point to. They touch the network, so they run only when asked for.

Django runs every registered check at every command; these find nothing unless `check --tag services` runs them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import redis
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import Error as DatabaseFailure
from django.db import connection

TAG = "services"
OLDEST_POSTGRES, OLDEST_REDIS = 14, (6, 2)
RESERVE = 10  # connections beside the web's: worker, beat, listener, a migration, a person with psql
REDIS_SECONDS = 3
UTC_NAMES = {f"{area}{name}" for area in ("", "Etc/") for name in ("UTC", "UCT", "Zulu", "Universal", "GMT")}


_asked: ContextVar[bool] = ContextVar("services_asked", default=False)


@contextmanager
def asked() -> Iterator[None]:
    """Inside, the checks with the tag `services` really look."""
    token = _asked.set(True)
    try:
        yield
    finally:
        _asked.reset(token)


@register(TAG)
def check_services(**kwargs: Any) -> list[CheckMessage]:
    return [*check_database(), *check_redis()] if _asked.get() else []


def check_database() -> list[CheckMessage]:
    where = "{HOST}:{PORT}/{NAME}".format(**connection.settings_dict)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT current_setting('server_version_num')::int,
                       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
                       current_setting('max_connections')::int,
                       current_setting('superuser_reserved_connections')::int,
                       -- Django sets its own session to UTC; this is what a service finds that sets nothing.
                       (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')
                """
            )
            version, superuser, most, reserved, zone = cursor.fetchone()
    except DatabaseFailure as error:
        return [
            Error(
                f"The database at {where} cannot be used: {type(error).__name__}.",
                hint="Look whether PostgreSQL runs there, and whether DATABASE_URL's role, password and "
                "database are right; psql with the same address says more.",
                id="utxoiq_admin.E101",
            )
        ]
    messages = [*_version(where, version), *_connections(where, most - reserved), *_zone(where, zone)]
    return [*messages, *(_superuser(where) if superuser else [])]


def _version(where: str, version: int) -> Iterator[CheckMessage]:
    if version // 10_000 < OLDEST_POSTGRES:
        yield Error(
            f"The database at {where} is PostgreSQL {version // 10_000}.",
            hint=f"Upgrade it to {OLDEST_POSTGRES} or newer.",
            id="utxoiq_admin.E102",
        )


def _connections(where: str, available: int) -> Iterator[CheckMessage]:
    wanted = settings.WEB_PROCESSES * settings.DB_POOL_MAX_SIZE
    if wanted + RESERVE > available:
        yield Error(
            f"The web could take {wanted} connections (WEB_PROCESSES={settings.WEB_PROCESSES} times "
            f"DB_POOL_MAX_SIZE={settings.DB_POOL_MAX_SIZE}), but the database at {where} offers {available}, "
            f"of which {RESERVE} are for workers and maintenance.",
            hint="Lower DB_POOL_MAX_SIZE or WEB_PROCESSES, or raise max_connections of the database.",
            id="utxoiq_admin.E103",
        )


def _zone(where: str, zone: str) -> Iterator[CheckMessage]:
    if zone not in UTC_NAMES:
        yield Error(
            f"The time zone of the database at {where} is {zone}: times that services write without a zone "
            "would be stored wrong.",
            hint="Run: ALTER DATABASE … SET timezone = 'UTC'; then let the services connect anew.",
            id="utxoiq_admin.E104",
        )


def _superuser(where: str) -> Iterator[CheckMessage]:
    yield Warning(
        f"The role in DATABASE_URL is a superuser of the database at {where}.",
        hint="Use a role that owns the application's tables and nothing else.",
        id="utxoiq_admin.W101",
    )


def check_redis() -> list[CheckMessage]:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    )
    address = client.connection_pool.connection_kwargs
    where = f"{address.get('host', 'a socket')}:{address.get('port', '')}"
    try:
        info = client.info()
    except (redis.RedisError, OSError) as error:
        return [
            Error(
                f"The Redis or Valkey at {where} cannot be used: {type(error).__name__}.",
                hint="Look whether it runs there and whether REDIS_URL's password is right.",
                id="utxoiq_admin.E105",
            )
        ]
    finally:
        client.close()
    return [*_redis_version(where, str(info["redis_version"])), *_policy(where, info)]


def _redis_version(where: str, version: str) -> Iterator[CheckMessage]:
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        yield Error(
            f"The server at {where} is Redis {version}.",
            hint="Use Redis 6.2 or newer, or Valkey.",
            id="utxoiq_admin.E106",
        )


def _policy(where: str, info: dict[str, Any]) -> Iterator[CheckMessage]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Warning(
            f"The Redis or Valkey at {where} drops keys when its memory is full (maxmemory-policy {policy}): "
            "waiting work could be lost until the next tick finds it.",
            hint="Set maxmemory-policy noeviction.",
            id="utxoiq_admin.W102",
        )
