"""Comments on one insight, newest first, without reading all that was ever said of it."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False  # writers go on while the index is built
    dependencies = [("feedback", "0003_insight_flags")]
    operations = [
        # Killed half way, it leaves an index that is not valid, or one that nobody noted.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS idx_feedback_comments", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="insightfeedback",
            index=models.Index(
                condition=Q(comment__isnull=False),
                fields=["insight_id", "created_at", "id"],
                name="idx_feedback_comments",
            ),
        ),
    ]
