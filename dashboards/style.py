"""House style: units, colours, sizes and how lines look, the same on every dashboard.

Green is good, red is bad, amber is in between; blue has no opinion. A dashed red line is an alert's limit. A gap means
no data: nothing is interpolated. Legends sit below and show the last value.
"""

from __future__ import annotations

# Grafana's names of units.
RATIO = "percentunit"
SECONDS = "s"
USD = "currencyUSD"
COUNT = "short"
TOKENS = "short"  # 50 K; Grafana has no unit for them
FACTOR = "suffix: ×"
BYTES = "decbytes"
CORES = "suffix: cores"
AGO = "dateTimeFromNow"
PER_MINUTE = "suffix:/min"
PER_HOUR = "suffix:/h"

UNIT_OF_THRESHOLD = {
    "ratio": RATIO,
    "seconds": SECONDS,
    "count": COUNT,
    "usd": USD,
    "tokens": TOKENS,
    "factor": FACTOR,
    "days": SECONDS,
}
"""The panel unit that fits a unit of thresholds.yml."""

SIZE_OF_THRESHOLD = {"days": 86400.0}
"""How many of the panel's units one of thresholds.yml is, where that is not 1. Grafana writes 86400 s as 1 day."""

GREEN, AMBER, RED = "#56a64b", "#ff780a", "#e02f44"
BLUE, PURPLE, YELLOW, GREY = "#3274d9", "#a352cc", "#e0b400", "#808a94"

BESIDE_A_LIMIT = (BLUE, PURPLE, GREY)
"""Of the first, second… query of a panel whose limit is red."""

COLOURS = {
    "completed": GREEN, "fallback": AMBER, "failed": RED, "abandoned": GREY,
    "critical": RED, "warning": AMBER, "info": BLUE, "none": GREY,
    "input": BLUE, "cache_read": GREEN, "cache_write_5m": AMBER, "cache_write_1h": YELLOW, "output": PURPLE,
    "success": GREEN, "error": AMBER, "up": GREEN, "down": RED, "wrong_answer": RED,
    "too_slow": AMBER, "tone": PURPLE, "incomplete": YELLOW,
    "hit": GREEN, "miss": BLUE, "expired": GREY, "bypass": YELLOW,
    "approved": GREEN, "edited": YELLOW, "rejected": RED,
    "auto": GREEN, "approval": BLUE, "suggested": GREY, "denied": RED,
    "aligned": GREEN, "misaligned": RED, "ok": GREEN, "problem": RED, "promoted": GREEN, "demoted": RED,
    "passed": GREEN, "past the limit": RED,
}  # fmt: skip  # one label a line
"""What a colour means, by the name of the series or the value in a cell; other series take the palette."""

GRID_WIDTH = 24
STAT_HEIGHT = 4
HEADLINE_HEIGHT = 5
CHART_HEIGHT = 8
"""Grid rows of Grafana, 38 pixels each."""

LINE_WIDTH = 2
LIMIT_WIDTH = 2
LIMIT_DASH = [10, 10]
FAINT_FILL, STACKED_FILL, BAR_FILL = 8, 70, 40
"""Per cent of opacity below a line, in a stack, and of bars beside lines. Stacks have no outline: it would show parts
that are 0."""

RATE_STEP = "1m"
"""The least step of rates, and so four minutes their least window: on shorter ones a quiet agent is a row of spikes."""

HEATMAP_SCHEME = "Blues"
REFRESH = {"now-1h": "10s", "now-24h": "1m", "now-7d": "5m", "now-28d": "15m"}
"""How often a dashboard is drawn again, by the time range that it opens with."""
