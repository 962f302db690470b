"""Every address of the application, grouped by subject."""

from django.apps import apps
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from utxoiq_admin.api import api
from utxoiq_admin.home import HomePage
from utxoiq_admin.probes import healthz, readyz
from utxoiq_admin.schedule import SchedulePage

# Their actions (switch off, run now) ask for no permission beyond looking; the Schedule page shows what runs.
for model in apps.get_app_config("django_celery_beat").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)

urlpatterns = [
    path("", HomePage.as_view(), name="home"),
    path("", include("metrics.urls")),
    path("", include("feedback.review_urls")),
    path("", include("feedback.urls")),
    path("", include("backfill.urls")),
    path("", include("utxoiq_admin.retention.urls")),
    path("schedule/", SchedulePage.as_view(), name="schedule"),
    path("", include("utxoiq_admin.demo.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("img/favicon.svg"))),
    # Open on purpose: a load balancer has no session. Neither says more than up or not.
    path("healthz", healthz),
    path("readyz", readyz),
]

handler403 = "utxoiq_admin.core.pages.permission_denied"
