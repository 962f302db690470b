"""What people fill in to start a job or to act on some."""

from django import forms

from backfill.models import BackfillJob
from backfill.services import MAX_BLOCK


class StartForm(forms.Form):
    """A range to look at before it is started."""

    type = forms.CharField(max_length=50, label="Type")
    first = forms.IntegerField(min_value=0, max_value=MAX_BLOCK, label="First block")
    last = forms.IntegerField(min_value=0, max_value=MAX_BLOCK, label="Last block")
    why = forms.CharField(max_length=1000, required=False, label="Why")

    def clean(self) -> dict[str, object]:
        values = super().clean() or {}
        if "first" in values and "last" in values and values["last"] < values["first"]:
            self.add_error("last", "The range ends before it starts.")
        return values


class ChosenForm(forms.Form):
    """Jobs that were chosen, and why."""

    job = forms.ModelMultipleChoiceField(BackfillJob.objects.all())
    why = forms.CharField(max_length=1000, required=False)
    overlap = forms.BooleanField(required=False)
