from django.urls import path

from metrics.views import ChartDataView, ChartRowsView, ChartsPage
from metrics.views_annotations import AnnotationsView
from metrics.views_saved import DeleteViewView, OpenViewView, SavedViewsView
from metrics.views_services import ServicesPage, retire, take_back
from metrics.views_usage import HighUsagePage, MomentPage

urlpatterns = [
    path("services/", ServicesPage.as_view(), name="services"),
    path("services/high/", HighUsagePage.as_view(), name="services-high"),
    path("services/moment/", MomentPage.as_view(), name="services-moment"),
    path("services/retire/", retire, name="service-retire"),
    path("services/take-back/", take_back, name="service-take-back"),
    path("charts/", ChartsPage.as_view(), name="charts"),
    path("charts/data/", ChartDataView.as_view(), name="chart-data"),
    path("charts/annotations/", AnnotationsView.as_view(), name="chart-annotations"),
    path("charts/rows/", ChartRowsView.as_view(), name="chart-rows"),
    path("charts/views/", SavedViewsView.as_view(), name="chart-views"),
    path("charts/views/<uuid:view>/", OpenViewView.as_view(), name="chart-view"),
    path("charts/views/<uuid:view>/delete/", DeleteViewView.as_view(), name="chart-view-delete"),
]
