from django.urls import path

from metrics.views import ChartDataView, ChartsPage
from metrics.views_annotations import AnnotationsView

urlpatterns = [
    path("charts/", ChartsPage.as_view(), name="charts"),
    path("charts/data/", ChartDataView.as_view(), name="chart-data"),
    path("charts/annotations/", AnnotationsView.as_view(), name="chart-annotations"),
]
