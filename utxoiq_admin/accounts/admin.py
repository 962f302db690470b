"""Pages for service tokens; those for people and groups are in `people`."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from utxoiq_admin.accounts import people  # noqa: F401  (registers its pages)
from utxoiq_admin.accounts.filters import TokenStateFilter
from utxoiq_admin.accounts.forms import TokenForm
from utxoiq_admin.accounts.models import ServiceToken, TokenRejection
from utxoiq_admin.accounts.services import token_create, token_revoke
from utxoiq_admin.accounts.usage import usage_of
from utxoiq_admin.core.admin import StrictChangeList
from utxoiq_admin.core.display import ago, badge, facts, moment, utc

TONES = {
    ServiceToken.State.ACTIVE: "ok",
    ServiceToken.State.EXPIRED: "warn",
    ServiceToken.State.REVOKED: "plain",
}


def _day(at: datetime) -> SafeString:
    """A day with its distance: tokens live for months, and the full moment is one hover away."""
    return format_html('<span title="{} UTC">{} ({})</span>', utc(at), utc(at)[:10], ago(at))


def _table(reasons: list[TokenRejection]) -> SafeString | str:
    if not reasons:
        return "None: every row that arrived with this token was stored."
    cells = [
        (moment(each.last_at), each.field, each.reason, each.about or "–", each.rows) for each in reasons
    ]
    row = '<tr><td>{}</td><td>{}</td><td class="grow">{}</td><td>{}</td><td class="num">{}</td></tr>'
    head = format_html_join(
        "", "<th>{}</th>", ((name,) for name in ("Last", "Field", "Reason", "Last of", "Rows"))
    )
    return format_html('<table class="plain"><tr>{}</tr>{}</table>', head, format_html_join("", row, cells))


@admin.register(ServiceToken)
class ServiceTokenAdmin(ModelAdmin):
    form = TokenForm
    list_display = ["name", "state_badge", "scope_badges", "last_used", "expires", "prefix", "created"]
    list_filter = [TokenStateFilter]
    search_fields = ["name", "prefix"]
    search_help_text = "Searches name and prefix."
    empty_text = "A platform service signs in to the API with a token. Make one with + at the top right."
    ordering = ["name"]
    actions_detail = ["revoke"]
    add_fieldsets = [(None, {"fields": ["name", "scopes", "lifetime"]})]
    fieldsets = [
        (None, {"fields": ["name", "prefix", "scope_badges", "state_badge"]}),
        ("Life", {"fields": ["created", "created_by", "expires", "last_used", "revoked", "revoked_by"]}),
        ("Metrics written", {"fields": ["written", "reasons"]}),
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[StrictChangeList]:
        return StrictChangeList

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """One way to save: the page that follows is the only one with the secret."""
        only = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**only, **(extra_context or {})})

    def get_fieldsets(self, request: HttpRequest, obj: ServiceToken | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: ServiceToken | None = None) -> Any:
        return [field for _, options in self.fieldsets for field in options["fields"]] if obj else []

    def has_change_permission(self, request: HttpRequest, obj: ServiceToken | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: ServiceToken | None = None) -> bool:
        return request.user.has_perm("accounts.view_servicetoken") or self.has_revoke_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: ServiceToken | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("accounts.change_servicetoken")

    def save_model(self, request: HttpRequest, obj: ServiceToken, form: TokenForm, change: bool) -> None:
        made, obj.shown_once = token_create(  # type: ignore[attr-defined]
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expires=form.expires_at(),
            created_by=request.user.get_username(),
        )
        obj.__dict__.update({field.attname: getattr(made, field.attname) for field in made._meta.fields})

    def response_add(
        self, request: HttpRequest, obj: ServiceToken, post_url_continue: Any = None
    ) -> HttpResponse:
        """The secret's only appearance: in this answer, which nobody keeps; no URL, cookie or log has it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Token made",
            "token": obj,
            "secret": obj.shown_once,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "accounts/token_made.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        token = self.get_object(request, str(object_id))  # None for what is no id at all
        return super().get_actions_detail(request, object_id) if token and not token.revoked_at else []

    @action(
        description="Revoke…",
        url_path="revoke",
        permissions=["revoke"],  # a permission's full name here would make Django's checks query the database
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        token = self.get_object(request, object_id)
        if token is None:
            raise Http404
        if request.method == "POST":
            return self._revoked(request, token)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Revoke {token.name}?",
            "token": token,
        }
        return TemplateResponse(request, "accounts/token_revoke.html", context)

    def _revoked(self, request: HttpRequest, token: ServiceToken) -> HttpResponse:
        if token_revoke(token=token, by=request.user.get_username()):
            self.log_change(request, token, "Revoked.")
            self.message_user(
                request, f"{token.name} is revoked: it opens nothing any more.", messages.SUCCESS
            )
        else:
            self.message_user(
                request, f"{token.name} was revoked already; nothing was changed.", messages.WARNING
            )
        return HttpResponseRedirect(reverse("admin:accounts_servicetoken_change", args=[token.pk]))

    @display(description="Scopes")
    def scope_badges(self, token: ServiceToken) -> SafeString:
        return format_html_join(" ", "{}", ((badge(scope),) for scope in token.scopes))

    @display(description="State")
    def state_badge(self, token: ServiceToken) -> SafeString:
        state = token.state()
        return badge(state.value, TONES[state])

    @display(description="Created", ordering="created_at")
    def created(self, token: ServiceToken) -> str:
        return _day(token.created_at)

    @display(description="Expires", ordering="expires_at")
    def expires(self, token: ServiceToken) -> str:
        return _day(token.expires_at) if token.expires_at else "no expiry"

    @display(description="Last used", ordering="last_used_at")
    def last_used(self, token: ServiceToken) -> str:
        return moment(token.last_used_at) if token.last_used_at else "never"

    @display(description="Last 24 hours")
    def written(self, token: ServiceToken) -> SafeString:
        usage = usage_of(token=token, now=timezone.now())
        counts = [(name, f"{getattr(usage, name):,} rows") for name in ("accepted", "duplicate", "rejected")]
        return facts([*counts, ("counted since", moment(usage.since))])

    @display(description="Last reasons for rejection")
    def reasons(self, token: ServiceToken) -> SafeString | str:
        """Without it nobody could say why a metric does not show: the reason stands only in an answer long gone."""
        return _table(usage_of(token=token, now=timezone.now()).reasons)

    @display(description="Revoked")
    def revoked(self, token: ServiceToken) -> str:
        return moment(token.revoked_at)
