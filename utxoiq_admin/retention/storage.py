"""Where objects lie: ARCHIVE_URL names a folder (file://), S3 (s3://) or Google Cloud Storage (gs://)."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage

CONNECT_SECONDS, READ_SECONDS = 5, 30
ATTEMPTS = 3
IN_MEMORY = 4 * 1024 * 1024  # what is read from S3 or GCS lies on disk beyond this
# An object is a gzip file, not JSON lines in transit: with a Content-Encoding, servers and clients would unpack it.
GZIP, JSON = "application/gzip", "application/json"


class StorageFailed(Exception):
    """The storage did not do what it was asked; the message says what, of which object, and why."""


class Missing(StorageFailed):
    """There is no such object."""


class InvalidUrl(ValueError):
    """ARCHIVE_URL names no storage that is known here."""


class Folder(FileSystemStorage):
    """A folder whose files are on the disk, not only in its cache, when `save` returns: rows are deleted after it."""

    def _save(self, name: str, content: "File[Any]") -> str:
        saved = super()._save(name, content)  # type: ignore[misc]
        path = Path(self.path(saved))
        _sync(path)
        for folder in path.parents:
            _sync(folder)
            if folder == Path(self.location):
                break
        return str(saved)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make(url: str) -> Storage:
    """The storage that the address names. Raises InvalidUrl."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme == "file" and parts.path:
        return Folder(location=unquote(parts.netloc + parts.path), base_url=None)
    if parts.scheme not in ("s3", "gs") or not parts.netloc:
        raise InvalidUrl(
            f"{parts.scheme or url!r} is no storage: use file:///folder, s3://bucket/prefix or gs://bucket/prefix."
        )
    prefix = unquote(parts.path.strip("/"))
    return _s3(parts.netloc, prefix, options) if parts.scheme == "s3" else _gs(parts.netloc, prefix, options)


def _s3(bucket: str, prefix: str, options: dict[str, str]) -> Storage:
    """Credentials as boto3 finds them (environment, profile, role); `endpoint_url` and `region_name` may be given."""
    from botocore.config import Config
    from storages.backends.s3 import S3Storage

    class S3(S3Storage):
        def get_object_parameters(self, name: str) -> dict[str, Any]:
            return {"ContentType": _content_type(name)}  # given, no encoding is guessed

    timeouts = Config(
        connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": ATTEMPTS}
    )
    return S3(
        bucket_name=bucket,
        location=prefix,
        file_overwrite=False,
        max_memory_size=IN_MEMORY,
        client_config=timeouts,
        **{name: options[name] for name in ("endpoint_url", "region_name") if name in options},
    )


def _gs(bucket: str, prefix: str, options: dict[str, str]) -> Storage:
    """Credentials as Google's library finds them; its requests wait at most 60 s, its retries 120 s in all."""
    from storages.backends.gcloud import GoogleCloudStorage

    class GoogleCloud(GoogleCloudStorage):
        def get_object_parameters(self, name: str) -> dict[str, Any]:
            return {"content_type": _content_type(name), "content_encoding": None}

    return GoogleCloud(
        bucket_name=bucket,
        location=prefix,
        file_overwrite=False,
        max_memory_size=IN_MEMORY,
        **{name: options[name] for name in ("project_id",) if name in options},
    )


def _content_type(name: str) -> str:
    return GZIP if name.endswith(".gz") else JSON


@lru_cache(maxsize=4)
def _made(url: str) -> Storage:
    return make(url)


def storage() -> Storage:
    """The storage of the settings."""
    return _made(settings.ARCHIVE_URL)


def place() -> str:
    """The storage's address for people, without what stands behind a question mark."""
    return str(settings.ARCHIVE_URL).partition("?")[0]


@contextmanager
def _told(what: str, key: str) -> Iterator[None]:
    """Errors of any storage library become one, which names the object."""
    try:
        yield
    except (StorageFailed, GeneratorExit):
        raise
    except FileNotFoundError as error:
        raise Missing(f"{key}: there is no such object in {place()}.") from error
    except Exception as error:
        raise StorageFailed(
            f"{key} could not be {what} in {place()}: {type(error).__name__}: {error}".rstrip(": ")
        ) from error


def upload(key: str, content: IO[bytes]) -> None:
    """Write the object. Raises StorageFailed, also when an object of this key stands there already."""
    with _told("written", key):
        saved = storage().save(key, File(content, name=key))
    if saved != key:
        with contextlib.suppress(Exception):
            storage().delete(saved)
        raise StorageFailed(f"{key} stands in {place()} already, and objects are never overwritten.")


@contextmanager
def opened(key: str) -> Iterator["_Reader"]:
    """The object's bytes, as they lie there. Raises StorageFailed, for a failure while reading too."""
    with _told("opened", key):
        file = storage().open(key, "rb")
    try:
        yield _Reader(file, key)
    finally:
        with contextlib.suppress(Exception):
            file.close()


class _Reader:
    """Reading alone; S3 and GCS fetch at the first read, so that is where they fail."""

    def __init__(self, file: Any, key: str) -> None:
        self._file, self._key = file, key

    def read(self, size: int = -1) -> bytes:
        with _told("read", self._key):
            return bytes(self._file.read(size))


def write_small(key: str, text: str) -> None:
    """Write a small file unless the same stands there: a crash may have left half of it."""
    with _told("written", key):
        if storage().exists(key):
            with storage().open(key, "rb") as file:
                if file.read() == text.encode():
                    return
            storage().delete(key)
        storage().save(key, ContentFile(text.encode(), name=key))


def remove(key: str) -> None:
    """Delete the object; one that is gone already is no error. Raises StorageFailed."""
    with _told("removed", key):
        storage().delete(key)
