"""The scenarios judged in their turn: a rule with a number moved, or an aggregation exchanged, must fail one of them.

A scenario far from the threshold proves little: it would pass with half or twice the number as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import promql
from alerts.catalog import RECORDS
from alerts.deployment import DEMO
from alerts.promql import Duration
from alerts.rules import RenderedAlert, holes
from alerts.thresholds import Numbers, Threshold
from tests import sample
from tests.alerts import notation, promtool
from tests.alerts.promtool import RENDERED, scenarios

pytestmark = [pytest.mark.mutation, pytest.mark.timeout(1800)]  # weeks are replayed for each mutant

CONSTANTS = (
    ("AgentAllToolCallsFailing", " >= 2) > 1", (" >= 1) > 1", " >= 2) > 0", " >= 2) > 2")),
    ("AgentAllToolCallsFailing", ") > 0) == 1", (") > 0) >= 1", ") > 0) == 2")),
    ("AgentToolLatencyHigh", "> 0.05 *", ("> 0.04 *", "> 0.06 *")),
    ("AgentLatencySpike", "> 0.05 *", ("> 0.04 *", "> 0.06 *")),
    ("AgentLatencySpike", "4 * sum", ("2 * sum", "8 * sum")),
    ("AgentLatencySpike", "2 * count", ("1 * count", "4 * count")),
    ("AgentToolLatencyHigh", "2 * count", ("1 * count", "4 * count")),
    ("AgentTaskCompletionLow", "4 * sum", ("2 * sum", "8 * sum")),
    ("AgentToolSuccessRateLow", ":lately >= 2", (":lately >= 1", ":lately >= 3")),
    ("AgentToolSuccessRateLow", ":slow / 2", (":slow / 1", ":slow / 4")),
    ("AgentToolSuccessRateLow", ":slow / 3", (":slow / 2", ":slow / 6")),
    ("AgentGone", "[2m]", ("[1m]", "[4m]")),
    ("AgentCrashLooping", "< 540", ("< 430", "< 650")),
    ("AgentNoTraffic", "floor(", ("(", "ceil(", "round(")),
    ("AgentNoTraffic", "2 / 3", ("1 / 2", "4 / 5")),
    ("AgentNoTraffic", "> 0.75", ("> 0.25", "> 1.25")),
    ("AgentNoTraffic", "0.5,", ("0,", "1,")),
    ("AgentNoTraffic", "lately < 1 or", ("lately < 0 or", "lately < 3 or")),
    ("AgentFeedbackSilent", ">= 5", (">= 4", ">= 6")),
    ("AgentFeedbackSilent", "[7d:1h]", ("[5d:1h]", "[10d:1h]")),
    ("AgentToolNewErrorType", "[7d:10m]", ("[5d:10m]", "[9d:10m]")),
    ("AgentToolNewErrorType", "offset 1d", ("offset 18h", "offset 30h")),
    ("AgentToolNewErrorType", "[28d:7d]", ("[14d:7d]",)),
    ("AgentToolNewErrorType", "[21d:7d]", ("[7d:7d]",)),
    ("AgentToolNewErrorType", "/ 2", ("/ 1", "/ 4")),
    ("AgentTurnsIncreasing", "[1d:5m]", ("[12h:5m]", "[2d:5m]")),
    ("AgentCostSpike", "quantile by (agent) (0.5,", ("quantile by (agent) (0,", "quantile by (agent) (1,")),
    ("AgentCostSpike", ">= 3", (">= 2", ">= 4")),
    ("AgentCostSpike", "4 * agent:agent_sessions", ("3 * agent:agent_sessions", "5 * agent:agent_sessions")),
    ("AgentCostSpike", "[1d:1h]", ("[10d:1h]",)),
    ("AgentCostSpike", "[4w:1h]", ("[2w:1h]",)),
    ("AgentCostSpike", "[2h:30m]", ("[1h:30m]", "[6h:30m]")),
    ("AgentCostSpike", "offset 2d > 0", ("offset 1d > 0", "offset 3d > 0")),
    ("AgentCostSpike", "(1 + 3) / 2", ("(1 + 1) / 2", "(3 + 3) / 2")),
    ("AgentPromptCacheRegression", "> 0.1", ("> 0.05", "> 0.2")),
    ("AgentApprovalRateLow", "approved|edited|rejected", ("approved|rejected", "approved|edited|rejected|expired")),
    ("AgentApprovalRateHigh", "approved|edited|rejected", ("approved|rejected", "approved|edited|rejected|expired")),
    ("AgentApprovalQueueStalled", "approved|edited|rejected", ("approved|edited", "approved|edited|rejected|expired")),
    ("AgentEvalRegression", "ratio < on", ("ratio <= on", "ratio > on")),
)
"""What is not the operator's to tune: the alert, the text in its queries, what to write instead."""

