"""Who may do what: the three groups, and their permissions after every migrate."""

from typing import Any

from django.apps import apps as global_apps

STAFF = [
    "backfill.view_backfilljob",
    "backfill.view_jobevent",
    "backfill.view_jobwork",
    "backfill.view_ledgerentry",
    "backfill.view_ledgerfold",
    "backfill.view_sample",
    "feedback.view_insightfeedback",
    "feedback.view_figurechange",
    "feedback.view_insightfigures",
    "feedback.view_insightflag",
    "feedback.view_insighttext",
    "feedback.view_ignoredflagger",
    "feedback.view_insightreview",
    "feedback.view_judgedflag",
    "feedback.view_queuesample",
    "feedback.view_reviewclaim",
    "feedback.view_reviewevent",
    "feedback.view_reviewfetch",
    "feedback.view_reviewmark",
    "feedback.view_reviewskip",
    "metrics.view_systemmetric",
    "metrics.view_rollupmark",
    "metrics.view_rolluphour",
    "metrics.view_rollupday",
    "metrics.view_sealedday",
    "metrics.view_laterow",
    "metrics.view_serviceinstance",
    "metrics.view_retirement",
    "retention.view_run",
    "retention.view_runtable",
    "retention.view_archive",
    "retention.view_pause",
    "metrics.view_savedview",
    "core.view_taskrun",
    "core.view_lease",
    "core.view_heartbeat",
    "core.view_heartbeatgap",
]
# Nobody here may touch people, groups or tokens: only an administrator, or whom an administrator grants it.
ROLES: dict[str, list[str]] = {
    "staff": STAFF,
    "moderators": [*STAFF, "feedback.decide_insightreview"],
    "ops": [
        *STAFF,
        "accounts.view_servicetoken",
        "backfill.operate_backfilljob",
        "metrics.add_retirement",
        "metrics.change_retirement",
        "retention.add_run",
        "retention.change_run",
        "retention.change_archive",
        "demo.view_demostate",
        "demo.change_demostate",
    ],
}


def sync_roles(*, using: str = "default", apps: Any = global_apps, **kwargs: object) -> None:
    """Make the groups and add what they lack; what an administrator granted besides is never taken away.

    A permission of a table that does not exist yet is skipped: the migrate that makes the table adds it. The
    sender is the last app of all, so Django has made every permission by then.
    """
    try:
        group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:  # auth itself is migrated away
        return
    permissions = {
        f"{label}.{codename}": pk
        for label, codename, pk in permission_model.objects.using(using).values_list(
            "content_type__app_label", "codename", "pk"
        )
    }
    for name, wanted in ROLES.items():
        group, _ = group_model.objects.using(using).get_or_create(name=name)
        group.permissions.add(*(permissions[each] for each in wanted if each in permissions))
