"""Pages for people, groups and service tokens."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ManyToManyField, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from utxoiq_admin.accounts import privileges
from utxoiq_admin.accounts.filters import TokenStateFilter
from utxoiq_admin.accounts.forms import PersonForm, TokenForm
from utxoiq_admin.accounts.models import ServiceToken
from utxoiq_admin.accounts.services import token_create, token_revoke
from utxoiq_admin.core.display import badge, moment

admin.site.unregister(User)
admin.site.unregister(Group)

TONES = {
    ServiceToken.State.ACTIVE: "ok",
    ServiceToken.State.EXPIRED: "warn",
    ServiceToken.State.REVOKED: "plain",
}


@admin.register(ServiceToken)
class ServiceTokenAdmin(ModelAdmin):
    form = TokenForm
    list_display = ["name", "prefix", "scope_badges", "created", "expires", "last_used", "state_badge"]
    list_filter = [TokenStateFilter]
    search_fields = ["name", "prefix"]
    search_help_text = "Searches name and prefix."
    ordering = ["name"]
    actions_detail = ["revoke"]
    add_fieldsets = [(None, {"fields": ["name", "scopes", "lifetime"]})]
    fieldsets = [
        (None, {"fields": ["name", "prefix", "scope_badges", "state_badge"]}),
        ("Life", {"fields": ["created", "created_by", "expires", "last_used", "revoked", "revoked_by"]}),
    ]

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
        token = ServiceToken.objects.filter(pk=object_id, revoked_at=None).exists() if object_id else False
        return super().get_actions_detail(request, object_id) if token else []

    @action(
        description="Revoke…",
        url_path="revoke",
        permissions=["revoke"],  # a permission's full name here would make Django's checks query the database
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        token = get_object_or_404(ServiceToken, pk=object_id)
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
        return moment(token.created_at)

    @display(description="Expires", ordering="expires_at")
    def expires(self, token: ServiceToken) -> str:
        return moment(token.expires_at) if token.expires_at else "no expiry"

    @display(description="Last used", ordering="last_used_at")
    def last_used(self, token: ServiceToken) -> str:
        return moment(token.last_used_at) if token.last_used_at else "never"

    @display(description="Revoked")
    def revoked(self, token: ServiceToken) -> str:
        return moment(token.revoked_at)


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, ModelAdmin):
    """People. `is_staff` plays no part here: whoever may sign in sees what their groups grant."""

    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "email", "group_badges", "kind", "signed_in"]
    list_filter = ["is_active", "is_superuser", "groups"]
    search_help_text = "Searches user name, first and last name, and e-mail."
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Rights", {"fields": ["is_active", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    readonly_fields = ["last_login", "date_joined"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form = super().get_form(request, obj, change, **kwargs)
        form.acting = request.user  # type: ignore[attr-defined]
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        own = [] if request.user.is_superuser else ["is_superuser"]
        return [*super().get_readonly_fields(request, obj), *own]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or privileges.may_manage_user(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Never: what a person decided names them. An account that is not active opens nothing."""
        return False

    def formfield_for_manytomany(self, db_field: ManyToManyField, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["queryset"] = privileges.grantable_groups(request.user)
        if db_field.name == "user_permissions":
            kwargs["queryset"] = privileges.grantable_permissions(request.user)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description="Name", ordering="last_name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "–"

    @display(description="Groups")
    def group_badges(self, user: User) -> SafeString | str:
        return format_html_join(" ", "{}", ((badge(group.name),) for group in user.groups.all())) or "–"

    @display(description="Account")
    def kind(self, user: User) -> SafeString:
        if not user.is_active:
            return badge("not active", "plain")
        return badge("administrator", "info") if user.is_superuser else badge("active", "ok")

    @display(description="Last signed in", ordering="last_login")
    def signed_in(self, user: User) -> str:
        return moment(user.last_login) if user.last_login else "never"


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Groups: `staff`, `moderators`, `ops` regain what they need after each update; more may be added."""

    list_display = ["name", "people", "rights"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("user_set", "permissions")

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or privileges.may_manage_group(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or privileges.may_manage_group(request.user, obj))

    def formfield_for_manytomany(self, db_field: ManyToManyField, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "permissions":
            kwargs["queryset"] = privileges.grantable_permissions(request.user)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description="People")
    def people(self, group: Group) -> int:
        return len(group.user_set.all())

    @display(description="Permissions")
    def rights(self, group: Group) -> int:
        return len(group.permissions.all())
