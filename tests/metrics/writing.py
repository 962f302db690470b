"""Metrics as services send them, for the tests of writing."""

import gzip
import json
from datetime import UTC, datetime

from django.test import Client

from tests.accounts.access import bearer

ONE, BATCH = "/api/v1/monitoring/metrics", "/api/v1/monitoring/metrics/batch"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ROW = {"service_name": "web-api", "metric_type": "cpu", "metric_value": 41.5, "unit": "percent"}


def row(**changes):
    return {**ROW, **changes}


def row_id(number):
    return f"00000000-0000-7000-8000-{number:012}"


def send(secret, body, *, path=BATCH, packed=False, client=None, **headers):
    """POST `body` (bytes as they are, else as JSON); the answer."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    if packed:
        sent, headers = gzip.compress(sent), {"Content-Encoding": "gzip", **headers}
    return (client or Client()).generic(
        "POST", path, sent, content_type="application/json", headers={**bearer(secret), **headers}
    )
