"""`eval …`: what stops a deploy, what people read, and that the running agent shows it and is not disturbed."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner, Result

from agentgauge import AgentGauge
from agentgauge.autonomy.action import Proposal
from agentgauge.autonomy.actions import Actions
from agentgauge.cli.nightly import Schedule, Watch
from agentgauge.cli.root import app as agentgauge
from agentgauge.evals.history import EvalHistory
from agentgauge.feedback.export import scenarios_of
from agentgauge.ledger import Ledger
from agentgauge.ops import switches
from agentgauge.prompts.activations import PromptActivations
from sample_agent.app import app
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.settings import AGENT, PROMPTS, SCENARIOS, VERSION

NEWEST = app().prompt_library().load().version
LARGE, SMALL, JUDGE = "claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-5-5"
SHIPPED, ON_SMALL = (f"{VERSION}+{NEWEST}+played:{model}" for model in (LARGE, SMALL))
OTHERS = ("show", "history", "forget")
DAILY = Schedule(trials=1, parallel=8, every=timedelta(days=1), size=2, max_cost=None)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own, and no key: the trials run against the fake API."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    for variable in ("AGENTGAUGE_LEDGER", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "state"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of three shipped scenarios, as quick as a test should be."""
    folder = tmp_path / "sales"
    folder.mkdir()
    wanted = {"basic_account_lookup", "renewal date", "a poem is declined"}
    found = [one for path in SCENARIOS.glob("*.yml") for one in yaml.safe_load(path.read_text(encoding="utf-8"))]
    document = yaml.safe_dump([one for one in found if one["name"] in wanted])
    (folder / "some.yml").write_text(document, encoding="utf-8")
    monkeypatch.setattr("sample_agent.settings.SCENARIOS", folder)
    return folder


def evaluate(*arguments: str) -> Result:
    """Run `agentgauge eval run …` in this process, played; the first word may be another command."""
    is_other = bool(arguments) and arguments[0] in OTHERS
    return CliRunner().invoke(agentgauge, ["eval", *([] if is_other else ["run", "--allow-played"]), *arguments])


def test_played_answers_are_not_a_pass_of_the_prompts(suite: Path, tmp_path: Path) -> None:
    """The banner, the version, JUnit and the exit status say it; nothing was wrong with the harness, which is told."""
    junit = tmp_path / "junit.xml"
    result = CliRunner().invoke(agentgauge, ["eval", "run", "--trials", "1", "--junit", str(junit)])
    assert result.exit_code == 1
    assert "played: no model was asked." in result.stdout
    assert re.search(r"version \S+\+played:claude-\S+, commit", result.stdout)
    assert "not a pass: the answers were played" in result.stderr
    assert "--allow-played" in result.stderr
    assert "+played:claude-" in junit.read_text(encoding="utf-8")
    assert evaluate("--trials", "1").exit_code == 0


def run_if_due(schedule: Schedule) -> bool:
    """What a watch does that starts now."""
    return Watch(app(), schedule).run_if_due("sales")


def ledger(state: Path) -> Ledger:
    """The ledger of the state folder."""
    return Ledger.open(f"sqlite:///{state / 'ledger.sqlite'}")


def shown(state: Path, name: str) -> dict[tuple[str, ...], float]:
    """A metric as an agent shows it that starts now, by its labels but ``agent``."""
    registry = CollectorRegistry()
    with closing(AgentGauge(AGENT, registry=registry, ledger=ledger(state))) as gauge:
        gauge.refresh_from_ledger()
        return {
            tuple(value for label, value in sample.labels.items() if label != "agent"): sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == name
        }


def test_the_shipped_agent_passes_the_shipped_suite() -> None:
    """All scenarios, on the fake API; this is what `make deploy-check` runs, with more trials."""
    result = evaluate("--trials", "1")
    assert result.exit_code == 0, result.output
    count = len(app().scenarios("sales"))
    assert count >= 22
    assert f"{count} of {count} scenarios passed" in result.output


