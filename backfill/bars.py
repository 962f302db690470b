"""Coverage as a bar: one SVG from genesis to the tip, in which a single missing block can still be seen."""

from collections.abc import Iterable

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from backfill.coverage import Coverage
from backfill.fields import BlockRange

WIDTH, HEIGHT = 1000, 24


def bar_of(one: Coverage) -> SafeString:
    """The worst is drawn last, and nothing narrower than one of WIDTH strips."""
    layers = (("done", one.done), ("work", one.at_work), ("missing", one.missing), ("failed", one.failed))
    rects = format_html_join(
        "",
        '<rect class="cover-{}" x="{}" width="{}" height="{}"/>',
        (
            (kind, first, last - first, HEIGHT)
            for kind, ranges in layers
            for first, last in _strips(ranges, one.tip + 1)
        ),
    )
    return format_html(
        '<svg class="cover" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="coverage of {}">{}</svg>',
        WIDTH, HEIGHT, one.job_type, rects,
    )  # fmt: skip


def _strips(ranges: Iterable[BlockRange], blocks: int) -> list[tuple[int, int]]:
    """The ranges as strips of the bar, those that touch joined, so that thousands of pieces stay a picture."""
    strips: list[tuple[int, int]] = []
    for first, last in ranges:
        left = first * WIDTH // blocks
        right = max(left + 1, (last + 1) * WIDTH // blocks)
        if strips and left <= strips[-1][1]:
            strips[-1] = (strips[-1][0], max(right, strips[-1][1]))
        else:
            strips.append((left, right))
    return strips
