"""A small line chart as inline SVG, for a table's cell."""

from collections.abc import Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 96, 20


def sparkline(values: Sequence[float | None], *, label: str) -> SafeString | str:
    """The values from left to right between zero and their highest; None is a gap. Empty without any value."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    top, low = max([*known, 0.0]), min([*known, 0.0])
    height = (top - low) or 1.0
    steps = max(1, len(values) - 1)
    path, pen = [], "M"
    for index, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x, y = WIDTH * index / steps, HEIGHT - 1 - (HEIGHT - 2) * (value - low) / height
        path.append(f"{pen}{x:.1f} {y:.1f}" + (" h.01" if pen == "M" else ""))
        pen = "L"
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        '<path d="{}"/></svg>',
        WIDTH, HEIGHT, WIDTH, HEIGHT, label, "".join(path),
    )  # fmt: skip
