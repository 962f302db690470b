from django.urls import path

from metrics.views import ChartDataView, ChartsPage

urlpatterns = [
    path("charts/", ChartsPage.as_view(), name="charts"),
    path("charts/data/", ChartDataView.as_view(), name="chart-data"),
]
