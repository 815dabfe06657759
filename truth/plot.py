"""The curve as a picture: minutes to find against false pages, a line for each volume."""

from __future__ import annotations

import math
from collections.abc import Iterable

from truth.curve import Point

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 110, 40, 60
COLOURS = ("#4269d0", "#c2571a", "#2a7f4f", "#a4378c")
FEWEST, MOST = 0.3, 60.0
"""Ends of the axis of false pages; none at all is drawn at the first."""
SHORTEST, LONGEST = 2.0, 400.0


def svg(points: Iterable[Point]) -> str:
    """The picture; the confidence in force is a full dot, the others are rings."""
    lines: dict[float, list[Point]] = {}
    for point in points:
        lines.setdefault(point.volume, []).append(point)
    body = [*_axes()]
    for colour, (volume, line) in zip(COLOURS, lines.items(), strict=False):
        there = [
            (_x(point.false_in_four_weeks), _y(point.minutes), point) for point in line if point.minutes < math.inf
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in there)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, point in sorted(there, key=lambda one: one[2].factor == 1):
            fill = colour if point.factor == 1 else "#fff"
            body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="2"/>')
        if there:
            x, y = max(one[:2] for one in there)
            body.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}" style="fill:{colour}">{volume:g} calls/h</text>')
    style = "text{font:13px system-ui,sans-serif;fill:#333}.grid{stroke:#ddd}.title{font-weight:600}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>Minutes to find against false pages</title><style>{style}</style>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _axes() -> Iterable[str]:
    yield f'<text class="title" x="{LEFT}" y="22">One tool fails in a fifth of its calls: minutes until the page</text>'
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for false in (0, 0.5, 1, 2, 5, 10, 20, 50):
        x = _x(false)
        words = f"{false:g}"
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{words}</text>'
    for minutes in (2, 5, 10, 20, 50, 100, 200, 400):
        y = _y(minutes)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{minutes:g}</text>'
    middle = (LEFT + right) / 2
    yield (
        f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">'
        "false pages in 4 weeks, at four fifths of the promised bad share</text>"
    )


def _x(false: float) -> float:
    return LEFT + _part(max(false, FEWEST), FEWEST, MOST) * (WIDTH - LEFT - RIGHT)


def _y(minutes: float) -> float:
    return HEIGHT - BOTTOM - _part(minutes, SHORTEST, LONGEST) * (HEIGHT - TOP - BOTTOM)


def _part(value: float, least: float, most: float) -> float:
    return math.log(value / least) / math.log(most / least)
