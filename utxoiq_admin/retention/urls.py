from django.urls import path

from utxoiq_admin.retention import archive_views, views

urlpatterns = [
    path("retention/", views.RetentionPage.as_view(), name="retention"),
    path("retention/preview/", views.PreviewPage.as_view(), name="retention_preview"),
    path("retention/run/", views.StartRun.as_view(), name="retention_run"),
    path("retention/pause/", views.PauseNights.as_view(), name="retention_pause"),
    path("retention/resume/", views.ResumeNights.as_view(), name="retention_resume"),
    path("retention/<uuid:pk>/stop/", views.StopRun.as_view(), name="retention_stop"),
    path("archives/", archive_views.ArchivesPage.as_view(), name="archives"),
    path("archives/export.csv", archive_views.ArchivesExport.as_view(), name="archives_export"),
    path("archives/search/", archive_views.SearchPage.as_view(), name="archives_search"),
    path("archives/<uuid:pk>/", archive_views.ArchivePage.as_view(), name="archive"),
    path("archives/<uuid:pk>/download/", archive_views.Download.as_view(), name="archive_download"),
    path("archives/<uuid:pk>/restore/", archive_views.RestoreArchive.as_view(), name="archive_restore"),
]
