"""The tables of the moderators: see feedback/review_models.py."""

import django.contrib.postgres.fields
import django.db.models.deletion
import feedback.review_models
import utxoiq_admin.core.defaults
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0005_figures"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="QueueSample",
            fields=[
                (
                    "at",
                    models.DateTimeField(
                        db_default=utxoiq_admin.core.defaults.DatabaseNow(), primary_key=True, serialize=False
                    ),
                ),
                ("waiting", models.IntegerField()),
                ("escalated", models.IntegerField()),
                ("oldest_since", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "review_queue_samples",
            },
        ),
        migrations.CreateModel(
            name="ReviewFetch",
            fields=[
                ("through", models.BigIntegerField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_default=feedback.review_models.DatabaseClock())),
                ("reader", models.CharField(max_length=100)),
            ],
            options={
                "db_table": "review_fetches",
            },
        ),
        # No unique key: two writers of one insight's flags would wait for each other, and deadlock in twos.
        migrations.RunSQL(
            "CREATE TABLE review_marks (insight_id varchar(100) NOT NULL) "
            "WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)",
            "DROP TABLE review_marks",
            state_operations=[
                migrations.CreateModel(
                    name="ReviewMark",
                    fields=[
                        ("insight_id", models.CharField(max_length=100, primary_key=True, serialize=False)),
                    ],
                    options={
                        "db_table": "review_marks",
                    },
                ),
            ],
        ),
        migrations.AddField(
            model_name="insighttext",
            name="fetched_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="insighttext",
            name="gone_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="InsightReview",
            fields=[
                ("insight_id", models.CharField(max_length=100, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("quiet", "Quiet"),
                            ("waiting", "Waiting"),
                            ("escalated", "Escalated"),
                            ("decided", "Decided"),
                        ],
                        max_length=10,
                    ),
                ),
                ("unjudged", models.IntegerField()),
                ("counted", models.IntegerField()),
                ("inaccurate", models.IntegerField()),
                ("misleading", models.IntegerField()),
                ("spam", models.IntegerField()),
                ("other", models.IntegerField()),
                ("trusted", models.IntegerField()),
                ("points", models.FloatField()),
                ("priority", models.FloatField()),
                ("rating", models.FloatField(null=True)),
                ("ratings", models.IntegerField()),
                ("waiting_since", models.DateTimeField(null=True)),
                ("newest_flag_at", models.DateTimeField(null=True)),
                ("burst", models.IntegerField()),
                ("burst_seconds", models.IntegerField()),
                ("new_accounts", models.IntegerField()),
                ("last_event_id", models.BigIntegerField(null=True)),
                (
                    "last_verdict",
                    models.CharField(
                        choices=[
                            ("inaccurate", "Inaccurate"),
                            ("misleading", "Misleading"),
                            ("spam", "Spam"),
                            ("nothing_wrong", "Nothing wrong"),
                            ("already_gone", "Already gone"),
                            ("escalated", "Escalated"),
                        ],
                        max_length=20,
                        null=True,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                ("computed_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "review",
                "db_table": "insight_reviews",
                "permissions": [
                    ("decide_insightreview", "Can decide on flagged insights"),
                    ("decide_escalated_insightreview", "Can decide on escalated insights"),
                ],
                "indexes": [
                    models.Index(
                        models.F("state"),
                        models.OrderBy(models.F("priority"), descending=True),
                        models.OrderBy(models.F("insight_id"), descending=True),
                        name="idx_reviews_queue",
                    ),
                    models.Index(
                        models.OrderBy(models.F("decided_at"), descending=True),
                        models.OrderBy(models.F("insight_id"), descending=True),
                        condition=models.Q(("state", "decided")),
                        name="idx_reviews_decided",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewClaim",
            fields=[
                ("insight_id", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("token", models.UUIDField(default=uuid.uuid4)),
                ("claimed_at", models.DateTimeField(db_default=feedback.review_models.DatabaseClock())),
                ("expires_at", models.DateTimeField()),
                (
                    "moderator",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "review_claims",
            },
        ),
        migrations.CreateModel(
            name="ReviewEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("insight_id", models.CharField(max_length=100)),
                (
                    "kind",
                    models.CharField(choices=[("decision", "Decision"), ("undo", "Undo")], max_length=10),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("inaccurate", "Inaccurate"),
                            ("misleading", "Misleading"),
                            ("spam", "Spam"),
                            ("nothing_wrong", "Nothing wrong"),
                            ("already_gone", "Already gone"),
                            ("escalated", "Escalated"),
                        ],
                        max_length=20,
                    ),
                ),
                ("at", models.DateTimeField(db_default=feedback.review_models.DatabaseClock())),
                ("note", models.TextField(blank=True, default="")),
                (
                    "flag_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), default=list, size=None
                    ),
                ),
                ("waiting_since", models.DateTimeField(null=True)),
                ("claimed_at", models.DateTimeField(null=True)),
                ("text", models.JSONField(null=True)),
                ("bulk", models.UUIDField(null=True)),
                (
                    "moderator",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "undoes",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="undone_by",
                        to="feedback.reviewevent",
                    ),
                ),
            ],
            options={
                "verbose_name": "decision",
                "db_table": "review_events",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="JudgedFlag",
            fields=[
                ("flag_id", models.UUIDField(primary_key=True, serialize=False)),
                ("insight_id", models.CharField(max_length=100)),
                ("user_id", models.CharField(max_length=100)),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("inaccurate", "Inaccurate"),
                            ("misleading", "Misleading"),
                            ("spam", "Spam"),
                            ("nothing_wrong", "Nothing wrong"),
                            ("already_gone", "Already gone"),
                            ("escalated", "Escalated"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="judged",
                        to="feedback.reviewevent",
                    ),
                ),
            ],
            options={
                "db_table": "review_judged_flags",
            },
        ),
        migrations.CreateModel(
            name="ReviewSkip",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("insight_id", models.CharField(max_length=100)),
                ("until", models.DateTimeField()),
                (
                    "moderator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "review_skips",
            },
        ),
        migrations.CreateModel(
            name="IgnoredFlagger",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("user_id", models.CharField(max_length=100)),
                ("until", models.DateTimeField()),
                ("at", models.DateTimeField(db_default=utxoiq_admin.core.defaults.DatabaseNow())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "ended_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "moderator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "ignored_flaggers",
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)),
                        fields=["user_id"],
                        name="idx_ignored_flaggers",
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="reviewevent",
            index=models.Index(fields=["insight_id", "id"], name="idx_review_events_insight"),
        ),
        migrations.AddIndex(
            model_name="reviewevent",
            index=models.Index(fields=["moderator", "id"], name="idx_review_events_person"),
        ),
        migrations.AddIndex(
            model_name="reviewevent",
            index=models.Index(fields=["at"], name="idx_review_events_at"),
        ),
        migrations.AddConstraint(
            model_name="reviewevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "decision"), ("undoes", None)),
                    models.Q(("kind", "undo"), ("undoes__isnull", False)),
                    _connector="OR",
                ),
                name="chk_review_event_undo",
            ),
        ),
        migrations.AddIndex(
            model_name="judgedflag",
            index=models.Index(fields=["user_id", "verdict"], name="idx_judged_flags_user"),
        ),
        migrations.AddConstraint(
            model_name="reviewskip",
            constraint=models.UniqueConstraint(fields=("insight_id", "moderator"), name="uq_review_skip"),
        ),
    ]
