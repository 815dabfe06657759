"""A model that judges: asked once for a transcript, paid once, believed only if it says PASS or FAIL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgauge.evals.calibration import Labelled, calibrate, read_labels
from agentgauge.evals.history import Trial
from agentgauge.evals.judge import Judge, JudgeError
from agentgauge.evals.runner import attempts, run
from agentgauge.evals.scenario import Scenario, ScenarioError
from agentgauge.evals.transcript import Called, Said, TrialTranscript
from sample_agent.fake_api.model import reply

SAID = TrialTranscript(
    (Said("user", "Globex?"), Called("look_up", {}, "$1"), Said("agent", "Globex pays $264,000.")), 2, 0.01
)
CRITERION = 'It says "264,000".'


class Model:
    """The played model as a judge, for a cent a question."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, prompt: str) -> tuple[str, float]:
        """Answer a prompt."""
        self.asked += 1
        return reply({"max_tokens": 200, "messages": [{"role": "user", "content": prompt}]}).text, 0.01


@pytest.mark.parametrize(
    ("criterion", "passed"),
    [(CRITERION, True), ('It says "$1".', False), ('Never says "264,000".', False), ("It is polite.", False)],
)
async def test_the_played_judge_looks_for_quoted_words_in_what_the_agent_said(
    tmp_path: Path, criterion: str, passed: bool
) -> None:
    """Not in what the tools returned; what it cannot judge it does not pass."""
    assert (await Judge(Model(), "m", tmp_path)(criterion, SAID)).passed is passed


async def test_the_same_transcript_is_judged_and_paid_once(tmp_path: Path) -> None:
    """By another process, too; another transcript, criterion or model is another question."""
    model = Model()
    first = await Judge(model, "m", tmp_path)(CRITERION, SAID)
    again = await Judge(model, "m", tmp_path)(CRITERION, SAID)
    assert model.asked == 1
    assert (first.cost_usd, again.cost_usd) == (0.01, 0)
    assert (again.passed, again.reason) == (first.passed, first.reason)
    await Judge(model, "m", tmp_path)(CRITERION, TrialTranscript(SAID.steps[:2], 2, 0.01))
    await Judge(model, "m", tmp_path)('It says "Globex".', SAID)
    await Judge(model, "other", tmp_path)(CRITERION, SAID)
    assert model.asked == 4


async def test_a_judge_that_says_neither_is_not_believed(tmp_path: Path) -> None:
    """Nor is that kept."""

    async def chats(prompt: str) -> tuple[str, float]:
        return "Well, it depends.", 0.01

    with pytest.raises(JudgeError, match="neither PASS nor FAIL"):
        await Judge(chats, "m", tmp_path)(CRITERION, SAID)
    with pytest.raises(JudgeError):
        await Judge(chats, "m", tmp_path)(CRITERION, SAID)


async def test_a_verdict_is_one_more_demand_and_its_cost_is_counted(tmp_path: Path) -> None:
    """Beside the agent's own cost, and against the budget; without a judge, a criterion is left aside."""
    wanted = Scenario(
        name="n",
        input="i",
        expected_tools=[],
        expected_output_contains=[],
        max_turns=9,
        max_cost=1,
        judge='It says "no".',
    )

    async def answer(_scenario: Scenario) -> TrialTranscript:
        return SAID

    judged: list[Trial] = []
    unjudged: list[Trial] = []
    ended = await run(attempts([wanted], 1), answer, judged.append, judge=Judge(Model(), "m", tmp_path))
    await run(attempts([wanted], 1), answer, unjudged.append)
    assert judged[0].failures == ("judge: It does not say “no”.",)
    assert (judged[0].cost_usd, judged[0].judge_cost_usd) == (0.01, 0.01)
    assert ended.spent_usd == 0.02
    assert unjudged[0].passed


async def test_a_judge_is_held_against_what_people_said(tmp_path: Path) -> None:
    """The share on which they agree, with its interval, and how much of that is more than chance."""
    wrong = TrialTranscript((Said("agent", "I do not know."),), 1, 0.01)
    examples = [Labelled(CRITERION, SAID, True)] * 3 + [Labelled(CRITERION, wrong, False)] * 2
    examples.append(Labelled(CRITERION, SAID, False))  # a person who disagrees with the judge
    made = await calibrate(Judge(Model(), "m", tmp_path), examples)
    assert (made.both_passed, made.both_failed, made.passed_failed, made.failed_passed) == (3, 2, 0, 1)
    assert made.agreement.estimate == pytest.approx(5 / 6)
    assert made.agreement.low < 5 / 6 < made.agreement.high
    assert made.kappa == pytest.approx(2 / 3)
    always = await calibrate(Judge(Model(), "m", tmp_path), examples[:3])
    assert (always.agreement.estimate, always.kappa) == (1, None)


def test_labelled_examples_are_read_line_by_line(tmp_path: Path) -> None:
    """A slip is told with file and line."""
    file = tmp_path / "labels.jsonl"
    right = json.dumps({"criterion": CRITERION, "passed": True, "transcript": SAID.as_json()})
    file.write_text(f"{right}\n\n{right}\n", encoding="utf-8")
    assert read_labels(file) == [Labelled(CRITERION, SAID, True)] * 2
    for text, says in (("", "holds no examples"), (f"{right}\n{{}}\n", "labels.jsonl:2: expected criterion")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ScenarioError, match=says):
            read_labels(file)