A_DAY = 24 * 3600
AGGREGATIONS = (("sum by", "max by"), ("max by", "sum by"), ("increase(", "delta("))
"""What replicas and restarts would be judged by if somebody took the wrong one of two."""


@dataclass(frozen=True)
class Rules:
    """An alert's rule and the records it is built on, as queries."""

    item: RenderedAlert
    expr: str
    for_: Duration | None
    keep_firing_for: Duration | None
    records: dict[str, str]

    def yaml(self) -> str:
        """A rule file with nothing else in it."""
        rules: list[dict[str, Any]] = [{"record": name, "expr": expr} for name, expr in self.records.items()]
        alert: dict[str, Any] = {"alert": self.item.alert.name, "expr": self.expr}
        if self.for_:
            alert["for"] = str(self.for_)
        if self.keep_firing_for:
            alert["keep_firing_for"] = str(self.keep_firing_for)
        rules.append(alert | {"labels": {"severity": self.item.numbers.severity}})
        return yaml.safe_dump({"groups": [{"name": "mutant", "rules": rules}]})


def rules_with(item: RenderedAlert, numbers: Numbers) -> Rules:
    """The alert as it would be with these numbers, whether or not the threshold is a bucket boundary."""
    values: dict[str, object] = {"job": DEMO.job}
    alert = replace(item.alert, boundary_of=None)
    values |= holes(alert, numbers)
    if numbers.threshold and item.alert.boundary_of:
        values["le"] = promql_le(item, numbers.threshold.value)

    def filled(template: str) -> str:
        return promql.fill(template, **{name: hole for name, hole in values.items() if f"<{name}>" in template})

    expr = filled(item.alert.expr)
    return Rules(item, expr, numbers.for_, numbers.keep_firing_for, _records_of(expr, filled))


def promql_le(item: RenderedAlert, value: float) -> str:
    """The boundary as Prometheus writes it; a moved threshold that is not one stays a threshold."""
    boundary_of = item.alert.boundary_of
    return boundary_of.le(value) if boundary_of and value in boundary_of.buckets else f"{value:g}"


def _records_of(expr: str, filled: Callable[[str], str]) -> dict[str, str]:
    named, needed = expr, {}
    for record in reversed(RECORDS):
        if re.search(rf"(?<![\w:]){record.name}(?![\w:])", named):
            needed[record.name] = filled(record.expr)
            named += record.expr
    return dict(reversed(needed.items()))


def mutants(item: RenderedAlert) -> Iterator[tuple[str, Rules]]:
    """Every number of the alert that its rule uses, moved down and up, and every aggregation, exchanged."""
    alert, numbers = item.alert, item.numbers
    if numbers.threshold and (_asks_for(item, "threshold", "le")):
        for value in _moved_threshold(item, numbers.threshold):
            moved = replace(numbers, threshold=replace(numbers.threshold, value=value))
            yield f"threshold {value:g}", rules_with(item, moved)
    if numbers.evidence:
        for value in _moved_evidence(numbers.evidence):
            moved = replace(numbers, evidence=replace(numbers.evidence, value=value))
            yield f"evidence {value:g}", rules_with(item, moved)
    for name, look in numbers.looks.items():
        for factor in (0.5, 2):
            moved_look = replace(look, window=Duration(look.window.seconds * factor))
            looks = {**numbers.looks, name: moved_look}
            yield f"{name}.window {moved_look.window}", rules_with(item, replace(numbers, looks=looks))
        for factor in (0.8, 1.2):
            if look.z:
                looks = {**numbers.looks, name: replace(look, z=look.z * factor)}
                yield f"{name}.z {look.z * factor:g}", rules_with(item, replace(numbers, looks=looks))
    for name in ("scatter", "z", "hour", "day"):
        if amount := getattr(numbers, name):
            for value in (amount.value * 0.8, amount.value * 1.2):
                moved = replace(numbers, **{name: replace(amount, value=value)})
                yield f"{name} {value:g}", rules_with(item, moved)
    for factor in (0.5, 2):
        if numbers.window and not numbers.looks:
            window = Duration(numbers.window.seconds * factor)
            yield f"window {window}", rules_with(item, replace(numbers, window=window))
        if numbers.for_:
            for_ = Duration(numbers.for_.seconds * factor)
            yield f"for {for_}", rules_with(item, replace(numbers, for_=for_))
        if numbers.keep_firing_for:
            keep = Duration(numbers.keep_firing_for.seconds * factor)
            yield f"keep_firing_for {keep}", rules_with(item, replace(numbers, keep_firing_for=keep))
    for name, text, others in CONSTANTS:
        if name == alert.name:
            for other in others:
                yield f"{other} for {text}", _rewritten(rules_with(item, numbers), text, other)
    if numbers.evidence or _asks_for(item, "threshold"):  # to the others any increase is enough, on whichever replica
        rules = rules_with(item, numbers)
        for right, wrong in AGGREGATIONS:
            if right in rules.expr or any(right in query for query in rules.records.values()):
                yield f"{wrong} for {right}", _rewritten(rules, right, wrong)


