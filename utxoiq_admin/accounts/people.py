"""Pages for people and groups, in place of Django's own."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ManyToManyField, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelect2MultipleWidget

from utxoiq_admin.accounts import privileges
from utxoiq_admin.accounts.forms import PersonForm
from utxoiq_admin.core.admin import StrictChangeList
from utxoiq_admin.core.display import badge, moment

admin.site.unregister(User)
admin.site.unregister(Group)


class RightsAdmin(ModelAdmin):
    """Offers the groups and permissions that the person at work may give, and no others."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[StrictChangeList]:
        return StrictChangeList

    def formfield_for_manytomany(self, db_field: ManyToManyField, request: Any = None, **kwargs: Any) -> Any:
        if db_field.related_model is Group:
            kwargs["queryset"] = privileges.grantable_groups(request.user)
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
            return super().formfield_for_manytomany(db_field, request, **kwargs)
        kwargs["queryset"] = privileges.grantable_permissions(request.user)
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        field.widget, field.help_text = UnfoldAdminSelect2MultipleWidget(choices=field.choices), ""
        return field


@admin.register(User)
class PersonAdmin(RightsAdmin, DjangoUserAdmin):
    """People. `is_staff` plays no part here: whoever may sign in sees what their groups grant."""

    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "email", "group_badges", "kind", "signed_in"]
    list_filter = ["is_active", "is_superuser", "groups"]
    search_help_text = "Searches user name, first and last name, and e-mail."
    add_fieldsets = [(None, {"fields": ["username", "password1", "password2"]})]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Rights", {"fields": ["is_active", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["signed_in", "joined"]}),
    ]
    readonly_fields = ["signed_in", "joined"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
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

    @display(description="Joined")
    def joined(self, user: User) -> str:
        return moment(user.date_joined)


@admin.register(Group)
class GroupAdmin(RightsAdmin, DjangoGroupAdmin):
    """Groups: `staff`, `moderators`, `ops` regain what they need after each update; more may be added."""

    list_display = ["name", "people", "rights"]
    search_help_text = "Searches the name."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("user_set", "permissions")

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or privileges.may_manage_group(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or privileges.may_manage_group(request.user, obj))

    @display(description="People")
    def people(self, group: Group) -> int:
        return len(group.user_set.all())

    @display(description="Permissions")
    def rights(self, group: Group) -> int:
        return len(group.permissions.all())
