"""The pages of insights. An id may hold slashes; the list's export ends without one, so no id hides it."""

from django.urls import path

from feedback.views import InsightPage, InsightsExport, InsightsPage

urlpatterns = [
    path("insights/", InsightsPage.as_view(), name="insights"),
    path("insights/export.csv", InsightsExport.as_view(), name="insights_export"),
    path("insights/<path:insight_id>/", InsightPage.as_view(), name="insight"),
]