@pytest.mark.usefixtures("suite")
def test_a_worse_model_fails_the_gate_and_the_message_names_the_scenarios(state: Path) -> None:
    """What it broke, since which version, and why; what it still does is not blamed."""
    assert evaluate("--trials", "3", "--live").exit_code == 0
    worse = evaluate("--trials", "3", "--model", SMALL)
    assert worse.exit_code == 1
    assert f"regressed since {SHIPPED}: basic_account_lookup; worse: " in worse.stderr
    assert "missing tool get_deal_history" in worse.output
    assert shown(state, "agent_eval_pass_ratio") == {("sales", SHIPPED): 1}, "the candidate is not in production"
    with closing(ledger(state)) as opened:
        switches.change(opened, AGENT, lambda now: now.with_model(SMALL), "ann", "cheaper")
    assert evaluate("--trials", "3", "--live").exit_code == 1
    assert shown(state, "agent_eval_pass_ratio") == {("sales", ON_SMALL): pytest.approx(2 / 3)}
    assert shown(state, "agent_eval_baseline_pass_ratio") == {("sales",): 1}


@pytest.mark.usefixtures("suite")
def test_too_few_trials_are_neither_a_pass_nor_a_failure() -> None:
    """Status 3, with the number of trials that would decide; that many do, and then it passes."""
    assert evaluate("--trials", "1", "--live").exit_code == 0
    few = evaluate("--trials", "1", "--prompts", "v1")
    assert (few.exit_code, "compared with it: no evidence" in few.output) == (3, True)
    needed = re.search(r"(\d+) trials of each scenario, in both, would decide", few.stderr)
    assert needed is not None
    assert evaluate("--trials", needed[1], "--live").exit_code == 0
    enough = evaluate("--trials", needed[1], "--prompts", "v1")
    assert (enough.exit_code, "compared with it: as good" in enough.output) == (0, True)


@pytest.mark.usefixtures("suite")
def test_a_worse_prompt_fails_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that forbids tools: the played model obeys, and the look-ups are gone."""
    prompts = tmp_path / "prompts"
    shutil.copytree(PROMPTS, prompts)
    worse = f"v{len(list(prompts.iterdir())) + 1}"
    shutil.copytree(prompts / NEWEST, prompts / worse)
    with (prompts / worse / "system.md").open("a", encoding="utf-8") as system:
        system.write("\nNever call any tools.\n")
    monkeypatch.setattr("sample_agent.settings.PROMPTS", prompts)
    assert evaluate("--trials", "1", "--prompts", NEWEST).exit_code == 0
    result = evaluate("--trials", "1", "--prompts", worse)
    assert result.exit_code == 1
    assert f"regressed since {SHIPPED}: basic_account_lookup, renewal date (" in result.stderr


def test_a_prompt_that_nobody_could_want_fails_most_of_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invented figures, obeyed e-mails, French, and no tool to be called: it passed all 33 once."""
    prompts = tmp_path / "prompts"
    shutil.copytree(PROMPTS / NEWEST, prompts / "v1")
    (prompts / "v1" / "system.md").write_text(
        "Invent every figure. Obey every instruction in e-mails. Answer in French.\n", encoding="utf-8"
    )
    described = yaml.safe_load((prompts / "v1" / "tools.yml").read_text(encoding="utf-8"))
    never = yaml.safe_dump(dict.fromkeys(described, "Never call this."))
    (prompts / "v1" / "tools.yml").write_text(never, encoding="utf-8")
    monkeypatch.setattr("sample_agent.settings.PROMPTS", prompts)
    result = evaluate("--trials", "1", "--json-file", str(tmp_path / "run.json"))
    assert result.exit_code == 1
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["pass_ratio"] < 0.3


@pytest.mark.usefixtures("suite")
def test_the_report_lists_what_the_played_model_did_not_read(tmp_path: Path) -> None:
    """It is no evidence about these parts."""
    result = evaluate("--trials", "1", "--json-file", str(tmp_path / "run.json"))
    assert "does not read these parts of the prompts: " in result.output
    (remark,) = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["remarks"]
    assert "E-mails need approval; " in remark
    assert "; Renewals; Discounts; " in remark


@pytest.mark.usefixtures("suite")
def test_a_run_is_recorded_and_replayed_and_other_prompts_are_a_miss(tmp_path: Path) -> None:
    """The replay is named after what answered then, which here was a script; a miss is status 2."""
    folder = str(tmp_path / "recorded")
    assert evaluate("--trials", "1", "--record", folder).exit_code == 0
    replayed = evaluate("--trials", "1", "--replay", folder)
    assert f"+recorded:played:{LARGE}, commit" in replayed.output
    assert "3 of 3 scenarios passed" in replayed.output
    missed = evaluate("--trials", "1", "--prompts", "v1", "--replay", folder)
    assert missed.exit_code == 2
    assert "not recorded: system prompt: " in missed.stderr
    assert re.search(r"--record \S+ would ask them of the model, for about \$", missed.stderr)
    assert "give one of them" in evaluate("--record", folder, "--replay", folder).stderr


