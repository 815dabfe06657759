"""What a run says, to people and to CI."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentgauge.evals.history import Run, ScenarioResult, Trial, Version, VersionStanding
from agentgauge.evals.report import EvalReport, pass_hat, report, write_json, write_junit

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
V1, V2 = Version("1.0", "v1", "claude-opus-5-5"), Version("1.0", "v2", "claude-opus-5-5")


def trials(scenario: str, *failures: str) -> list[Trial]:
    """A trial for each: what was wrong with it, nothing if it passed."""
    return [
        Trial(scenario, number, 0.5 if wrong else 1.0, not wrong, 3, 0.02, 0.001, 0.5, (wrong,) if wrong else (), {})
        for number, wrong in enumerate(failures, start=1)
    ]


@pytest.fixture
def made() -> EvalReport:
    """Of three trials each: one scenario passes, one is flaky, one regressed, one was broken before."""
    passed, broken = ScenarioResult(3, 3, 1, 3, 0.02, 0.5), ScenarioResult(3, 0, 0.2, 3, 0.02, 0.5)
    before = {"good": passed, "shaky": passed, "fell": passed, "old": broken}
    done = [
        *trials("good", "", "", ""),
        *trials("shaky", "", "5 turns > 4", ""),
        *trials("fell", "missing tool x", "missing tool x", "phrase absent: “ARR”"),
        *trials("old", "missing tool y", "missing tool y", "missing tool y"),
    ]
    return report(Run("r1", "sales", V2, "abc123", False, NOW, NOW, "failed"), done, VersionStanding(V1, NOW, before))


def test_a_regression_is_what_the_version_before_passed_and_a_majority_now_fails(made: EvalReport) -> None:
    """Not what is flaky, and not what was broken before."""
    assert made.regressed == ["fell"]
    assert (made.named("flaky"), made.named("broken")) == (["shaky"], ["fell", "old"])
    assert (made.pass_ratio, made.result) == (0.5, "failed")


def test_a_flaky_run_passes(made: EvalReport) -> None:
    """It is said, and shown by pass^k, but one bad trial stops no deploy."""
    run = report(made.run, [*trials("good", ""), *trials("shaky", "", "late", "")], None)
    assert (run.result, run.named("flaky")) == ("passed", ["shaky"])


def test_the_reasons_come_with_the_trials_they_came_in(made: EvalReport) -> None:
    """The most frequent first."""
    why = {one.name: one.why for one in made.scenarios}
    assert why["fell"] == "missing tool x (2/3); phrase absent: “ARR” (1/3)"
    assert why["old"] == "missing tool y"
    assert why["good"] == ""


def test_pass_hat_k_falls_with_k_for_what_is_not_reliable(made: EvalReport) -> None:
    """With k = all trials, it is the share of scenarios in which every trial passed."""
    shaky = ScenarioResult(5, 4, 0.9, 3, 0.02, 0.5)
    assert [round(pass_hat(shaky, k), 2) for k in (1, 2, 5)] == [0.8, 0.6, 0.0]
    assert made.pass_hat(3).estimate == 0.25
    assert made.pass_hat(1).estimate == pytest.approx((1 + 2 / 3) / 4)
    assert made.pass_hat(1).low < (1 + 2 / 3) / 4 < made.pass_hat(1).high


def test_flaky_and_broken_are_told_apart_by_numbers(made: EvalReport) -> None:
    """A scenario is one of them for certain only when the whole interval lies on one side of one half."""
    few = report(made.run, [*trials("a", "x", "x", ""), *trials("b", "", "", "x"), *trials("c", "", "")], None)
    assert [(one.result.status, one.is_unsure) for one in few.scenarios] == [
        ("broken", True),
        ("flaky", True),
        ("passed", False),
    ]
    many = report(made.run, [*trials("a", *["x"] * 9, ""), *trials("b", *[""] * 9, "x")], None)
    assert [(one.result.status, one.is_unsure) for one in many.scenarios] == [("broken", False), ("flaky", False)]


def test_what_is_worse_than_the_baseline_fails_although_nothing_is_broken(made: EvalReport, tmp_path: Path) -> None:
    """Every scenario fell from 5 of 5 to 3 of 5: each is only flaky, all together are not."""
    before = [trial for name in "abc" for trial in trials(name, *[""] * 5)]
    after = [trial for name in "abc" for trial in trials(name, "", "x", "", "x", "")]
    fell = report(made.run, after, made.baseline, before)
    assert (fell.named("broken"), fell.result) == ([], "failed")
    write_junit(fell, tmp_path / "junit.xml")
    assert 'type="worse"' in (tmp_path / "junit.xml").read_text(encoding="utf-8")
    write_json(fell, tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["comparison"]["verdict"] == "worse"
    assert report(made.run, before, made.baseline, before).result == "passed"


def test_junit_names_failures_and_what_was_not_run(made: EvalReport, tmp_path: Path) -> None:
    """As CI shows it: a regression is a failure of that type, a flaky scenario a passed one with a remark."""
    write_junit(made, tmp_path / "out" / "junit.xml", not_run=["late"])
    suite = ET.parse(tmp_path / "out" / "junit.xml").getroot().find("testsuite")  # noqa: S314 - written above
    assert suite is not None
    assert [suite.get(name) for name in ("name", "tests", "failures", "skipped")] == ["sales", "5", "2", "1"]
    failures = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    kinds = {name: failure.get("type") for name, failure in failures.items() if failure is not None}
    assert kinds == {"fell": "regressed", "old": "broken"}
    assert [case.get("name") for case in suite.iter("testcase") if case.find("skipped") is not None] == ["late"]
    remarks = [case.findtext("system-out") or "" for case in suite.iter("testcase") if case.get("name") == "shaky"]
    assert remarks[0].startswith("flaky: 2 of 3")


def test_json_holds_version_commit_and_every_scenario(made: EvalReport, tmp_path: Path) -> None:
    """For whatever comes after."""
    write_json(made, tmp_path / "run.json")
    said = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (said["result"], said["regressed"], said["commit"]) == ("failed", ["fell"], "abc123")
    assert said["version"] == {"name": str(V2), "agent": "1.0", "prompt": "v2", "model": "claude-opus-5-5"}
    assert said["baseline"] == {"version": str(V1), "pass_ratio": 0.75}
    shaky = next(one for one in said["scenarios"] if one["name"] == "shaky")
    assert (shaky["status"], shaky["trials"], shaky["passed"]) == ("flaky", 3, 2)
    assert said["cost_usd"] == pytest.approx(0.24)
    assert said["judge_cost_usd"] == pytest.approx(0.012)
