"""Whether `collectstatic` has anything to do: it takes seconds, and the files change with the code alone."""

import hashlib

from django.contrib.staticfiles.finders import get_finders


def fingerprint() -> str:
    """Changes when any static file is added, removed, or written to."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            place = storage.path(path)
            digest.update(
                f"{place}\0{storage.size(path)}\0{storage.get_modified_time(path).timestamp()}\n".encode()
            )
    return digest.hexdigest()
