"""How cost grows, as a picture: a panel each, with equal steps along its axis and zero at its foot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from tests.bench.growth import Growth

PANEL, HEIGHT = 320, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 34, 74, 46
COLOURS = ("#4269d0", "#c2571a", "#2a7f4f")
STYLE = "text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#ddd}.title{font-weight:600}"


def svg(panels: Sequence[Growth]) -> str:
    """The panels side by side."""
    body = "".join(
        f'<g transform="translate({place * PANEL} 0)">{"".join(_panel(one))}</g>' for place, one in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {PANEL * len(panels)} {HEIGHT}" role="img">'
        f"<title>How the cost grows</title><style>{STYLE}</style>"
        f'<rect width="{PANEL * len(panels)}" height="{HEIGHT}" fill="#fff"/>{body}</svg>\n'
    )


def _panel(growth: Growth) -> Iterator[str]:
    numbers = list(next(iter(growth.lines.values())))
    most = max(cost for line in growth.lines.values() for cost in line.values()) or 1.0
    right, bottom = PANEL - RIGHT, HEIGHT - BOTTOM

    def x(place: int) -> float:
        return LEFT + (right - LEFT) * place / (len(numbers) - 1)

    def y(cost: float) -> float:
        return bottom - (bottom - TOP) * max(cost, 0.0) / most

    yield f'<text class="title" x="{LEFT}" y="18">{escape(growth.title)}, {escape(growth.unit)}</text>'
    for share in (0, 0.5, 1):
        at = y(most * share)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{most * share:.3g}</text>'
    for place, number in enumerate(numbers):
        yield f'<text x="{x(place):.1f}" y="{bottom + 18}" text-anchor="middle">{number:,}</text>'
    yield f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(growth.per)}</text>'
    for row, (colour, (name, line)) in enumerate(zip(COLOURS, growth.lines.items(), strict=False)):
        points = [(x(place), y(line[number])) for place, number in enumerate(numbers)]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for across, down in points:
            yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>'
        yield f'<text x="{LEFT}" y="{33 + 13 * row}" style="fill:{colour}">{escape(name)}</text>'
