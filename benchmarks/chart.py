"""A bar chart as SVG: medians, with the middle half of the samples as a line."""

from __future__ import annotations

from html import escape
from statistics import quantiles

_LEFT, _WIDTH, _BAR, _GAP, _RIGHT = 230, 420, 16, 8, 90
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.bar{fill:#8ab4d8}.ours{fill:#2f6fa7}"
    ".range{stroke:#222;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#ccc}"
    ".range{stroke:#eee}}"
)


def bars(title: str, unit: str, rows: list[tuple[str, list[float]]]) -> str:
    """One bar a row of (name, samples), which has at least one sample."""
    figures = [(name, *_spread(samples)) for name, samples in rows]
    scale = _WIDTH / (max(high for _name, _low, _middle, high in figures) or 1)
    height = 30 + len(rows) * (_BAR + _GAP)
    box = f"0 0 {_LEFT + _WIDTH + _RIGHT} {height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="4" y="16">{escape(title)} ({escape(unit)})</text>',
    ]
    for number, (name, low, middle, high) in enumerate(figures):
        top = 28 + number * (_BAR + _GAP)
        base = top + _BAR * 0.78
        kind = "ours" if name.startswith("isolate") else "bar"
        ends = f'x1="{_LEFT + low * scale:.1f}" x2="{_LEFT + high * scale:.1f}"'
        line = f'y1="{top + _BAR / 2}" y2="{top + _BAR / 2}"'
        parts += [
            f'<text x="{_LEFT - 8}" y="{base}" text-anchor="end">{escape(name)}</text>',
            (
                f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{middle * scale:.1f}" '
                f'height="{_BAR}"/>'
            ),
            f'<line class="range" {ends} {line}/>',
            f'<text x="{_LEFT + high * scale + 6:.1f}" y="{base}">{middle:.3g}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def _spread(samples: list[float]) -> tuple[float, float, float]:
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return low, middle, high
