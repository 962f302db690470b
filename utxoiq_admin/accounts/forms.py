"""Forms of the pages for people, groups and tokens."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.forms import UserChangeForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from utxoiq_admin.accounts.models import SCOPES, ServiceToken

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "1 year", "never": "no expiry"}


class TokenForm(forms.ModelForm):
    """A new token: name, scopes as boxes, how long it lasts."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope} – {meaning}") for scope, meaning in SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Give what the service needs and no more.",
    )
    lifetime = forms.ChoiceField(
        choices=list(LIFETIMES.items()), initial="365", widget=UnfoldAdminSelectWidget, label="Expires after"
    )

    class Meta:
        model = ServiceToken
        fields = ["name", "scopes"]

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return None if days == "never" else timezone.now() + timedelta(days=int(days))


class PersonForm(UserChangeForm):
    """A person's account. The site must not lose the administrator who is at work on it."""

    acting: User  # set by the admin: who has the form open

    class Meta(UserChangeForm.Meta):
        model = User
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.instance.pk == self.acting.pk and self.acting.is_superuser:
            for field in ("is_active", "is_superuser"):
                if field in cleaned and not cleaned[field]:
                    self.add_error(
                        field,
                        ValidationError("You cannot take this from yourself; another administrator can."),
                    )
        return cleaned
