"""Feedback: stats over real HTTP, how often they come from the cache, and the pages of insights, signed in."""

import http.client
import random
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from unittest.mock import patch

from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from benchmarks.ingest import web_server
from benchmarks.lists import LIMIT_MS, p95
from benchmarks.report import Report
from feedback import figures, stats
from feedback.models import InsightReview
from feedback.services import feedback_save
from utxoiq_admin.accounts.services import token_create
from utxoiq_admin.core.listener import Listener

STATS_MS = 5.0  # above an empty request
MISSES = 10.0  # percent of reads
MIX, HOT = 6_000, 100  # calls of the mix, and insights they are about
DEEP = 1_000  # pages
PENDING = 5_000  # changes that wait to be added
NEVER = datetime(2000, 1, 1, tzinfo=UTC)  # marks rows that this made


def measure(report: Report, *, repeat: int) -> None:
    _stats(report, repeat)
    _mix(report)
    client = Client()
    user = User.objects.create_user("bench-feedback")
    user.groups.add(Group.objects.get(name="staff"))
    client.force_login(user)
    _decisions()
    _pages(report, client, repeat)
    InsightReview.objects.filter(computed_at=NEVER).delete()
    _pending()
    for by in ("last_at", "flags", "average"):
        report.add(
            f"insights, by {by}, {PENDING:,} changes waiting",
            p95(client, f"/insights/?sort=-{by}", repeat),
            LIMIT_MS,
        )
    figures.refresh(wait=True)


def _pages(report: Report, client: Client, repeat: int) -> None:
    """Every order, at its ends and a thousand pages deep, and the insight of which most is said."""
    for by in figures.ORDERS:
        for sign, least in (("-", ""), ("", ""), ("-", "&least=20")):
            if least and by != "average":
                continue
            report.add(
                f"insights, by {sign}{by}{least}",
                p95(client, f"/insights/?sort={sign}{by}{least}", repeat),
                LIMIT_MS,
            )
        cursor = _deep_cursor(figures.Order(by))
        report.add(
            f"page {DEEP} of insights, by -{by}",
            p95(client, f"/insights/?sort=-{by}&least=1&after={cursor}", repeat),
            LIMIT_MS,
        )
    most = figures.listed(order=figures.Order("flags"), size=1).rows[0].insight_id
    report.add("insight, the most flagged one", p95(client, f"/insights/{most}/", repeat), LIMIT_MS)


def _decisions() -> None:
    """Insights that were decided, so many that the order of decisions has a page DEEP."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO insight_reviews (insight_id, state, unjudged, counted, inaccurate, misleading, spam, other,
                 trusted, points, priority, ratings, burst, burst_seconds, new_accounts, last_verdict, decided_at,
                 computed_at)
               SELECT insight_id, 'decided', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'spam', last_at, %s
               FROM insight_figures LIMIT %s ON CONFLICT (insight_id) DO NOTHING""",
            [NEVER, 2 * DEEP * 50],
        )
        cursor.execute("ANALYZE insight_reviews")


def _deep_cursor(order: figures.Order) -> str | None:
    page = figures.listed(order=order, size=DEEP * 50)
    return page.next


def _stats(report: Report, repeat: int) -> None:
    _, secret = token_create(
        name="bench feedback", scopes=["feedback:read"], expires=None, created_by="bench"
    )
    insight = figures.listed(order=figures.Order("ratings"), size=1).rows[0].insight_id
    with web_server() as port:
        get = _getter(port, secret)
        # In turns, so that what else the machine does meets both alike.
        work = [lambda: get("/api/v1/whoami"), lambda: get(f"/api/v1/feedback/stats?insight_id={insight}")]
        times = [[_timed(each) for each in work] for _ in range(20 + repeat * 20)][20:]
    empty, cached = (statistics.quantiles(each, n=20) for each in zip(*times, strict=True))
    print(
        f"  an empty request with a token: median {empty[9]:.1f}, p95 {empty[-1]:.1f} ms; "
        f"feedback stats: median {cached[9]:.1f}, p95 {cached[-1]:.1f} ms",
        flush=True,
    )
    report.add("feedback stats, cached, p95 above that of an empty request", cached[-1] - empty[-1], STATS_MS)


def _getter(port: int, secret: str) -> Callable[[str], None]:
    connected = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(path: str) -> None:
        connected.request("GET", path, headers={"Authorization": f"Bearer {secret}"})
        answer = connected.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:500])

    return get


def _timed(work: Callable[[], None]) -> float:
    """How long it took, in ms."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _mix(report: Report) -> None:
    """95 reads to 5 writes, by chance over some insights and over one alone, with the change listener at work."""
    delivery, stopped = Listener(), threading.Event()

    def listen() -> None:
        while not stopped.is_set():
            delivery.step()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        for hot in (HOT, 1):
            words = f"{hot} insights" if hot > 1 else "one insight"
            report.add(f"feedback stats, reads past the cache, 95/5 on {words}", _missed(hot), MISSES, "%")
    finally:
        stopped.set()
        listener.join()
        delivery.close()


def _missed(hot: int) -> float:
    chance = random.Random(1)
    reads = 0
    with patch.object(stats, "_computed", wraps=stats._computed) as computed:
        for turn in range(MIX):
            insight = f"insight-{chance.randrange(hot):08x}"
            if chance.random() < 0.05:
                feedback_save(insight_id=insight, user_id=f"mix-{turn}", changes={"rating": 1 + turn % 5})
            else:
                stats.stats_of(insight)
                reads += 1
        return 100 * computed.call_count / reads


def _pending() -> None:
    """Changes of as many insights, as writers leave them between two refreshes."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE insight_feedback SET rating = 3, updated_at = now() WHERE id IN (
                 SELECT DISTINCT ON (insight_id) id FROM insight_feedback
                 WHERE insight_id IN (SELECT insight_id FROM insight_figures LIMIT %s))""",
            [PENDING],
        )
