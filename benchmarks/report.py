"""The table that `make bench` prints: what, ours, the limit or peer, their ratio."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """Lines in the order measured; a ratio above 1 misses its goal."""

    lines: list[tuple[str, float, float, str]] = field(default_factory=list)

    def add(self, what: str, ours: float, limit: float, unit: str = "ms") -> None:
        self.lines.append((what, ours, limit, unit))
        print(f"  {what}: {ours:,.1f} {unit}", flush=True)

    def print(self) -> None:
        print(f"\n{'work':<64}{'ours':>12}{'limit':>12}{'ratio':>8}")
        for what, ours, limit, unit in self.lines:
            verdict = "" if ours <= limit else "  missed"
            print(f"{what:<64}{ours:>9,.1f} {unit:<2}{limit:>9,.0f} {unit:<2}{ours / limit:>8.2f}{verdict}")
