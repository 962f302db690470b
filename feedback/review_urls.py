from django.urls import path

from feedback import review_actions as do
from feedback.review_history import HistoryDataView, HistoryExport, HistoryPage
from feedback.review_ignored import HeedView, IgnoredPage
from feedback.review_views import ItemView, ReviewPage

urlpatterns = [
    path("review/", ReviewPage.as_view(), name="review"),
    path("review/item/", ItemView.as_view(), name="review-item"),
    path("review/claim/", do.ClaimAction.as_view(), name="review-claim"),
    path("review/next/", do.NextAction.as_view(), name="review-next"),
    path("review/renew/", do.RenewAction.as_view(), name="review-renew"),
    path("review/release/", do.ReleaseAction.as_view(), name="review-release"),
    path("review/decide/", do.DecideAction.as_view(), name="review-decide"),
    path("review/skip/", do.SkipAction.as_view(), name="review-skip"),
    path("review/undo/", do.UndoAction.as_view(), name="review-undo"),
    path("review/ignore/", do.IgnoreAction.as_view(), name="review-ignore"),
    path("review/bulk/", do.BulkAction.as_view(), name="review-bulk"),
    path("review/ignored/", IgnoredPage.as_view(), name="review-ignored"),
    path("review/heed/", HeedView.as_view(), name="review-heed"),
    path("review/history/", HistoryPage.as_view(), name="review-history"),
    path("review/history/data/", HistoryDataView.as_view(), name="review-history-data"),
    path("review/history/export/", HistoryExport.as_view(), name="review-history-export"),
]
