"""A small site under the real middleware, pool and server, for the tests of outages and broken downloads."""

import os
from collections.abc import Iterator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "utxoiq_admin.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from utxoiq_admin.core.csv_export import stream_csv


def ask(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("fine")


def slow(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30)")
    return HttpResponse("fine")


def export(request: HttpRequest) -> StreamingHttpResponse:
    def rows() -> Iterator[tuple[str]]:
        while True:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.005)")
                cursor.execute("SELECT repeat('x', 100) FROM generate_series(1, 500)")
                yield from cursor.fetchall()

    return stream_csv("endless", ["text"], rows())


def mistake(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing")
    return HttpResponse("never")


urlpatterns = [
    path("ask", ask),
    path("slow", slow),
    path("export", export),
    path("mistake", mistake),
    path("api/ask", ask),
    path("api/slow", csrf_exempt(slow)),
    path("session", lambda request: HttpResponse(str(request.session.get("x")))),
]

if __name__ != "tests.core.web" or "UTXOIQ_WEB" in os.environ:
    settings.ROOT_URLCONF = "tests.core.web"
    application = get_wsgi_application()