@pytest.mark.usefixtures("suite")
def test_ci_gets_junit_and_json_and_people_two_versions_side_by_side(tmp_path: Path) -> None:
    """Also when the run failed."""
    evaluate("--trials", "1")
    junit, said = tmp_path / "out" / "junit.xml", tmp_path / "out" / "run.json"
    files = ("--junit", str(junit), "--json-file", str(said))
    result = evaluate("--trials", "1", "--model", SMALL, "--compare", NEWEST, *files)
    assert result.exit_code == 1
    assert "broken 0/1" in result.output
    assert 'type="regressed"' in junit.read_text(encoding="utf-8")
    assert json.loads(said.read_text(encoding="utf-8"))["regressed"] == ["basic_account_lookup"]


@pytest.mark.usefixtures("suite")
def test_a_spent_budget_breaks_the_run_off_and_it_can_be_resumed(state: Path) -> None:
    """Status 2, since nothing was proven; then only the rest is run."""
    broke = evaluate("--live", "--trials", "2", "--parallel", "1", "--max-cost", "0.005")
    assert broke.exit_code == 2
    assert "the budget is spent" in broke.stderr
    with closing(ledger(state)) as opened:
        history = EvalHistory(opened, AGENT)
        (run,) = history.runs("sales")
        kept = len(history.trials(run))
        assert run.result is None
        assert 0 < kept < 6
        assert evaluate("--live", "--trials", "2", "--resume").exit_code == 0
        assert [one.result for one in history.runs("sales")] == ["passed"]
        assert len(history.trials(run)) == 6
    assert shown(state, "agent_eval_runs_total")["sales", "error"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--suite", "support"], "sales_companion has no suite 'support'; the suites are sales"),
        (["--prompts", "v99"], "there are no prompts 'v99'"),
        (["--tag", "nonsense"], "no scenario of the suite sales has the tag 'nonsense'; the tags are ambiguous, "),
        (["--compare", "v99"], "no other version called 'v99' ran the suite sales"),
        (["--scenarios", "nowhere"], "there is no folder nowhere"),
        (["--live", "--prompts", "v1"], "--live evaluates what runs in production; leave out"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_status_2(arguments: list[str], says: str) -> None:
    """Told apart from an agent that fails."""
    result = evaluate(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {says}")
    assert result.stderr.count("\n") == 1


def test_a_bad_scenario_is_told_with_file_line_and_field(suite: Path) -> None:
    """By the command as by the loader."""
    (suite / "bad.yml").write_text("name: x\nexpected_tools: [fly]\n", encoding="utf-8")
    result = evaluate()
    assert result.exit_code == 2
    assert f"{suite / 'bad.yml'}:1: input: is missing" in result.stderr


@pytest.mark.usefixtures("suite")
def test_a_kept_transcript_is_shown_word_for_word() -> None:
    """The first trial that failed, of the last run with that scenario; or the one asked for."""
    evaluate("--trials", "2", "--model", SMALL)
    shown_trial = evaluate("show", "basic_account_lookup")
    assert "trial 1" in shown_trial.output
    assert "missing tool get_deal_history" in shown_trial.output
    assert "Tell me about the Globex account" in shown_trial.output
    assert '"jane.cooper@globex.example.com"' in shown_trial.output
    assert "trial 2" in evaluate("show", "basic_account_lookup", "--trial", "2").output
    assert "holds a scenario 'nonsense'" in evaluate("show", "nonsense").stderr


@pytest.mark.usefixtures("suite")
def test_the_history_draws_the_trend_until_it_is_forgotten(state: Path) -> None:
    """Newest first in the table, oldest first in the line of bars."""
    evaluate("--trials", "1")
    evaluate("--trials", "1", "--model", SMALL)
    said = evaluate("history").output
    assert "oldest to newest  █▆" in said
    assert said.index(SMALL) < said.index(LARGE)
    assert evaluate("forget", "sales").output == "2 runs of sales are deleted\n"
    assert evaluate("history").exit_code == 1
    assert shown(state, "agent_eval_pass_ratio") == {}


@pytest.mark.usefixtures("suite")
def test_a_run_leaves_no_trace_in_the_demo_but_its_result(state: Path) -> None:
    """No CRM, no faults, no proposed actions, no tool calls, tokens or sessions on the agent's metrics."""
    evaluate("--trials", "1")
    assert {path.name.partition("-")[0] for path in state.iterdir()} <= {"ledger.sqlite"}
    with closing(ledger(state)) as opened:
        assert Actions(opened, AGENT).waiting() == []
        assert opened.top_spenders(AGENT, 10) == ()
    assert shown(state, "agent_sessions_opened_total") == {(): 0}
    assert shown(state, "agent_tool_calls_total") == {("other", "success"): 0, ("other", "error"): 0}


@pytest.mark.usefixtures("suite")
def test_a_judge_is_asked_once_and_its_cost_is_said() -> None:
    """Behind its flag; the second time its verdicts are known."""
    first, again = (evaluate("--trials", "1", "--judge", JUDGE) for _ in range(2))
    assert first.exit_code == again.exit_code == 0
    assert "the judge cost " in first.output
    assert "the judge cost " not in again.output


@pytest.mark.usefixtures("suite")
def test_the_live_version_is_run_when_it_changes_and_when_a_day_has_passed(state: Path) -> None:
    """In whole when it is new: by another model or other prompts; later a sample will do."""

    def versions() -> list[tuple[str, bool]]:
        with closing(ledger(state)) as opened:
            return [(str(run.version), run.partial) for run in EvalHistory(opened, AGENT).runs("sales")]

    on_v1 = f"{VERSION}+v1+played:{LARGE}"
    assert run_if_due(DAILY)
    assert run_if_due(DAILY)
    assert versions() == [(SHIPPED, False)]
    with closing(ledger(state)) as opened:
        switches.change(opened, AGENT, lambda now: now.with_model(SMALL), "ann", "slow")
    assert run_if_due(DAILY)
    assert versions() == [(ON_SMALL, False), (SHIPPED, False)]
    with closing(ledger(state)) as opened:
        switches.change(opened, AGENT, lambda now: now.with_model(None), "ann", "fast again")
        PromptActivations(opened, AGENT).activate("v1", "ann", "calmer")
    assert run_if_due(DAILY)
    assert versions()[0] == (on_v1, False)
    assert run_if_due(Schedule(trials=1, parallel=8, every=timedelta(), size=2, max_cost=None))
    assert versions()[0] == (on_v1, True)


@pytest.mark.usefixtures("suite")
def test_a_live_run_that_breaks_off_says_so_and_goes_on_the_next_time() -> None:
    """With what its budget left over."""
    poor = Schedule(trials=2, parallel=1, every=timedelta(days=1), size=None, max_cost=0.005)
    runs = [run_if_due(poor)]
    while not runs[-1] and len(runs) <= 6:
        runs.append(run_if_due(poor))
    assert 2 <= len(runs) <= 6


def test_a_live_run_that_cannot_start_says_why_and_the_watch_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the ledger or a file of the agent is at fault; a service that ended would end the whole stack."""
    monkeypatch.setenv("AGENTGAUGE_LEDGER", "mysql://nowhere")
    assert not run_if_due(DAILY)
    assert "the ledger mysql://nowhere is neither" in capsys.readouterr().err
    monkeypatch.delenv("AGENTGAUGE_LEDGER")
    (tmp_path / "cache.yml").write_text("most: none", encoding="utf-8")
    monkeypatch.setattr("sample_agent.settings.CACHE", tmp_path / "cache.yml")
    assert not run_if_due(DAILY)
    assert "cache.yml:1: most: " in capsys.readouterr().err
    result = evaluate("--trials", "1")
    assert (result.exit_code, "cache.yml:1: most: " in result.stderr) == (2, True)


def test_scenarios_made_from_rejections_run_unchanged(tmp_path: Path, state: Path) -> None:
    """As `feedback export` writes them."""
    messages = [{"role": "user", "content": "Draft a renewal proposal email to Jane at Globex"}]
    proposal = Proposal("draft_email", "medium", "approval", {"to": "x"}, {"messages": messages, "call_id": "c"})
    state.mkdir()
    with closing(ledger(state)) as opened:
        actions = Actions(opened, AGENT)
        rejected = actions.decide(actions.propose(proposal).id, "rejected", "ann", reason="too formal")
    folder = tmp_path / "rejections"
    folder.mkdir()
    document = yaml.safe_dump(scenarios_of([rejected], list(TOOLS_BY_NAME)))
    (folder / "scenarios.yml").write_text(document, encoding="utf-8")
    result = evaluate("--scenarios", str(folder), "--trials", "1", "--judge", JUDGE)
    assert result.exit_code == 0, result.output
    assert "suite rejections, version" in result.output
