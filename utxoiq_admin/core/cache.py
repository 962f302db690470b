"""Cache by generation: a writer changes one random value, and everything cached under the old one is out of reach.

Safety, since a wrong figure would stay for its whole time to live:
- Generations are read before computing, so a figure of old rows is stored under the old generation, where nobody
  looks once the writer's change was told.
- They are random, never counted: one that was lost (restart, expiry) comes back as a value never used before.
- Reading them is also a write (SET NX). A server that takes no writes (full, or a replica after a failover) cannot be
  told of changes either; it fails here, and is left alone like one that is down.
- After a failure this process neither reads nor writes until a background thread has changed "all" (`breaker`).
- Values must come back from JSON as they went in; whatever would not is refused even when nothing is stored.

Many may compute one figure at once after a change: each is bounded by the statement timeout, and there are never more
of them than threads. A lock would be one more thing that can hang when Valkey does.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from django.core.cache import caches
from redis import Redis
from redis.exceptions import RedisError

from utxoiq_admin.core.breaker import Breaker

T = TypeVar("T")
ALL = "all"
# Long against any figure's time to live, short enough that insights nobody reads leave no generation behind.
GENERATION_SECONDS = 24 * 3600
PLAIN = (str, int, float, bool, type(None))


def cached(name: str, *, keys: Sequence[str], ttl: float, compute: Callable[[], T]) -> T:
    """The value stored under `name` and the present generations of `keys`, else `compute()`, stored for `ttl` seconds.

    `keys` are what the figure depends on: "insight:abc", "service:web-api", "insight:*" for every insight. A key
    "insight:abc" is also changed by "insight:*", and every key by "all". `name` must say all else that the figure
    depends on (range, filters). The value must be plain JSON: str, int, float, bool, None, list, dict of str keys.
    """
    place = None
    if breaker.closed:
        try:
            place = _place(name, keys)
            stored = client().get(place)
        except RedisError as error:
            breaker.trip(error)
            place = None
        else:
            if stored is not None:
                return cast(T, json.loads(cast(bytes, stored)))
    value = compute()
    encoded = _encode(name, value)
    if place and breaker.closed:
        try:
            client().set(place, encoded, px=max(1, int(ttl * 1000)))
        except RedisError as error:
            breaker.trip(error)
    return value


def bump(*keys: str) -> bool:
    """Put everything cached under these keys out of reach; False if Valkey did not take it.

    A refused one needs no second try here: the listener is told by the database, and goes on until it is delivered.
    """
    if not breaker.closed:
        return False
    try:
        change_generations(keys)
    except RedisError as error:
        breaker.trip(error)
        return False
    return True


def change_generations(keys: Sequence[str]) -> None:
    """Give each key a generation never used before, or raise RedisError; for those who try again themselves."""
    pipeline = client().pipeline(transaction=False)
    for key in keys:
        pipeline.set(_generation(key), secrets.token_hex(8), ex=GENERATION_SECONDS)
    pipeline.execute()


def client() -> Redis:
    """The raw client of the default cache: its timeouts, its connection pool."""
    return cast(Redis, cast(Any, caches["default"]).client.get_client())


def _generation(key: str) -> str:
    return f"{caches['default'].key_prefix}:gen:{key}"


def _place(name: str, keys: Sequence[str]) -> str:
    """Where the value stands while none of its keys changes; one round trip."""
    generations = [_generation(key) for key in _with_kinds(keys)]
    pipeline = client().pipeline(transaction=False)
    for generation in generations:
        pipeline.set(generation, secrets.token_hex(8), nx=True, ex=GENERATION_SECONDS)
    pipeline.mget(generations)
    values = cast(list[bytes | None], pipeline.execute()[-1])
    text = json.dumps([name, generations, [(value or b"").decode() for value in values]])
    return f"{caches['default'].key_prefix}:fig:{hashlib.sha256(text.encode()).hexdigest()}"


def _with_kinds(keys: Sequence[str]) -> list[str]:
    kinds = {key.partition(":")[0] + ":*" for key in keys if ":" in key}
    return [ALL, *sorted(kinds | set(keys) - {ALL})]


def _encode(name: str, value: Any) -> bytes:
    _refuse_what_json_changes(name, value)
    return json.dumps(value, separators=(",", ":")).encode()


def _refuse_what_json_changes(name: str, value: Any) -> None:
    """Exact types only: a tuple comes back as a list, and safe HTML or an enum as a plain string."""
    kind = type(value)
    if kind in PLAIN:
        return
    if kind is list:
        for item in value:
            if type(item) not in PLAIN:
                _refuse_what_json_changes(name, item)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"cached({name!r}): the key {key!r} is no str, and would come back as one.")
            _refuse_what_json_changes(name, item)
    else:
        raise TypeError(
            f"cached({name!r}): a {kind.__name__} does not come back from JSON as it went in. "
            "Make it a str, number, list or dict before caching, and read it back after."
        )


def _restore() -> None:
    """Before the first use after an outage: nothing stored before or during it may be read again."""
    change_generations([ALL])


breaker = Breaker("cache", _restore)
