"""The same way through the protocols of S3 and Google Cloud Storage, spoken by real servers."""

import contextlib
import io
import socket
import threading
import time
import uuid

import pytest

from tests.retention.rows import everything, fill, held_together, run
from utxoiq_admin.retention import storage
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.restoring import restore
from utxoiq_admin.stack.locations import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def s3_server():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server, settings, monkeypatch):
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    bucket = f"archive-{uuid.uuid4().hex[:8]}"
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=bucket)
    settings.ARCHIVE_URL = f"s3://{bucket}/platform?endpoint_url={s3_server}&region_name=us-east-1"
    return bucket


@pytest.fixture
def gs(settings, monkeypatch):
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="archive")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    settings.ARCHIVE_URL = "gs://archive/platform?project_id=tests"
    yield "archive"
    server.stop()


@pytest.fixture(params=["s3", "gs"])
def bucket(request):
    return request.getfixturevalue(request.param)


def test_rows_go_there_are_verified_and_come_back(bucket, capsys):
    fill(days=1, rows=12)
    before = everything()
    done = run()
    assert (done.state, done.error) == ("succeeded", "")
    assert held_together() == before and not any(everything().values())
    archive = Archive.objects.get(table="system_metrics")
    assert storage.storage().exists(archive.manifest_key)
    restored = restore(
        archive=archive, until=archive.created_at.replace(year=2030), by="t", now=archive.created_at
    )
    assert (restored.rows, everything()["system_metrics"]) == (12, before["system_metrics"])


def test_bytes_come_back_as_they_were_sent_and_no_object_is_overwritten(bucket):
    """A server or a client that unpacks gzip on the way would change them."""
    import gzip

    packed = gzip.compress(b'{"id": 1}\n' * 1000)
    storage.upload("a/b.jsonl.gz", io.BytesIO(packed))
    with storage.opened("a/b.jsonl.gz") as file:
        assert file.read() == packed
    with pytest.raises(storage.StorageFailed, match="never overwritten"):
        storage.upload("a/b.jsonl.gz", io.BytesIO(b"other"))
    with storage.opened("a/b.jsonl.gz") as file:
        assert file.read() == packed
    storage.remove("a/b.jsonl.gz")
    storage.remove("a/b.jsonl.gz")
    with pytest.raises(storage.Missing), storage.opened("a/b.jsonl.gz") as file:
        file.read()


def test_an_object_that_was_replaced_there_is_found(bucket):
    fill(days=1, rows=8)
    run(tables=("backfill_jobs",))
    archive = Archive.objects.get()
    Archive.objects.update(state="verified")
    storage.remove(archive.key)
    storage.upload(archive.key, io.BytesIO(b"something else"))
    done = run(tables=("backfill_jobs",))
    assert archive.key in done.error and Archive.objects.get().state == "damaged"


def test_a_bucket_that_is_not_there_is_told_and_no_row_goes(s3, settings):
    settings.ARCHIVE_URL = settings.ARCHIVE_URL.replace(s3, "nowhere")
    fill(days=1, rows=8)
    before = everything()
    done = run(tables=("insight_feedback",))
    assert done.state == "failed" and "could not be written in s3://nowhere/platform" in done.error
    assert everything() == before


def test_a_server_that_hangs_costs_its_timeouts_and_no_row(settings, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(storage, "READ_SECONDS", 0.3)
    monkeypatch.setattr(storage, "ATTEMPTS", 1)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        held: list[socket.socket] = []
        threading.Thread(target=_accept, args=(silent, held), daemon=True).start()
        settings.ARCHIVE_URL = (
            f"s3://b?endpoint_url=http://127.0.0.1:{silent.getsockname()[1]}&region_name=us-east-1"
        )
        fill(days=1, rows=8)
        before, begun = everything(), time.monotonic()
        done = run(tables=("insight_feedback",))
        assert "timeout" in done.error.lower() and everything() == before
        assert time.monotonic() - begun < 15
        [each.close() for each in held]


def _accept(server, held):
    with contextlib.suppress(OSError):
        while True:
            held.append(server.accept()[0])


@pytest.mark.parametrize("url", ["", "ftp://x/y", "s3://", "file://", "archive"])
def test_addresses_that_name_no_storage_are_refused(url):
    with pytest.raises(storage.InvalidUrl, match="is no storage"):
        storage.make(url)
