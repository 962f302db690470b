"""The small file beside each object: the bucket explains itself without this database."""

import json

from utxoiq_admin.retention import storage
from utxoiq_admin.retention.models import Archive


def write(archive: Archive) -> None:
    """Write the object's manifest as it is now, unless it stands there so. Raises StorageFailed."""
    storage.write_small(archive.manifest_key, manifest(archive))


def manifest(archive: Archive) -> str:
    """What the object is, for somebody who has the bucket and not this database."""
    return json.dumps(
        {
            "table": archive.table,
            "object": archive.key,
            "format": "gzip; JSON Lines: one row a line, with all columns, as row_to_json writes it; times in UTC",
            "first": archive.first_at.isoformat(),
            "last": archive.last_at.isoformat(),
            "rows": archive.rows,
            "bytes": archive.bytes,
            "checksum": archive.checksum,
            "checksum_is": "the sum of the md5 of each line without its newline, modulo 2^128, in hexadecimal",
            "sha256": archive.sha256,
            "run": str(archive.run_id),
            "superseded": [digest.hex for digest in archive.superseded],
            "superseded_is": "md5 of lines that do not count: their row was edited later, and its newer version stands "
            "in the database or in another object",
        },
        indent=1,
    )
