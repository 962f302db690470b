"""The pages of backfill jobs."""

from django.urls import path

from backfill.actions import ActionPage, StartPage
from backfill.views import CoveragePage, JobDataView, JobPage, JobsExport, JobsPage

urlpatterns = [
    path("jobs/", JobsPage.as_view(), name="jobs"),
    path("jobs/export.csv", JobsExport.as_view(), name="jobs-export"),
    path("jobs/coverage/", CoveragePage.as_view(), name="job-coverage"),
    path("jobs/start/", StartPage.as_view(), name="job-start"),
    path("jobs/<uuid:job_id>/", JobPage.as_view(), name="job"),
    path("jobs/<uuid:job_id>/data/", JobDataView.as_view(), name="job-data"),
    path("jobs/<slug:verb>/", ActionPage.as_view(), name="job-action"),
]
