"""Runs in the formats of other tools: an evaluation log of Inspect AI, and results that `promptfoo import` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentgauge.evals.history import Run, Trial
from agentgauge.evals.intervals import Share, mean_share
from agentgauge.evals.transcript import Called, TrialTranscript

INSPECT_VERSION = 2
PROMPTFOO_VERSION = 3
SCORER = "agentgauge"


def as_inspect(run: Run, trials: Sequence[Trial]) -> dict[str, Any]:
    """A run as the JSON of an Inspect AI log: a sample a trial, the trials of a scenario as its epochs."""
    names = list(dict.fromkeys(trial.scenario for trial in trials))
    passing = mean_share([_share(trials, name) for name in names])
    return {
        "version": INSPECT_VERSION,
        "status": "success" if run.result else "cancelled",
        "eval": {
            "eval_id": run.id,
            "run_id": run.id,
            "created": run.started_at.isoformat(),
            "task": run.suite,
            "task_id": run.suite,
            "task_version": str(run.version),
            "dataset": {"name": run.suite, "samples": len(names), "sample_ids": names},
            "model": run.version.model,
            "config": {"epochs": max(trial.number for trial in trials)},
            "metadata": _about(run),
        },
        "plan": {"name": "agent", "steps": []},
        "results": {
            "total_samples": len(trials),
            "completed_samples": len(trials),
            "scores": [
                {
                    "name": SCORER,
                    "scorer": SCORER,
                    "metrics": {"accuracy": {"name": "accuracy", "value": passing.estimate}},
                }
            ],
        },
        "stats": {
            "started_at": run.started_at.isoformat(),
            "completed_at": run.finished_at.isoformat() if run.finished_at else "",
        },
        "samples": [_inspect_sample(run, trial) for trial in trials],
    }


def as_promptfoo(run: Run, trials: Sequence[Trial]) -> dict[str, Any]:
    """A run as results of promptfoo: one prompt, which is the version, and a test a trial."""
    passed = sum(trial.passed for trial in trials)
    prompt = {"raw": "{{input}}", "label": str(run.version), "provider": run.version.model}
    stats = {"successes": passed, "failures": len(trials) - passed, "errors": 0, "tokenUsage": _no_tokens()}
    metrics = {
        "score": sum(trial.score for trial in trials),
        "testPassCount": passed,
        "testFailCount": len(trials) - passed,
        "testErrorCount": 0,
        "assertPassCount": passed,
        "assertFailCount": len(trials) - passed,
        "totalLatencyMs": 1000 * sum(trial.seconds for trial in trials),
        "tokenUsage": _no_tokens(),
        "namedScores": {},
        "namedScoresCount": {},
        "cost": sum(trial.cost_usd for trial in trials),
    }
    return {
        "evalId": f"eval-agentgauge-{run.id}",
        "results": {
            "version": PROMPTFOO_VERSION,
            "timestamp": run.started_at.isoformat(),
            "prompts": [{**prompt, "id": str(run.version), "metrics": metrics}],
            # Each trial is a row of its own there, as with `--repeat`.
            "results": [_promptfoo_result(run, trial, row, prompt) for row, trial in enumerate(trials)],
            "stats": stats,
        },
        "config": {"description": f"{run.suite}: {run.version}", "tests": [], "metadata": _about(run)},
        "shareableUrl": None,
        "metadata": {"evaluationCreatedAt": run.started_at.isoformat()},
    }


def _inspect_sample(run: Run, trial: Trial) -> dict[str, Any]:
    transcript = TrialTranscript.from_json(trial.transcript)
    return {
        "id": trial.scenario,
        "epoch": trial.number,
        "input": _asked(transcript),
        "target": "",
        "messages": _messages(transcript),
        "output": {
            "model": run.version.model,
            "choices": [{"message": {"role": "assistant", "content": transcript.output}, "stop_reason": "stop"}],
        },
        "scores": {
            SCORER: {
                "value": "C" if trial.passed else "I",
                "answer": transcript.output,
                "explanation": "; ".join(trial.failures) or None,
                "metadata": {"score": trial.score},
            }
        },
        "metadata": {"turns": trial.turns, "cost_usd": trial.cost_usd},
        "total_time": trial.seconds,
    }


def _messages(transcript: TrialTranscript) -> list[dict[str, Any]]:
    """The conversation in the roles that others know; a decision of the approver is a user's message."""
    messages: list[dict[str, Any]] = []
    for number, step in enumerate(transcript.steps):
        if isinstance(step, Called):
            call = {
                "id": f"call_{number}",
                "function": step.tool,
                "arguments": dict(step.arguments),
                "type": "function",
            }
            result = {"role": "tool", "tool_call_id": call["id"], "function": step.tool, "content": step.result}
            if not step.ok:
                result["error"] = {"type": "unknown", "message": step.result}
            messages += [{"role": "assistant", "content": "", "tool_calls": [call]}, result]
        elif step.by == "agent":
            messages.append({"role": "assistant", "content": step.text})
        else:
            said = step.text if step.by == "user" else f"({step.by}) {step.text}"
            messages.append({"role": "user", "content": said})
    return messages


def _promptfoo_result(run: Run, trial: Trial, row: int, prompt: Mapping[str, Any]) -> dict[str, Any]:
    transcript = TrialTranscript.from_json(trial.transcript)
    asked, why = _asked(transcript), "; ".join(trial.failures)
    return {
        "id": f"{run.id}-{trial.scenario}-{trial.number}",
        "promptIdx": 0,
        "testIdx": row,
        "repeatIndex": trial.number - 1,
        "promptId": str(run.version),
        "prompt": {"raw": asked, "label": prompt["label"]},
        "provider": {"id": run.version.model, "label": str(run.version)},
        "vars": {"input": asked},
        "testCase": {"description": trial.scenario, "vars": {"input": asked}},
        "response": {"output": transcript.output, "metadata": {"messages": _messages(transcript)}},
        "success": trial.passed,
        "score": trial.score,
        "failureReason": 0 if trial.passed else 1,
        "error": why or None,
        "gradingResult": {
            "pass": trial.passed,
            "score": trial.score,
            "reason": why or "all demands were met",
            "componentResults": [],
        },
        "latencyMs": round(1000 * trial.seconds),
        "cost": trial.cost_usd,
        "namedScores": {},
        "metadata": {"turns": trial.turns},
    }


def _about(run: Run) -> dict[str, Any]:
    answers = "played" if run.version.is_played else "real"
    return {
        "made_by": "agentgauge",
        "commit": run.commit,
        "prompts": run.version.prompt,
        "agent": run.version.agent,
        "answers": "recorded" if run.version.is_recorded else answers,
        "live": run.live,
        "partial": run.partial,
    }


def _asked(transcript: TrialTranscript) -> str:
    """What the user said first."""
    return next((step.text for step in transcript.steps if not isinstance(step, Called)), "")


def _share(trials: Sequence[Trial], name: str) -> Share:
    own = [trial.passed for trial in trials if trial.scenario == name]
    return Share(sum(own), len(own))


def _no_tokens() -> dict[str, int]:
    """The ledger keeps what trials cost, and no tokens."""
    return {"total": 0, "prompt": 0, "completion": 0, "cached": 0, "numRequests": 0}
