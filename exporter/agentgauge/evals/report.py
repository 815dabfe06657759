"""The report of a run: which scenarios passed, are flaky or broken, which of them regressed, and why."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

from agentgauge.evals import intervals
from agentgauge.evals.comparison import DEFAULT_LIMITS, Comparison, Limits, compare
from agentgauge.evals.history import Run, RunResult, ScenarioResult, ScenarioStatus, Trial, VersionStanding
from agentgauge.evals.intervals import Interval, Share


@dataclass(frozen=True)
class ScenarioReport:
    """One scenario in a run. ``reasons``: what was wrong, most frequent first, each with its number of trials."""

    name: str
    result: ScenarioResult
    reasons: tuple[tuple[str, int], ...]
    regressed: bool

    @property
    def passing(self) -> Interval:
        """The chance that a trial passes."""
        return intervals.share(_share(self.result))

    @property
    def is_unsure(self) -> bool:
        """Whether it failed at times, and there are too few trials to tell flaky from broken."""
        return self.result.status != "passed" and self.passing.low < 0.5 < self.passing.high

    @property
    def why(self) -> str:
        """The reasons on one line, empty if there are none."""
        trials = self.result.trials
        return "; ".join(
            reason if count == trials else f"{reason} ({count}/{trials})" for reason, count in self.reasons
        )


@dataclass(frozen=True)
class EvalReport:
    """A run by scenario; ``baseline`` is what it is compared with, if there is anything.

    ``comparison`` is None without a baseline, or if that was tried on other scenarios only. ``remarks`` are what the
    agent's trials say that a reader must know.
    """

    run: Run
    scenarios: tuple[ScenarioReport, ...]
    baseline: VersionStanding | None
    cost_usd: float
    judge_cost_usd: float
    comparison: Comparison | None = None
    remarks: tuple[str, ...] = ()

    @property
    def result(self) -> RunResult:
        """``failed`` if any scenario is broken, a regressed one always is, or if it is worse than the baseline."""
        return "failed" if self.named("broken") or self.is_worse else "passed"

    @property
    def is_worse(self) -> bool:
        """Whether it is shown to be worse than the baseline."""
        return self.comparison is not None and self.comparison.verdict == "worse"

    @property
    def lacks_evidence(self) -> bool:
        """Whether the trials are too few to say that it is not worse than the baseline."""
        return self.comparison is not None and self.comparison.verdict == "no evidence"

    @property
    def regressed(self) -> list[str]:
        """The scenarios that the version before passed and a majority of these trials fails."""
        return [one.name for one in self.scenarios if one.regressed]

    @property
    def pass_ratio(self) -> float:
        """The share of scenarios of the run that are not broken."""
        return 1 - len(self.named("broken")) / len(self.scenarios)

    def named(self, status: ScenarioStatus) -> list[str]:
        """The names of the scenarios with this status: passed, flaky or broken."""
        return [one.name for one in self.scenarios if one.result.status == status]

    def pass_hat(self, k: int) -> Interval:
        """pass^k: the chance that k trials of a scenario all pass, as a mean over the scenarios."""
        return intervals.mean_share([_share(one.result) for one in self.scenarios], k)


def pass_hat(result: ScenarioResult, k: int) -> float:
    """The chance that k trials, drawn from those of one scenario, all passed; with k = all of them, 1 or 0."""
    return intervals.all_pass(_share(result), k)


def _share(result: ScenarioResult) -> Share:
    return Share(result.passed, result.trials)


def report(
    run: Run,
    trials: Sequence[Trial],
    baseline: VersionStanding | None,
    before_trials: Sequence[Trial] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> EvalReport:
    """Sum up the trials of a run, and compare them with those of its baseline."""
    by_scenario: dict[str, list[Trial]] = {}
    for trial in trials:
        by_scenario.setdefault(trial.scenario, []).append(trial)
    before = {} if baseline is None else baseline.results
    if run.version.is_recorded or (baseline is not None and baseline.version.is_recorded):
        limits = replace(limits, latency=inf)
    in_common = by_scenario.keys() & {trial.scenario for trial in before_trials}
    return EvalReport(
        run=run,
        scenarios=tuple(_scenario(name, ours, before.get(name)) for name, ours in by_scenario.items()),
        baseline=baseline,
        cost_usd=sum(trial.cost_usd for trial in trials),
        judge_cost_usd=sum(trial.judge_cost_usd for trial in trials),
        comparison=compare(before_trials, trials, limits) if in_common else None,
    )


def _scenario(name: str, trials: list[Trial], before: ScenarioResult | None) -> ScenarioReport:
    count = len(trials)
    result = ScenarioResult(
        trials=count,
        passed=sum(trial.passed for trial in trials),
        score=sum(trial.score for trial in trials) / count,
        turns=sum(trial.turns for trial in trials) / count,
        cost_usd=sum(trial.cost_usd for trial in trials) / count,
        seconds=sum(trial.seconds for trial in trials) / count,
    )
    reasons = Counter(reason for trial in trials for reason in trial.failures)
    regressed = before is not None and before.status != "broken" and result.status == "broken"
    return ScenarioReport(name, result, tuple(reasons.most_common()), regressed)


def as_json(report: EvalReport) -> dict[str, Any]:
    """The report for other programs."""
    run = report.run
    return {
        "run": run.id,
        "suite": run.suite,
        "result": report.result,
        "version": {"name": str(run.version), **asdict(run.version)},
        "commit": run.commit,
        "partial": run.partial,
        "remarks": list(report.remarks),
        "started_at": run.started_at.isoformat(),
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
        "pass_ratio": report.pass_ratio,
        "pass_hat": {str(k): asdict(report.pass_hat(k)) for k in range(1, _most_trials(report) + 1)},
        "baseline": None
        if report.baseline is None
        else {"version": str(report.baseline.version), "pass_ratio": report.baseline.pass_ratio},
        "comparison": None if report.comparison is None else comparison_as_json(report.comparison),
        "regressed": report.regressed,
        "broken": report.named("broken"),
        "flaky": report.named("flaky"),
        "cost_usd": report.cost_usd,
        "judge_cost_usd": report.judge_cost_usd,
        "scenarios": [
            {
                "name": one.name,
                "status": one.result.status,
                "unsure": one.is_unsure,
                "passing": asdict(one.passing),
                "regressed": one.regressed,
                "pass_hat": {str(k): pass_hat(one.result, k) for k in range(1, one.result.trials + 1)},
                **asdict(one.result),
                "reasons": [{"reason": reason, "trials": count} for reason, count in one.reasons],
            }
            for one in report.scenarios
        ],
    }


def comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison for other programs; the limits of what is not judged are null."""
    return {
        "verdict": comparison.verdict,
        "passing": comparison.passing,
        "difference": asdict(comparison.difference),
        "margin": comparison.margin,
        "trials_needed": comparison.trials_needed,
        "worse": comparison.worse_scenarios,
        "drifts": {
            drift.name: {
                "ratio": None if drift.ratio is None else asdict(drift.ratio),
                "limit": drift.limit if isfinite(drift.limit) else None,
            }
            for drift in comparison.drifts
        },
    }


