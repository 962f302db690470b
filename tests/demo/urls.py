"""The demo's addresses and the names that they lead back to."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("", lambda request: HttpResponse("home"), name="home"),
    path("admin/", admin.site.urls),
    path("", include("utxoiq_admin.demo.urls")),
]
