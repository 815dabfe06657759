"""Every window holds enough scrapes for an increase, on every engine, at the longest interval that is supported."""

from __future__ import annotations

import re

import pytest
import yaml

from alerts.deployment import LONGEST_SCRAPE_SECONDS, OLDEST_PROMETHEUS, OLDEST_VMALERT
from alerts.promql import Duration
from stack.layout import ROOT
from tests.alerts.promtool import RENDERED, RULES

SCRAPES = 4
"""Prometheus 3 leaves the left edge out: three samples for certain, whose two steps are told apart from a restart."""

COUNTED = "from scrape to scrape, so that few of them make no event two"
SHORTER = {
    ("AgentAllToolCallsFailing", "1m"): "for scrapes of half a minute and less: with rarer ones it says nothing",
    ("AgentAllToolCallsFailing", "2m"): "two scrapes show that there was no success, and what failed between them",
    ("agent_tool:agent_tool_calls_error:last1m", "1m"): COUNTED,
    ("agent_tool:agent_tool_calls_error:last2m", "2m"): COUNTED,
    ("AgentGone", "2m"): "asks whether there was a scrape, and one is enough",
}
"""Alert and window that is shorter on purpose → why it may be."""


def windows(expr: str) -> set[str]:
    """The ranges that a query looks back over; a subquery's own steps are none."""
    return set(re.findall(r"\[(\w+)[]:]", expr))


def ranges() -> set[tuple[str, str]]:
    """Alert or record → range, of every committed rule and of thresholds.yml."""
    found = set()
    for name, item in RENDERED.items():
        tuned = [item.numbers.window, *(look.window for look in item.numbers.looks.values())]
        found |= {(name, str(window)) for window in tuned if window}
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                found |= {(rule.get("alert") or rule["record"], window) for window in windows(rule["expr"])}
    return found


def test_every_window_holds_four_scrapes_or_says_why_not() -> None:
    """At the longest interval; one that became longer needs no reason any more."""
    short = {one for one in ranges() if Duration.parse(one[1]).seconds < SCRAPES * LONGEST_SCRAPE_SECONDS}
    assert short == SHORTER.keys()


@pytest.mark.parametrize("page", ["README.md", "docs/operate.md"])
def test_the_pages_say_what_is_supported(page: str) -> None:
    """How often to scrape at least, and which programs load the rules."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert f"every {LONGEST_SCRAPE_SECONDS} seconds at least" in text
    assert f"Prometheus {OLDEST_PROMETHEUS}" in text
    assert f"vmalert {OLDEST_VMALERT}" in text
