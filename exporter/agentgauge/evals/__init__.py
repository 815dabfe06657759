"""Evaluations of any agent: scenarios in YAML, trials in parallel, results with their reasons, a history by version.

The agent is a function that answers a scenario with a transcript of what was said and done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.evals.comparison import Comparison, Drift, Limits, ScenarioChange, compare
    from agentgauge.evals.evaluation import Evaluated, Plan, evaluate, plan
    from agentgauge.evals.history import EvalHistory, Run, ScenarioResult, Trial, Version, VersionStanding
    from agentgauge.evals.judge import Judge, JudgeError, Judgement
    from agentgauge.evals.report import EvalReport, ScenarioReport
    from agentgauge.evals.scenario import Approval, Scenario, ScenarioError
    from agentgauge.evals.transcript import Called, Said, TrialTranscript

__all__ = [
    "Approval",
    "Called",
    "Comparison",
    "Drift",
    "EvalHistory",
    "EvalReport",
    "Evaluated",
    "Judge",
    "JudgeError",
    "Judgement",
    "Limits",
    "Plan",
    "Run",
    "Said",
    "Scenario",
    "ScenarioChange",
    "ScenarioError",
    "ScenarioReport",
    "ScenarioResult",
    "Trial",
    "TrialTranscript",
    "Version",
    "VersionStanding",
    "compare",
    "evaluate",
    "plan",
]

__getattr__ = on_demand(
    __name__,
    "evals",
    {
        "comparison": ["Comparison", "Drift", "Limits", "ScenarioChange", "compare"],
        "evaluation": ["Evaluated", "Plan", "evaluate", "plan"],
        "history": ["EvalHistory", "Run", "ScenarioResult", "Trial", "Version", "VersionStanding"],
        "judge": ["Judge", "JudgeError", "Judgement"],
        "report": ["EvalReport", "ScenarioReport"],
        "scenario": ["Approval", "Scenario", "ScenarioError"],
        "transcript": ["Called", "Said", "TrialTranscript"],
    },
)