def write_json(report: EvalReport, path: Path) -> None:
    """Write the report as JSON."""
    _write(path, json.dumps(as_json(report), indent=2) + "\n")


def write_junit(report: EvalReport, path: Path, not_run: Sequence[str] = ()) -> None:
    """Write the report as JUnit XML, a test case a scenario; ``not_run`` are scenarios without a trial.

    The comparison is one more: it fails if the version is worse, and counts as skipped without evidence.
    """
    run, comparison = report.run, report.comparison
    suite = ET.Element(
        "testsuite",
        name=run.suite,
        tests=str(len(report.scenarios) + len(not_run) + (comparison is not None)),
        failures=str(len(report.named("broken")) + report.is_worse),
        errors="0",
        skipped=str(len(not_run) + report.lacks_evidence),
        time=f"{sum(one.result.seconds * one.result.trials for one in report.scenarios):.3f}",
        timestamp=run.started_at.isoformat(),
    )
    properties = ET.SubElement(suite, "properties")
    about = {"version": str(run.version), "commit": run.commit, "cost_usd": f"{report.cost_usd:.4f}"}
    answered_by = "a script" if run.version.is_played else "a model"
    about["answered by"] = f"{answered_by}, recorded" if run.version.is_recorded else answered_by
    for name, value in about.items():
        ET.SubElement(properties, "property", name=name, value=value)
    for one in report.scenarios:
        seconds = f"{one.result.seconds:.3f}"
        case = ET.SubElement(suite, "testcase", classname=f"evals.{run.suite}", name=one.name, time=seconds)
        passed = f"{one.result.passed} of {one.result.trials} trials passed"
        if one.result.status == "broken":
            kind = "regressed" if one.regressed else "broken"
            ET.SubElement(case, "failure", type=kind, message=one.why).text = f"{passed}\n{one.why}"
        elif one.result.status == "flaky":
            ET.SubElement(case, "system-out").text = f"flaky: {passed}\n{one.why}"
    for name in not_run:
        case = ET.SubElement(suite, "testcase", classname=f"evals.{run.suite}", name=name, time="0")
        ET.SubElement(case, "skipped", message="the run ended before this scenario")
    if comparison is not None and report.baseline is not None:
        name = f"compared with {report.baseline.version}"
        case = ET.SubElement(suite, "testcase", classname=f"evals.{run.suite}", name=name, time="0")
        if report.is_worse:
            ET.SubElement(case, "failure", type="worse", message=why_worse(comparison))
        elif report.lacks_evidence:
            ET.SubElement(case, "skipped", message=evidence_missing(comparison))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    _write(path, ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def why_worse(comparison: Comparison) -> str:
    """In what a version is worse than its baseline, on one line."""
    parts = []
    if comparison.difference.high < 0:
        parts.append(f"trials passed {points(comparison.difference)}")
    if comparison.worse_scenarios:
        parts.append(f"it passes less of {', '.join(comparison.worse_scenarios)}")
    parts += [f"{drift.name} is {times(drift.ratio)}, more than ×{drift.limit:g}" for drift in comparison.too_much]
    return "; ".join(parts)


def evidence_missing(comparison: Comparison) -> str:
    """What would be needed to decide, on one line."""
    most = (
        f"it may pass up to {-100 * comparison.difference.low:.0f} points less; {100 * comparison.margin:g} are allowed"
    )
    if comparison.trials_needed is None:
        return f"not enough evidence: {most}, and if the shares stay as they are no number of trials decides it"
    return f"not enough evidence: {most}. {comparison.trials_needed} trials of each scenario, in both, would decide"


def points(difference: Interval) -> str:
    """A difference between shares in percentage points, with its interval."""
    return f"{100 * difference.estimate:+.1f} points ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def times(ratio: Interval | None) -> str:
    """A ratio and its interval: ×1.20 (0.90 to 1.60)."""
    return "unknown" if ratio is None else f"×{ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _most_trials(report: EvalReport) -> int:
    return max(one.result.trials for one in report.scenarios)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