def _asks_for(item: RenderedAlert, *holes: str) -> bool:
    """Whether the alert's query, or a record of its own, has such a hole."""
    records = "".join(record.expr for record in RECORDS if record.of == item.alert.name)
    return any(f"<{hole}>" in item.alert.expr + records for hole in holes)


def _moved_threshold(item: RenderedAlert, threshold: Threshold) -> tuple[float, float]:
    value = threshold.value
    if item.alert.boundary_of and _asks_for(item, "le"):
        buckets = item.alert.boundary_of.buckets
        at = buckets.index(value)
        return buckets[at - 1], buckets[at + 1]
    if threshold.unit == "count" and not item.alert.boundary_of:  # what is counted is whole
        step = max(1, round(value * 0.2))
        return value - step, value + step
    if threshold.unit == "ratio" and value > 0.5:  # 95 % of successes are 5 % of failures: those move
        return 1 - (1 - value) * 1.2, 1 - (1 - value) * 0.8
    return value * 0.8, value * 1.2


def _moved_evidence(evidence: Threshold) -> tuple[float, float]:
    step = max(1, round(evidence.value * 0.2)) if evidence.unit == "count" else evidence.value * 0.2
    return evidence.value - step, evidence.value + step


def _rewritten(rules: Rules, text: str, other: str) -> Rules:
    assert any(text in query for query in (rules.expr, *rules.records.values())), f"{text} is nowhere in the rules"
    records = {name: query.replace(text, other) for name, query in rules.records.items()}
    return replace(rules, expr=rules.expr.replace(text, other), records=records)


def passes(rules: Rules, programs: dict[str, Path], folder: Path) -> bool:
    """Whether the alert fires and stays silent as all its scenarios say; the wording is not asked for."""
    file = folder / "rules.yml"
    file.write_text(rules.yaml(), encoding="utf-8")
    own = [scenario for scenario in scenarios() if scenario.alert == rules.item.alert.name]
    # Minutes and hours are replayed at once; days one scenario after the other, so that the first that fails ends it.
    short = [one for one in own if max(notation.seconds(verdict["at"]) for verdict in one.verdicts) <= A_DAY]
    batches = ([short] if short else []) + [[scenario] for scenario in own if scenario not in short]
    return all(promtool.run(programs["promtool"], [file], it, folder, wording=False).returncode == 0 for it in batches)


@pytest.mark.parametrize("item", sample.chosen(list(RENDERED.values())), ids=lambda item: str(item.alert.name))
def test_a_moved_number_fails_a_scenario(item: RenderedAlert, programs: dict[str, Path], tmp_path: Path) -> None:
    """Every mutant fails, and the rule itself does not; else add a scenario between the number and the moved one."""
    candidates = {"as it is": rules_with(item, item.numbers), **dict(mutants(item))}
    folders = [tmp_path / str(number) for number in range(len(candidates))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as pool:
        results = pool.map(passes, candidates.values(), repeat(programs), folders)
    assert [what for what, survived in zip(candidates, results, strict=True) if survived] == ["as it is"]
