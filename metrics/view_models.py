"""Charts that somebody saved under a name."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from utxoiq_admin.core.defaults import UUID7, uuid7


class SavedView(models.Model):
    """What stands behind the question mark of a charts page, under its owner's name for it."""

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7())
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chart_views")
    name = models.CharField(max_length=80)
    query = models.TextField()
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "metric_saved_views"
        ordering = ["name"]
        # Serves the list of an owner's views, by name.
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="uq_metric_saved_view")]

    def __str__(self) -> str:
        return self.name
