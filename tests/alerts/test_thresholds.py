"""Bad numbers are refused with file, line, field and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerts import thresholds
from alerts.promql import Duration, PromqlError, fill
from alerts.rules import render
from alerts.thresholds import FILE, ThresholdError

GOOD = FILE.read_text(encoding="utf-8")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The committed file with one slip in it."""
    assert old in GOOD
    path = tmp_path / "thresholds.yml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    return path


def line_of(path: Path, text: str) -> int:
    """The number of the first line that holds the text."""
    return next(i for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("window: 4m", "windw: 4m", "windw", r"AgentAllToolCallsFailing\.windw: unknown field; the known ones are"),
        ("value: 0.95", "value: 95", "value: 95", r"threshold\.value: a ratio lies between 0 and 1, 95 does not"),
        ("value: 0.95", "value: high", "value: high", r"threshold\.value: 'high' is not a number"),
        ("unit: ratio", "unit: percent", "unit: percent", r"threshold\.unit: 'percent' is not one of ratio, seconds"),
        ("window: 5m", "window: 5 min", "5 min", r"window: '5 min' is not a valid duration; write it like 90s, 5m"),
        ("severity: critical", "severity: urgent", "urgent", r"severity: 'urgent' is not one of critical, warning"),
        ("evidence: {value: 5,", "evidence: {value: -5,", "value: -5", r"evidence\.value: -5 is negative"),
        ("alerts:", "alrts:", "alrts:", r"alrts: unknown field"),
        ("    window: 5m\n", "    window: 5m\n    window: 6m\n", "window: 6m", r"window: is given twice"),
    ],
)
def test_a_slip_is_named_by_line_and_field(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    """An operator who tunes at night reads where and what, not a traceback."""
    path = changed(tmp_path, old, new)
    with pytest.raises(ThresholdError, match=message) as raised:
        thresholds.load(path)
    assert str(raised.value).startswith(f"thresholds.yml:{line_of(path, where)}: ")


def test_a_severity_that_is_none_of_the_four_is_refused_for_a_single_agent_as_well(tmp_path: Path) -> None:
    """A route that does not exist would swallow the page."""
    path = tmp_path / "mine.yml"
    path.write_text("agents:\n  billing_bot:\n    AgentLatencySpike:\n      severity: urgent\n", encoding="utf-8")
    with pytest.raises(
        ThresholdError,
        match=r"^mine\.yml:4: agents\.billing_bot\.AgentLatencySpike\.severity: 'urgent' is not one of critical",
    ):
        thresholds.load(overrides=path)


def test_a_threshold_that_is_no_bucket_boundary_is_refused_with_the_boundaries(tmp_path: Path) -> None:
    """Between buckets a breach would be interpolated, not counted."""
    path = changed(tmp_path, "threshold: {value: 5, unit: seconds", "threshold: {value: 7, unit: seconds")
    with pytest.raises(
        ThresholdError, match=r"thresholds\.yml:\d+: threshold\.value: 7 is not a bucket boundary of .*5, 10"
    ):
        render(thresholds.load(path))


def test_a_number_that_the_expression_needs_must_be_there(tmp_path: Path) -> None:
    """Deleting the window of an alert cannot make it look at nothing."""
    path = changed(tmp_path, "    window: 4m", "    # 4m")
    with pytest.raises(ThresholdError, match="window is missing, the alert's expression needs it"):
        render(thresholds.load(path))


def test_a_threshold_that_no_rule_compares_with_is_refused(tmp_path: Path) -> None:
    """It would change the words only: the limit of AgentSessionLooping is counted in the agent."""
    block = "  AgentSessionLooping:\n    window: 10m\n"
    text = re.sub(r"(AgentSessionLooping:).*", r"\1", GOOD)
    assert block in text
    path = tmp_path / "thresholds.yml"
    more = "    threshold: {value: 20, unit: count, why: more}\n"
    path.write_text(text.replace(block, block + more), encoding="utf-8")
    with pytest.raises(ThresholdError, match="threshold is given, but the alert's expression does not use it"):
        render(thresholds.load(path))


def test_an_alert_without_numbers_and_numbers_without_an_alert_are_refused(tmp_path: Path) -> None:
    """A renamed block would silently drop an alert."""
    path = changed(tmp_path, "  AgentSessionLooping:", "  AgentSessionLoopng:")
    with pytest.raises(
        ThresholdError, match=r"thresholds\.yml:\d+: AgentSessionLoopng is not an alert of alerts/catalog\.py"
    ):
        render(thresholds.load(path))


def test_text_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    """The parser's own position is kept."""
    path = changed(tmp_path, "alerts:", "alerts: [")
    with pytest.raises(ThresholdError, match=r"thresholds\.yml:\d+: the file: is not valid YAML: "):
        thresholds.load(path)


def test_a_changed_number_moves_rule_and_description_together(tmp_path: Path) -> None:
    """One place to change, everything follows."""
    path = changed(tmp_path, "value: 0.95", "value: 0.9")
    item = next(item for item in render(thresholds.load(path)) if item.alert.name == "AgentToolSuccessRateLow")
    assert "> (1 - 0.9) *" in item.expr
    assert "90 % success is promised" in item.description
    assert item.fires_when == "a tool's success rate < 90 %"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604800), ("1w", 604800)])
def test_durations_read_as_prometheus_reads_them(text: str, seconds: float) -> None:
    """And are written back in the largest whole unit."""
    assert Duration.parse(text).seconds == seconds


def test_a_template_cannot_name_a_metric_or_label_that_does_not_exist() -> None:
    """A Python error at once, rather than an empty panel later."""
    with pytest.raises(PromqlError, match="has no TOOL_CALL"):
        fill("<tool_call>")
    with pytest.raises(PromqlError, match=r"agent_tool_calls_total has no label 'result' \(it has agent, "):
        fill('<tool_calls>{result="success"}')
    with pytest.raises(PromqlError, match="window given, but the template has no such hole"):
        fill("<tool_calls>", window="5m")
    with pytest.raises(PromqlError, match=r"a histogram has \.bucket, \.sum and \.count"):
        fill("<tool_duration.p95>")
