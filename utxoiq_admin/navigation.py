"""The sidebar (hiding a link is a courtesy, not a check: each page asks for its own permission) and the theme."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def may(permission: str) -> Callable[[HttpRequest], bool]:
    """Whether the visitor has the permission, for a sidebar entry."""
    return lambda request: request.user.has_perm(permission)


def entry(title: str, icon: str, url: str, permission: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(url), "permission": may(permission)}


def demo_banner(request: HttpRequest) -> dict[str, Any]:
    """What the banner above every page needs; nothing before the visitor signed in."""
    from utxoiq_admin.demo.banner import banner

    return {"demo": banner(request) if request.user.is_authenticated else None}


NAVIGATION = [
    {
        "items": [
            {
                "title": "Home",
                "icon": "home",
                "link": reverse_lazy("home"),
                "active": lambda request: request.path == "/",
            },
            entry("Services", "dns", "services", "metrics.view_systemmetric"),
            entry("Metric charts", "show_chart", "charts", "metrics.view_systemmetric"),
            entry("Review", "gavel", "review", "feedback.decide_insightreview"),
            entry("Insights", "lightbulb", "insights", "feedback.view_insightfeedback"),
            entry("Backfill", "layers", "jobs", "backfill.view_backfilljob"),
        ]
    },
    {
        "title": "Tables",
        "items": [
            entry(
                "Backfill jobs",
                "table_rows",
                "admin:backfill_backfilljob_changelist",
                "backfill.view_backfilljob",
            ),
            entry(
                "Feedback",
                "reviews",
                "admin:feedback_insightfeedback_changelist",
                "feedback.view_insightfeedback",
            ),
            entry(
                "Metrics", "table_rows", "admin:metrics_systemmetric_changelist", "metrics.view_systemmetric"
            ),
        ],
    },
    {
        "title": "Administration",
        "items": [
            entry("Retention", "auto_delete", "retention", "retention.view_run"),
            entry("Archives", "inventory_2", "archives", "retention.view_archive"),
            entry("Schedule", "schedule", "schedule", "core.view_taskrun"),
            entry(
                "Service tokens",
                "key",
                "admin:accounts_servicetoken_changelist",
                "accounts.view_servicetoken",
            ),
            entry("Users", "person", "admin:auth_user_changelist", "auth.view_user"),
            entry("Groups", "group", "admin:auth_group_changelist", "auth.view_group"),
            {
                "title": "API reference",
                "icon": "api",
                "link": reverse_lazy("api:openapi-view"),
                "permission": lambda request: request.user.is_authenticated,
            },
        ],
    },
]

# One accent: a calm blue. Red, amber and grey are kept for what they mean.
_ACCENT = {
    "50": "oklch(97% .014 254.6)",
    "100": "oklch(93.2% .032 255.6)",
    "200": "oklch(88.2% .059 254.1)",
    "300": "oklch(80.9% .105 251.8)",
    "400": "oklch(70.7% .165 254.6)",
    "500": "oklch(62.3% .214 259.8)",
    "600": "oklch(54.6% .225 262)",
    "700": "oklch(48.8% .217 264.4)",
    "800": "oklch(42.4% .199 265.6)",
    "900": "oklch(37.9% .146 265.5)",
    "950": "oklch(28.2% .091 267.9)",
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "utxoIQ admin",
    "SITE_HEADER": "utxoIQ admin",
    "SITE_SYMBOL": "currency_bitcoin",
    "SITE_URL": "/",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/favicon.svg")},
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda request: static("css/site.css")],
    "COLORS": {"primary": _ACCENT},
    "GLOBAL_CALLBACK": "utxoiq_admin.navigation.demo_banner",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": NAVIGATION},
}
