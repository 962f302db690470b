"""The display functions as template filters; a builtin of every template."""

from typing import Any

from django import template

from utxoiq_admin.core import display

register = template.Library()

register.filter("ago", display.ago)
register.filter("utc", display.utc)
register.filter("offset", display.offset)
register.filter("json", display.json_text)
register.filter("moment", display.moment)
register.filter("span", display.span)
register.filter("duration", display.duration)
register.filter("took", display.took)
register.filter("size", display.size_text)
register.filter("quantity", display.quantity)
register.filter("stars", display.stars)


@register.filter
def bar(percent: float, tone: str = "info") -> str:
    return display.bar(percent, tone)


@register.filter
def badge(text: str, tone: str = "plain") -> str:
    return display.badge(text, tone)


@register.filter
def filter_choices(spec: Any, changelist: Any) -> list[dict[str, Any]]:
    """The choices of an admin list filter, each with the address that chooses it."""
    return list(spec.choices(changelist))


@register.filter
def blocks(height: str | int) -> str:
    """A block height with its thousands apart: "812,000"."""
    return f"{int(height):,}"
