"""The report of a run: which scenarios passed, are flaky or broken, which of them regressed, and why."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import Any

from agentgauge.evals.history import Run, RunResult, ScenarioResult, ScenarioStatus, Trial, VersionStanding


@dataclass(frozen=True)
class ScenarioReport:
    """One scenario in a run. ``reasons``: what was wrong, most frequent first, each with its number of trials."""

    name: str
    result: ScenarioResult
    reasons: tuple[tuple[str, int], ...]
    regressed: bool

    @property
    def why(self) -> str:
        """The reasons on one line, empty if there are none."""
        trials = self.result.trials
        return "; ".join(
            reason if count == trials else f"{reason} ({count}/{trials})" for reason, count in self.reasons
        )


@dataclass(frozen=True)
class EvalReport:
    """A run by scenario, and the version before it as ``baseline``; None without one."""

    run: Run
    scenarios: tuple[ScenarioReport, ...]
    baseline: VersionStanding | None
    cost_usd: float
    judge_cost_usd: float

    @property
    def result(self) -> RunResult:
        """``failed`` if any scenario is broken; a regressed one always is."""
        return "failed" if self.named("broken") else "passed"

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

    def pass_hat(self, k: int) -> float:
        """pass^k: the chance that k trials of a scenario all pass, as a mean over the scenarios."""
        return sum(pass_hat(one.result, k) for one in self.scenarios) / len(self.scenarios)


def pass_hat(result: ScenarioResult, k: int) -> float:
    """The chance that k trials, drawn from those of one scenario, all passed; with k = all of them, 1 or 0."""
    k = min(k, result.trials)
    return comb(result.passed, k) / comb(result.trials, k)


def report(run: Run, trials: Sequence[Trial], baseline: VersionStanding | None) -> EvalReport:
    """Sum up the trials of a run; ``baseline`` is the standing of the version before."""
    by_scenario: dict[str, list[Trial]] = {}
    for trial in trials:
        by_scenario.setdefault(trial.scenario, []).append(trial)
    before = {} if baseline is None else baseline.results
    return EvalReport(
        run=run,
        scenarios=tuple(_scenario(name, ours, before.get(name)) for name, ours in by_scenario.items()),
        baseline=baseline,
        cost_usd=sum(trial.cost_usd for trial in trials),
        judge_cost_usd=sum(trial.judge_cost_usd for trial in trials),
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
        "started_at": run.started_at.isoformat(),
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
        "pass_ratio": report.pass_ratio,
        "pass_hat": {str(k): report.pass_hat(k) for k in range(1, _most_trials(report) + 1)},
        "baseline": None
        if report.baseline is None
        else {"version": str(report.baseline.version), "pass_ratio": report.baseline.pass_ratio},
        "regressed": report.regressed,
        "broken": report.named("broken"),
        "flaky": report.named("flaky"),
        "cost_usd": report.cost_usd,
        "judge_cost_usd": report.judge_cost_usd,
        "scenarios": [
            {
                "name": one.name,
                "status": one.result.status,
                "regressed": one.regressed,
                "pass_hat": {str(k): pass_hat(one.result, k) for k in range(1, one.result.trials + 1)},
                **asdict(one.result),
                "reasons": [{"reason": reason, "trials": count} for reason, count in one.reasons],
            }
            for one in report.scenarios
        ],
    }


def write_json(report: EvalReport, path: Path) -> None:
    """Write the report as JSON."""
    _write(path, json.dumps(as_json(report), indent=2) + "\n")


def write_junit(report: EvalReport, path: Path, not_run: Sequence[str] = ()) -> None:
    """Write the report as JUnit XML, a test case a scenario; ``not_run`` are scenarios without a trial."""
    run = report.run
    suite = ET.Element(
        "testsuite",
        name=run.suite,
        tests=str(len(report.scenarios) + len(not_run)),
        failures=str(len(report.named("broken"))),
        errors="0",
        skipped=str(len(not_run)),
        time=f"{sum(one.result.seconds * one.result.trials for one in report.scenarios):.3f}",
        timestamp=run.started_at.isoformat(),
    )
    properties = ET.SubElement(suite, "properties")
    about = {"version": str(run.version), "commit": run.commit, "cost_usd": f"{report.cost_usd:.4f}"}
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
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    _write(path, ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _most_trials(report: EvalReport) -> int:
    return max(one.result.trials for one in report.scenarios)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
