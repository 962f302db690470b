"""The insight's text from a real HTTP server: fresh, kept, gone, slow, broken, away."""

import contextlib
import html
import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.utils import timezone

from feedback import review_texts
from feedback.models import InsightText, ReviewEvent
from feedback.review_texts import Source, text_of
from tests.accounts.access import signed_in
from tests.feedback.reviewing import flagged

pytestmark = pytest.mark.django_db
GOOD = {
    "headline": "Fees spike", "summary": "Full blocks.", "signal_type": "mempool", "confidence": 0.85,
    "evidence": [{"type": "block", "id": 975102}], "created_at": "2026-11-24T10:00:00Z",
}  # fmt: skip


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        status, body, wait = self.server.answer
        if wait:
            self.server.hold.wait(wait)
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        with contextlib.suppress(OSError):  # nobody waits any more
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def api(settings, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    server.asked, server.answer, server.hold = [], (200, GOOD, 0), threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings.INSIGHT_API_URL = f"http://127.0.0.1:{server.server_port}/insights/"
    monkeypatch.setattr(review_texts, "_paused_until", 0.0)
    yield server
    server.hold.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_text_is_fetched_once_and_kept(api, settings):
    settings.INSIGHT_API_TOKEN = "secret"
    seen = text_of("a/b c")
    assert (seen.source, seen.headline, seen.summary, seen.category) == (
        Source.FRESH, "Fees spike", "Full blocks.", "mempool",
    )  # fmt: skip
    assert seen.evidence == [{"kind": "block", "value": 975102, "url": ""}]
    assert review_texts.evidence_url(seen.evidence[0]) == "https://mempool.space/block/975102"
    assert text_of("a/b c").headline == "Fees spike"
    assert api.asked == [("/insights/a%2Fb%20c", "Bearer secret")]


def test_an_old_text_is_asked_for_again(api):
    text_of("i")
    InsightText.objects.update(fetched_at=timezone.now() - timedelta(minutes=6))
    api.answer = (200, GOOD | {"headline": "Corrected"}, 0)
    assert text_of("i").headline == "Corrected"


def test_what_the_platform_has_no_more_is_said_to_be_gone_and_its_text_stays(api):
    text_of("i")
    InsightText.objects.update(fetched_at=timezone.now() - timedelta(minutes=6))
    for status in (404, 410):
        api.answer = (status, b"", 0)
        assert (text_of("i").source, text_of("i").headline) == (Source.GONE, "Fees spike")
        InsightText.objects.update(fetched_at=timezone.now() - timedelta(minutes=6))
    assert text_of("never seen").source == Source.GONE


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (302, b""), (200, b"<html>"), (200, {"summary": "no headline"}), (200, b"x" * 300_000),
     (200, b"[" * 99_000)],
)  # fmt: skip
def test_an_answer_that_is_none_is_unreachable_and_the_api_left_alone_for_a_while(api, status, body):
    api.answer = (200, GOOD, 0)
    text_of("i")
    InsightText.objects.update(fetched_at=timezone.now() - timedelta(minutes=6))
    api.answer = (status, body, 0)
    seen = text_of("i")
    assert (seen.source, seen.headline) == (Source.UNREACHABLE, "Fees spike")
    assert text_of("other").source == Source.UNREACHABLE
    assert len(api.asked) == 2


def test_a_slow_api_costs_a_second_once(api):
    api.answer = (200, GOOD, 5)
    begun = time.monotonic()
    assert text_of("i").source == Source.UNREACHABLE
    assert 0.9 < time.monotonic() - begun < 1.6
    begun = time.monotonic()
    assert text_of("j").source == Source.UNREACHABLE
    assert time.monotonic() - begun < 0.2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "not an address", "http://no-such-host.invalid/"])
def test_an_api_that_is_not_there_is_unreachable(settings, monkeypatch, url):
    settings.INSIGHT_API_URL = url
    monkeypatch.setattr(review_texts, "_paused_until", 0.0)
    assert text_of("i").source == Source.UNREACHABLE


def test_the_page_says_what_it_shows_and_the_decision_keeps_it(api, settings):
    settings.INSIGHT_URL_TEMPLATE = "https://utxoiq.example/insights/{insight_id}"
    client = signed_in("moderators")
    flagged("i/1")
    page = client.get("/review/item/?insight=i/1").content.decode()
    assert "Fees spike" in page and 'href="https://utxoiq.example/insights/i%2F1"' in page
    InsightText.objects.update(fetched_at=timezone.now() - timedelta(minutes=6))
    api.answer = (500, b"", 0)
    page = client.get("/review/item/?insight=i/1").content.decode()
    assert "does not answer" in page and "as last seen, 6 min ago" in page
    seen = page.split('data-seen="')[1].split('"')[0].split(",")
    text = html.unescape(page.split('data-text="')[1].split('"')[0])
    # What the platform says by now, and what another page showed, is not what the moderator judged.
    InsightText.objects.update(headline="Rewritten since")
    body = {"insight": "i/1", "verdict": "spam", "seen": json.dumps(seen)}
    for forged in (
        "x" + text,
        text_of("i/2").signed() or "x",
        replace(text_of("i/1"), insight_id="i/2").signed(),
    ):
        assert client.post("/review/decide/", body | {"text": forged}).status_code == 422
    assert ReviewEvent.objects.count() == 0
    client.post("/review/decide/", body | {"text": text})
    kept = ReviewEvent.objects.get().text
    assert (kept["headline"], kept["summary"], kept["source"]) == (
        "Fees spike",
        "Full blocks.",
        "unreachable",
    )


def test_a_link_in_evidence_leads_to_the_web_or_nowhere():
    assert (
        review_texts.evidence_url({"kind": "x", "value": 1, "url": "https://a.example/"})
        == "https://a.example/"
    )
    assert review_texts.evidence_url({"kind": "x", "value": 1, "url": "javascript:alert(1)"}) == ""


def test_the_head_of_the_queue_is_asked_for_before_anybody_looks(api, monkeypatch):
    for n in range(4):
        flagged(f"i{n}", 3 + n)
    monkeypatch.setattr(review_texts, "WARMED", 3)
    assert review_texts.warm() == 3
    assert [path.rsplit("/", 1)[1] for path, *_ in api.asked] == ["i3", "i2", "i1"]
    assert review_texts.warm() == 3 and len(api.asked) == 3
    assert text_of("i3").headline == "Fees spike" and len(api.asked) == 3


def test_an_api_that_is_away_is_asked_once_a_round(api):
    for n in range(4):
        flagged(f"i{n}")
    api.answer = (500, b"", 0)
    assert review_texts.warm() == 0 and len(api.asked) == 1
