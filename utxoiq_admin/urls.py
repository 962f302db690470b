from django.urls import path

from utxoiq_admin.api import api
from utxoiq_admin.probes import healthz, readyz

urlpatterns: list = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("api/v1/", api.urls),
]
