"""`feedback improve`: from what people objected to, to prompts that are shown to be better, and whether they helped."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.actions import Actions
from agentgauge.cli.root import app as agentgauge
from agentgauge.evals.history import EvalHistory, Trial, Version
from agentgauge.feedback.drafting import DraftError, request, rule_in
from agentgauge.feedback.effect import live_effects
from agentgauge.feedback.evidence import evidence
from agentgauge.feedback.lessons import lessons, scenarios
from agentgauge.ledger import Ledger
from agentgauge.prompts.activations import PromptActivations
from agentgauge.prompts.library import Prompts
from agentgauge.transcripts.store import Transcripts
from agentgauge.transcripts.transcript import Occasion, Transcript
from agentgauge.vocabulary import Decision

TOOLS_FILE = "# Keep these short.\n\nnote: >-\n  Writes a note.\n"
NOBODY_ASKED = "I did not ask for a note"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the noting agent, with prompts v1."""
    version = tmp_path / "prompts" / "v1"
    version.mkdir(parents=True)
    (version / "system.md").write_text("You note.\n", encoding="utf-8")
    (version / "tools.yml").write_text(TOOLS_FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("AGENTGAUGE_APP", "noting_agent:app")
    monkeypatch.setenv("NOTING_FOLDER", str(tmp_path))
    monkeypatch.delenv("NOTING_PLAYED", raising=False)
    return tmp_path


@pytest.fixture
def ledger(folder: Path) -> Iterator[Ledger]:
    """Its ledger, in which v1 is in force."""
    with closing(Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")) as opened:
        PromptActivations(opened, "noting").activate("v1", "ann", "first")
        yield opened


def decide(
    ledger: Ledger,
    asked: str,
    decision: Decision,
    *,
    after: dict[str, Any] | None = None,
    reason: str | None = None,
    version: str = "v1",
) -> None:
    """The agent proposed to note what it was asked; a person decided."""
    actions = Actions(ledger, "noting")
    context = {"messages": [{"role": "user", "content": asked}]}
    proposal = Proposal("note", "medium", "approval", {"text": asked}, context, prompt_version=version)
    actions.decide(actions.propose(proposal).id, decision, "ann", after, reason)


def tag_four(ledger: Ledger) -> None:
    """Four edits that add the same tag, and nothing else."""
    for number in range(4):
        asked = f"Call customer {number} next week"
        decide(ledger, asked, "edited", after={"text": f"{asked} #renewal"})


def improve(*arguments: str, answer: str | None = None) -> Result:
    """How the command ends."""
    command = ["feedback", "improve", "--parallel", "1", *arguments]
    return CliRunner().invoke(agentgauge, command, input=answer)


def decided(ledger: Ledger) -> list[Action]:
    """All decisions."""
    return Actions(ledger, "noting").decided_since(ledger.now() - timedelta(days=1))


def in_force(ledger: Ledger) -> str:
    """The version of the prompts in force."""
    return PromptActivations(ledger, "noting").history()[-1].version


def test_four_edits_that_add_a_tag_become_prompts_that_ask_for_it(folder: Path, ledger: Ledger) -> None:
    """Shown to fail before, and to pass after; nothing else of the version's files changes."""
    tag_four(ledger)
    result = improve("--yes", "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert made["lesson"] == "note: “#renewal” added to text in 4 of 4 edits"
    assert len(made["scenarios"]) == 4
    assert made["evidence"]["lesson"]["verdict"] == "better"
    assert made["evidence"]["own_suites"]["verdict"] == "as good"
    assert (made["activated"], in_force(ledger)) == ("v2", "v2")
    file = (folder / "prompts" / "v2" / "tools.yml").read_text(encoding="utf-8")
    assert file == "# Keep these short.\n\nnote: >-\n  Writes a note. Add the tag #renewal to text.\n"


def test_nothing_is_activated_without_a_yes(folder: Path, ledger: Ledger) -> None:
    """The draft is kept where people find it, and not among the versions, where the newest may come into force."""
    tag_four(ledger)
    refused = improve(answer="n\n")
    assert refused.exit_code == 1
    assert "not activated, as you said" in refused.stderr
    assert in_force(ledger) == "v1"
    assert [path.name for path in (folder / "prompts").iterdir()] == ["v1"]
    assert "#renewal" in (folder / "state" / "drafts" / "v2" / "tools.yml").read_text(encoding="utf-8")
    agreed = improve(answer="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert in_force(ledger) == "v2"


def test_a_model_sorts_reasons_whose_language_the_words_do_not_know(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves out is sorted by its words; so is everything where a script stands for the model."""
    for reason in ("viel zu förmlich", "trop froid", "klingt steif", "far too long"):
        decide(ledger, "Note it", "rejected", reason=reason)
    monkeypatch.setenv("NOTING_DRAFT", "2: Too formal\n- 3. too formal.\n4: TOO FORMAL\n9: nothing\nThat is all.")
    command = ["feedback", "report", "--themes-by", "large", "--json"]
    result = CliRunner().invoke(agentgauge, command)
    shown = {(one["why"], one["times"]) for one in json.loads(result.stdout)["rejections"]}
    assert shown == {("too formal", 3), ("too long", 1)}
    assert "large gave 3 of 4 reasons a theme; the others are sorted by their words" in result.stderr
    improved = improve("--themes-by", "large", "--theme", "too formal", "--judge", "large", "--dry-run")
    assert "note: rejected as 'too formal' 3 times of 4" in improved.stdout, improved.output
    monkeypatch.setenv("NOTING_PLAYED", "1")
    played = CliRunner().invoke(agentgauge, command)
    assert "there is no key for large" in played.stderr
    assert len(json.loads(played.stdout)["rejections"]) == 4


def test_a_played_run_is_no_evidence_about_prompts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script is not a model: the gain is shown, and only --allow-played takes it for one."""
    monkeypatch.setenv("NOTING_PLAYED", "1")
    tag_four(ledger)
    result = improve("--yes", "--sample", "1", "--trials", "1")
    assert result.exit_code == 3
    assert "no evidence about the prompts: the answers were played" in result.stderr
    assert in_force(ledger) == "v1"
    assert improve("--yes", "--allow-played").exit_code == 0
    assert in_force(ledger) == "v2"


def test_a_version_that_is_worse_elsewhere_is_not_activated(ledger: Ledger) -> None:
    """An agent that was told not to call the tool passes what nobody wanted, and nothing else."""
    for _ in range(3):
        decide(ledger, "How is customer 1?", "rejected", reason=NOBODY_ASKED)
    result = improve("--yes", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["evidence"]["lesson"]["verdict"] == "better"
    assert "it is worse on the agent's own scenarios: trials passed -100.0 points" in result.stderr
    assert in_force(ledger) == "v1"


def test_a_scenario_that_passes_on_what_was_rejected_is_no_ground(ledger: Ledger) -> None:
    """No check sees what too formal is; the way to see it is named."""
    for _ in range(3):
        decide(ledger, "Note it", "rejected", reason="too formal")
    result = improve("--yes")
    assert result.exit_code == 1
    assert "all 1 scenarios made of it pass on unknown+v1+small, so they would prove nothing" in result.stderr
    assert "--judge MODEL" in result.stderr


def test_a_dry_run_shows_the_draft_and_tries_nothing(folder: Path, ledger: Ledger) -> None:
    """No trial, no file, no activation."""
    tag_four(ledger)
    result = improve("--dry-run")
    assert result.exit_code == 0, result.output
    assert "+note: Writes a note. Add the tag #renewal to text." in result.stdout
    assert "made from the reviewers' words and edits alone, by no model" in result.stdout
    assert [path.name for path in (folder / "prompts").iterdir()] == ["v1"]
    assert not (folder / "state" / "drafts").exists()


def test_a_model_may_draft(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text takes the place of the words and edits, and the output says whose it is; a script cannot."""
    tag_four(ledger)
    monkeypatch.setenv("NOTING_DRAFT", "End each note with\n#renewal.")
    result = improve("--dry-run", "--model", "large")
    assert "made by large" in result.stdout
    assert "+note: Writes a note. End each note with #renewal." in result.stdout
    monkeypatch.setenv("NOTING_PLAYED", "1")
    assert "a script cannot draft" in improve("--dry-run", "--model", "large").stderr


def test_a_model_reads_the_reasons_and_what_was_changed(ledger: Ledger) -> None:
    """And the description as it is now."""
    for _ in range(3):
        decide(ledger, "Call back as soon as you can", "edited", after={"text": "Call"}, reason="too wordy")
    (lesson,) = lessons(decided(ledger), "v1")
    asked = request(Prompts("v1", {"system": "You note."}, {"note": "Writes a note."}), lesson)
    for part in ("Writes a note.", "“too wordy”", "'Call back as soon as you can' to 'Call'"):
        assert part in asked


@pytest.mark.parametrize(
    ("answer", "why"), [(" \n", "wrote nothing"), ("x" * 1001, "1001 characters; 1000 are allowed")]
)
def test_what_a_model_writes_has_to_be_a_rule(answer: str, why: str) -> None:
    """Nothing, and a whole essay, are refused."""
    with pytest.raises(DraftError, match=why):
        rule_in(answer)


@pytest.mark.parametrize(
    ("after", "rule", "expected"),
    [
        ({"text": "Call back #a"}, "Add the tag #a to text.", {"text": "#a"}),
        ({"text": "Call back", "kind": "risk"}, "Set kind to “risk”.", {"kind": "risk"}),
        ({"text": "Call"}, "Set text to “Call”.", {"text": "Call"}),
    ],
)
def test_edits_become_a_rule_and_what_a_call_must_have(
    ledger: Ledger, after: dict[str, Any], rule: str, expected: dict[str, Any]
) -> None:
    """What all of them put in, or set; a scenario demands it of the next call."""
    for _ in range(3):
        decide(ledger, "Call back", "edited", after=after)
    (lesson,) = lessons(decided(ledger), "v1")
    assert (lesson.rule, lesson.expected) == (rule, expected)
    (scenario,) = scenarios(lesson, ["note"])
    assert scenario["expected_arguments"] == {"note": expected}


def test_edits_that_differ_become_a_rule_that_quotes_none_of_them(ledger: Ledger) -> None:
    """What one person wrote once stays theirs; only a judge can tell whether a call keeps to it."""
    for number in range(4):
        decide(
            ledger, f"Call customer {number} back soon", "edited", after={"text": f"Call {number}"}, reason="shorter!"
        )
    (lesson,) = lessons(decided(ledger), "v1")
    assert lesson.rule == (
        "Mind text: people had to change it (text shortened by 76 %). Reviewers gave as reason: “shorter!”."
    )
    assert all("expected_arguments" not in one and lesson.rule in one["judge"] for one in scenarios(lesson, ["note"]))


def test_rejections_become_a_rule_in_the_reviewers_own_words(ledger: Ledger) -> None:
    """In the place that the theme names: tone is for the system prompt, when to call a tool for its description."""
    for reason in ("Too stiff", "Too stiff", "too formal!"):
        decide(ledger, "Write", "rejected", reason=reason)
    for _ in range(4):
        decide(ledger, "Look", "rejected", reason=NOBODY_ASKED)
    unwanted, formal = lessons(decided(ledger), "v1")
    assert unwanted.of_tool
    assert unwanted.rule == f"Do not call it unless the user asks for it. Reviewers rejected it with: “{NOBODY_ASKED}”."
    assert not formal.of_tool
    assert formal.rule.endswith("Reviewers rejected it with: “Too stiff”, “too formal!”.")


def test_what_happened_under_other_prompts_or_without_a_reason_is_no_lesson(ledger: Ledger) -> None:
    """It may be mended, or says nothing to a model."""
    for _ in range(3):
        decide(ledger, "Write", "rejected", reason="too long", version="v0")
        decide(ledger, "Write", "rejected")
    assert lessons(decided(ledger), "v1") == []
    result = improve()
    assert result.exit_code == 1
    assert "people objected to nothing often enough under prompts v1" in result.stderr


def rate_down(ledger: Ledger, reason: str, times: int) -> None:
    """Users asked something and rated the answer down."""
    for number in range(times):
        messages = [
            {"role": "user", "content": f"How is customer {number}?"},
            {"role": "assistant", "content": "Fine."},
        ]
        now = ledger.now()
        Transcripts(ledger, "noting").put(
            Transcript(
                session=f"s-{reason}-{number}",
                user=None,
                at=now,
                version="1",
                prompt_version="v1",
                tool_calls=0,
                turns=1,
                cost_usd=0.01,
                text="full",
                occasions=(Occasion("thumbs_down", now, reason),),
                messages=messages,
            )
        )


def test_thumbs_down_for_what_prompts_can_mend_are_a_lesson_for_a_judge(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No check knows a good tone; that an answer was slow is not the prompts' fault."""
    rate_down(ledger, "too_slow", 4)
    rate_down(ledger, "tone", 3)
    blind = improve()
    assert blind.exit_code == 1
    assert "only a judge can tell" in blind.stderr
    drafted = improve("--dry-run")
    assert "answers: thumbs down for 'tone' 3 times" in drafted.stdout
    assert "+Mind the tone of your answers" in drafted.stdout
    monkeypatch.setenv("NOTING_DRAFT", "FAIL Rude.")
    judged = improve("--judge", "large", "--trials", "1", "--sample", "1")
    assert "3 scenarios made of it fail on v1, as they must" in judged.stdout
    assert judged.exit_code == 3
    assert "no gain is shown on what people objected to" in judged.stderr


def trials(prompts: str, passed: int, of: int, cost: float = 0.01) -> tuple[Version, list[Trial]]:
    """Trials of one scenario of the lesson, and as many of one of the agent's own, which all pass."""
    version = Version("1", prompts, "small")
    return version, [
        Trial(name, number, 1.0, good, 2, cost * (1 + number / 100), 0.0, 0.5, (), {})
        for name in ("lesson", "own")
        for number in range(of)
        for good in (name == "own" or number < passed,)
    ]


@pytest.mark.parametrize(
    ("after", "gain", "loss", "why"),
    [
        (trials("v2", 40, 40), True, False, ""),
        (trials("v2", 2, 40), False, False, "no gain is shown on what people objected to"),
        (trials("v2", 40, 40, cost=0.1), False, True, "cost is ×10.00"),
        (trials("v2", 5, 5), False, False, "on the agent's own scenarios, not enough evidence"),
    ],
)
def test_a_gain_is_significant_there_and_no_loss_elsewhere(
    after: tuple[Version, list[Trial]], gain: bool, loss: bool, why: str
) -> None:
    """By the gate of evaluations, cost included."""
    shown = evidence(trials("v1", 0, 40), after, {"lesson"})
    assert (shown.is_gain, shown.is_loss) == (gain, loss)
    assert why in shown.why_no_gain


def test_the_live_rate_afterwards_says_whether_it_helped(ledger: Ledger) -> None:
    """Of what people decided under both versions, with an interval; what expired says nothing."""
    for _ in range(8):
        decide(ledger, "Note", "edited", after={"text": "Note #renewal"})
        decide(ledger, "Note", "expired")
    watched = CliRunner().invoke(agentgauge, ["feedback", "watch"])
    assert watched.exit_code == 1
    assert "no prompt version was in force before v1" in watched.stderr
    PromptActivations(ledger, "noting").activate("v2", "ann", "asks for the tag")
    for _ in range(2):
        decide(ledger, "Note", "approved", version="v2")
    assert [one.verdict for one in live_effects(decided(ledger), "v1", "v2")] == ["helped"]
    for _ in range(2):
        decide(ledger, "Note", "rejected", version="v2")
    (effect,) = live_effects(decided(ledger), "v1", "v2")
    assert (effect.before.passed, effect.before.trials) == (0, 8)
    assert (effect.after.passed, effect.after.trials) == (2, 4)
    watched = CliRunner().invoke(agentgauge, ["feedback", "watch", "--json"])
    assert watched.exit_code == 0, watched.output
    (row,) = json.loads(watched.stdout)
    assert row["after"] == {"approved": 2, "of": 4}
    assert row["difference"]["low"] < 0.5 < row["difference"]["high"]


def test_the_runs_of_both_versions_can_be_compared_by_a_judge(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes whatever it reads first decides nothing, and that is said."""
    tag_four(ledger)
    assert improve("--yes").exit_code == 0
    monkeypatch.setenv("NOTING_DRAFT", "FIRST, of course.")
    command = ["eval", "prefer", "v1", "v2", "--suite", "feedback", "--judge", "large"]
    result = CliRunner().invoke(agentgauge, command)
    assert result.exit_code == 3, result.output
    assert "large chose what it read first in 100% of its choices" in result.stdout
    monkeypatch.setenv("NOTING_DRAFT", "I cannot say.")
    result = CliRunner().invoke(agentgauge, [*command, "--criterion", "is short"])
    assert result.exit_code == 2
    assert "the judge large began with none of FIRST, SECOND, TIE: 'I cannot say.'" in result.stderr


def test_the_runs_are_written_for_other_tools_for_the_eyes_of_their_owner(ledger: Ledger, tmp_path: Path) -> None:
    """The last one, or the one that is named; what was said is in it."""
    tag_four(ledger)
    improve("--sample", "1", "--trials", "1")
    (newest, oldest) = EvalHistory(ledger, "noting").runs("feedback")
    file = tmp_path / "log.json"
    command = ["eval", "export", "--suite", "feedback", "--format", "inspect", "--out", str(file)]
    result = CliRunner().invoke(agentgauge, command)
    assert result.exit_code == 0, result.output
    assert json.loads(file.read_text(encoding="utf-8"))["eval"]["run_id"] == newest.id
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    result = CliRunner().invoke(agentgauge, [*command, "--run", oldest.id])
    assert f"run {oldest.id} of feedback, version unknown+v1+small: 5 trials" in result.stdout
    result = CliRunner().invoke(agentgauge, [*command, "--run", "gone"])
    assert result.exit_code == 1
    assert "has no run 'gone' with a trial" in result.stderr
