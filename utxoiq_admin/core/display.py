"""How values look on every page: times in UTC with their age, sizes, counts, badges, bars, stars."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """A length of time in its largest whole unit, rounded down: "12 s", "3 min", "5 h", "2 d"."""
    seconds = max(0, seconds)
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def duration(length: timedelta) -> str:
    """A length of time in its two largest units: "2 h 14 min", "41 s"."""
    seconds = max(0, int(length.total_seconds()))
    parts = []
    for size, unit in _STEPS:
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0 s"


def took(length: timedelta | None) -> str:
    """How long some work took: "40 ms", "1.2 s", "2 min 3 s"; an en dash while it is not known."""
    if length is None:
        return "–"
    seconds = length.total_seconds()
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else duration(length)


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long before `now` the moment was: "3 min ago"; "in 3 min" for the future; "never" for None."""
    if moment is None:
        return "never"
    seconds = ((now or timezone.now()) - moment).total_seconds()
    if seconds < -1:
        return f"in {span(-seconds)}"
    return f"{span(seconds)} ago"


def offset(seconds: float) -> str:
    """How far after (or, negative, before) some moment: "+42 s", "−3 min", "0 s"."""
    text = span(abs(seconds))
    return text if text == "0 s" else f"{'+' if seconds > 0 else '−'}{text}"


def first_line(text: str | None, *, otherwise: str, longest: int = 120) -> str:
    """The first line that says anything, cut; `otherwise` where none does: services write what they like."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), otherwise)[:longest]


def json_text(value: Any) -> str:
    """A value as JSON on one line, letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def utc(moment: datetime | None) -> str:
    """The moment as "2026-11-24 01:10:22" in UTC; an en dash for None."""
    return "–" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def moment(value: datetime | None) -> SafeString | str:
    """Time in UTC with its age beside it, for a table's cell."""
    if value is None:
        return "–"
    return format_html(
        '<time datetime="{}" class="moment">{} <span class="age">{}</span></time>',
        value.isoformat(),
        utc(value),
        ago(value),
    )


def count_text(count: int, *, exact: bool) -> str:
    """ "12,431" when exact, else "about 1.2 million"."""
    if exact:
        return f"{count:,}"
    for size, word in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if count >= size:
            return f"about {count / size:.3g} {word}"
    return f"about {count:,}"


def size_text(count: float) -> str:
    """Bytes in binary units: "9.4 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def quantity(value: float | None, unit: str) -> str:
    """A measured value with its unit, to three digits: "41.2 %", "182 ms", "9.4 MiB"."""
    if value is None:
        return "–"
    if unit == "bytes":
        return size_text(value)
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"
    word = {"percent": "%", "count": "", "per_second": "/s"}.get(unit, unit)
    return f"{text}{word}" if word == "/s" else f"{text} {word}".strip()


def badge(text: str, tone: str = "plain") -> SafeString:
    """A word in a coloured box. Tones: ok, info, warn, bad, plain; the word says the same as the colour."""
    return format_html('<span class="badge badge-{}">{}</span>', tone, text)


def bar(percent: float, tone: str = "info") -> SafeString:
    """A progress bar with its figure; `percent` is 0 to 100."""
    return format_html(
        '<span class="bar bar-{}"><span class="bar-track"><span class="bar-fill" style="width:{}%"></span></span>'
        '<span class="bar-text">{}&nbsp;%</span></span>',
        tone,
        round(max(0, min(100, percent)), 1),
        int(percent),
    )


def stars(rating: int | None) -> SafeString | str:
    """One to five stars, read out as "4 of 5"."""
    if rating is None:
        return "–"
    return format_html(
        '<span class="stars" role="img" aria-label="{} of 5">{}<span class="stars-off">{}</span></span>',
        rating,
        "★" * rating,
        "★" * (5 - rating),
    )


def facts(rows: list[tuple[str, object]]) -> SafeString:
    """A small table of names and values."""
    return format_html(
        '<table class="facts">{}</table>', format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", rows)
    )
