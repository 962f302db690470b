"""A changed, short or missing object is found at any time before its rows are deleted, and nothing is deleted."""

import gzip
import tracemalloc
import zlib

import pytest

from tests.retention import rows
from tests.retention.rows import everything, fill, held_together, run
from tests.retention.test_way_of_a_row import between
from utxoiq_admin.retention import archiving, expiry, proof, spool, storage
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.proof import Damaged
from utxoiq_admin.retention.removal import proof_of

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = "insight_feedback"


def flipped(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


def other_line(data):
    """Well packed, and one character of one row is another one."""
    return gzip.compress(gzip.decompress(data).replace(b'"rating":3', b'"rating":4', 1))


def without_a_line(data):
    return gzip.compress(b"\n".join(gzip.decompress(data).split(b"\n")[1:]))


def twice_a_line(data):
    lines = gzip.decompress(data).split(b"\n")
    return gzip.compress(b"\n".join([lines[0], *lines]))


DAMAGES = {
    "flipped": flipped,
    "cut": lambda data: data[:-9],
    "empty": lambda data: b"",
    "something behind": lambda data: data + b"more",
    "other line": other_line,
    "line missing": without_a_line,
    "line twice": twice_a_line,
    "no gzip": lambda data: b"<Error>SlowDown</Error>",
}


def damage(folder, archive, how):
    path = folder / archive.key
    path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize("step", ["_verify", "_remove"])
def test_damage_before_the_deletion_is_told_by_name_and_no_row_goes(monkeypatch, archive_folder, step):
    fill(days=1, rows=8)
    before = everything()
    for name, how in DAMAGES.items():
        between(monkeypatch, step, lambda archive, how=how: damage(archive_folder, archive, how))
        done = run(tables=(TABLE,))
        assert (done.state, done.figures.get().rows_deleted) == ("failed", 0), name
        assert Archive.objects.get(run=done).key in done.error, name
        assert everything() == before, name
    assert run(tables=(TABLE,)).figures.get().rows_deleted == 8
    assert held_together() == before


def test_an_object_that_vanished_is_told_and_no_row_goes(monkeypatch, archive_folder):
    fill(days=1, rows=8)
    before = everything()
    between(monkeypatch, "_remove", lambda archive: (archive_folder / archive.key).unlink())
    done = run(tables=(TABLE,))
    assert "there is no such object" in done.error and everything() == before


def test_rows_of_an_object_found_damaged_later_are_archived_anew(monkeypatch, archive_folder):
    fill(days=1, rows=8)
    before = everything()

    def dies(*_args, **_kwargs):
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(archiving, "_remove", dies)
        with pytest.raises(SystemExit):
            run(tables=(TABLE,))
    first = Archive.objects.get()
    assert first.state == "verified"
    damage(archive_folder, first, flipped)
    rows.runs.mark_crashed()
    done = run(tables=(TABLE,))
    first.refresh_from_db()
    assert (done.state, first.state) == ("failed", "damaged") and first.key in done.error
    assert held_together() == before
    assert done.figures.get().rows_deleted == 8


def test_an_object_of_that_key_is_never_overwritten(archive_folder):
    (archive_folder).mkdir()
    (archive_folder / "a.gz").write_bytes(b"first")
    with pytest.raises(storage.StorageFailed, match="never overwritten"):
        storage.upload("a.gz", storage.ContentFile(b"second"))
    assert (archive_folder / "a.gz").read_bytes() == b"first"
    assert [each.name for each in archive_folder.iterdir()] == ["a.gz"]


def test_a_flip_of_any_byte_is_found(archive_folder):
    """Also where it changes no row: in the header, in the bits that fill up the last byte."""
    fill(days=1, rows=8)
    run(tables=(TABLE,))
    archive = Archive.objects.get()
    path = archive_folder / archive.key
    whole = path.read_bytes()
    for place in {*range(12), *range(12, len(whole) - 12, 9), *range(len(whole) - 12, len(whole))}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        for verified in (None, bytearray(b"what was read before")):
            with pytest.raises(Damaged):
                proof_of(archive, POLICIES[TABLE], verified=verified)
    path.write_bytes(whole)
    assert (
        proof_of(archive, POLICIES[TABLE], verified=bytearray(b"what was read before"))
        == b"what was read before"
    )


def test_a_spool_that_would_grow_too_large_takes_fewer_rows(monkeypatch):
    monkeypatch.setattr(spool, "SPOOL_BYTES", 700)
    fill(days=1, rows=40)
    before = everything()
    assert run(tables=(TABLE,)).state == "succeeded"
    assert held_together() == before
    assert max(Archive.objects.values_list("bytes", flat=True)) <= 700


def test_what_was_never_verified_is_swept_after_a_week_and_not_before(monkeypatch, archive_folder):
    fill(days=1, rows=8)
    between(monkeypatch, "_verify", lambda archive: damage(archive_folder, archive, flipped))
    run(tables=(TABLE,))
    failed = Archive.objects.get()
    run(tables=(TABLE,), now=failed.created_at + expiry.SWEEP_AFTER - rows.DAY)
    assert (archive_folder / failed.key).exists()
    run(tables=(TABLE,), now=failed.created_at + expiry.SWEEP_AFTER + rows.DAY)
    assert not (archive_folder / failed.key).exists()
    failed.refresh_from_db()
    assert failed.state == "failed" and failed.removed_at


def test_metrics_leave_the_archive_after_their_year_and_feedback_never(archive_folder, settings):
    fill(days=1)
    run()
    metrics = Archive.objects.get(table="system_metrics")
    for days, state, there in ((364, "archived", True), (366, "removed", False)):
        run(now=metrics.verified_at + days * rows.DAY)
        metrics.refresh_from_db()
        assert (metrics.state, (archive_folder / metrics.key).exists()) == (state, there)
        assert (archive_folder / metrics.manifest_key).exists() == there
    assert set(Archive.objects.exclude(pk=metrics.pk).values_list("state", flat=True)) == {"archived"}


def test_what_zlib_cannot_read_is_damage_and_no_error_of_ours():
    from utxoiq_admin.retention.proof import lines_of

    with pytest.raises(Damaged, match="ends early"):
        list(lines_of(storage.ContentFile(zlib.compress(b"x", wbits=31)[:-1])))


def test_what_unpacks_to_far_more_than_it_is_never_fills_the_memory(monkeypatch):
    monkeypatch.setattr(proof, "MAX_LINE", 4 << 20)
    packed = storage.ContentFile(gzip.compress(b"0" * (64 << 20)))
    tracemalloc.start()
    with pytest.raises(Damaged, match="a line does not end"):
        proof.exhaust(proof.blocks_of(packed))
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
