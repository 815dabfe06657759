"""A model that judges: asked once for a transcript, paid once, believed only if it says PASS or FAIL."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgauge.evals.history import Trial
from agentgauge.evals.judge import Judge, JudgeError
from agentgauge.evals.runner import attempts, run
from agentgauge.evals.scenario import Scenario
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
