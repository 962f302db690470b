"""`/api/v1`: every app's operations under one roof, and their documentation."""

from datetime import datetime
from importlib.util import find_spec

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from ninja import Router, Schema, Swagger
from ninja.main import NinjaAPI

from utxoiq_admin.accounts.api import router as accounts
from utxoiq_admin.accounts.auth import ServiceAuth
from utxoiq_admin.core.api import Api
from utxoiq_admin.core.database import database_bytes, table_sizes

DESCRIPTION = """For the platform's services. Every call sends `Authorization: Bearer <service token>`; errors
are `{"errors": [{"where", "what", "why"}]}`; a 503 means "not stored, or unknown: repeat it"."""

# Prefix and module of each app that has operations; an app without them is simply not there yet.
ROUTERS = {
    "/monitoring/backfill": "backfill.api",
    "/monitoring/metrics": "metrics.api",
    "/feedback": "feedback.api",
    "/monitoring/retention": "utxoiq_admin.retention.api",
    "/monitoring": "utxoiq_admin.monitoring.api",
}


class LocalSwagger(Swagger):
    """Swagger's page from our own files; its validator badge would call another host with our addresses."""

    def __init__(self) -> None:
        super().__init__({"validatorUrl": None, "persistAuthorization": False, "tryItOutEnabled": True})

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: object) -> HttpResponse:
        options = {**self.settings, "url": self.get_openapi_url(api, kwargs)}
        return render(request, "ninja/docs.html", {"api": api, "options": options})


class SizeOut(Schema):
    table: str
    bytes: int
    index_bytes: int
    rows: int | None
    partitions: int


class SizesOut(Schema):
    measured_at: datetime
    database_bytes: int
    tables: list[SizeOut]


database = Router(tags=["database"])


@database.get("/sizes", auth=ServiceAuth("monitoring:read"), response=SizesOut, summary="Sizes of the tables")
def sizes(request: HttpRequest) -> SizesOut:
    """Bytes (with indexes) and estimated rows of every table, the largest first.

    Rows are the planner's estimate, null where it has none yet.
    """
    tables = [SizeOut.model_validate(vars(each)) for each in table_sizes()]
    return SizesOut(measured_at=timezone.now(), database_bytes=database_bytes(), tables=tables)


def build() -> Api:
    """The API with every router that exists. Closed: what names no scope of its own lets nobody in."""
    made = Api(
        title="utxoIQ admin",
        version="1",
        description=DESCRIPTION,
        auth=ServiceAuth(),
        docs=LocalSwagger(),
        docs_decorator=login_required,
        urls_namespace="api",
    )
    made.add_router("", accounts)
    made.add_router("/monitoring/database", database)
    for prefix, module in ROUTERS.items():
        if find_spec(module):
            made.add_router(prefix, f"{module}.router")
    return made


api = build()
