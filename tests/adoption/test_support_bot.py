"""A stranger's agent: examples/support_bot on the wheel alone, in an environment that has no repository at hand.

Its model is real and runs on this machine; nothing of what it answers is scripted.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.adoption.stranger import Environment, Process, add_bundle, deploy, make, say
from tests.ports import free_port
from tests.runbooks.pages import commands

pytestmark = pytest.mark.adoption

AGENTGAUGE = ("agentgauge", "--app", "app:app")
REFUND = "ben: Please refund $25 for order A-1003."
RUNBOOKS = ("AgentCostSpike", "AgentToolSuccessRateLow", "AgentApprovalQueueStalled")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Environment:
    """The empty environment: made once, in a minute or two; AGENTGAUGE_STRANGER names a folder to use again."""
    kept = os.environ.get("AGENTGAUGE_STRANGER")
    folder = Path(kept).absolute() if kept else tmp_path_factory.mktemp("stranger")
    try:
        return make(folder, programs["promtool"].parent)
    except SystemExit as missing:
        says = str(missing)
    pytest.fail(says, pytrace=False)


@pytest.fixture(scope="module")
def renderer(stranger: Environment) -> Environment:
    """The same, with what `agentgauge bundle` needs: the bot itself runs without."""
    add_bundle(stranger)
    return stranger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example's folder, with nothing in it but what a customer wrote."""
    return deploy(tmp_path)


def bot(stranger: Environment, folder: Path) -> AbstractContextManager[Process]:
    """The running bot, as a context."""
    return stranger.running("python", "run.py", "--port", "0", cwd=folder)


def scrape(process: Process) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Name and labels → value of all that the bot serves."""
    found = re.search(r"http://\S+/metrics", process.line_with("metrics at"))
    assert found is not None
    with urllib.request.urlopen(found[0], timeout=10) as answer:  # noqa: S310 - on loopback
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: dict[tuple[str, frozenset[tuple[str, str]]], float], metric: str, **labels: str) -> float:
    """The sum over all series of a metric with these labels."""
    return sum(
        value for (name, has), value in samples.items() if name == metric and labels.items() <= dict(has).items()
    )


def paid(folder: Path) -> list[dict[str, object]]:
    """The refunds that were paid: order and amount."""
    file = folder / "refunds.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [{name: json.loads(line)[name] for name in ("order", "usd")} for line in lines]


def waiting_action(process: Process) -> str:
    """The id of the action that the bot says it waits for."""
    found = re.search(r"\(([0-9a-f]+)\)", process.line_with("has to approve"))
    assert found is not None
    return found[1]


def test_nothing_but_the_wheel_is_at_hand(stranger: Environment, folder: Path) -> None:
    """The library comes from the environment; no other room of the repository can be imported."""
    code = "import agentgauge, app, importlib.util as u; print(agentgauge.__file__, app.app.name, {})"
    code = code.format("*[name for name in {} if u.find_spec(name)]")
    rooms = ["sample_agent", "stack", "alerts", "dashboards", "runbooks", "bundle", "tests"]
    printed = stranger.run("python", "-c", code.format(rooms), cwd=folder)
    path, *others = printed.split()
    assert Path(path).is_relative_to(stranger.bin.parent)
    assert others == ["support_bot"]


def test_the_real_models_tokens_and_money_are_counted(stranger: Environment, folder: Path) -> None:
    """Two calls of the model answer a ticket; /metrics has their tokens, time and cost, and none of their words."""
    with bot(stranger, folder) as process:
        process.write("anna: Where is my order A-1001?")
        assert "Tuesday" in process.line_with("anna: ")
        samples = scrape(process)
    llm = {"agent": "support_bot", "model": "smollm2-135m-instruct"}
    assert total(samples, "agent_llm_calls_total", **llm, outcome="success") == 2
    for kind in ("input", "output"):
        assert total(samples, "agent_llm_tokens_total", **llm, kind=kind) > 10
    assert 0 < total(samples, "agent_llm_cost_usd_total", **llm) < 0.001
    assert total(samples, "agent_llm_duration_seconds_sum", **llm) > 0
    assert total(samples, "agent_llm_unpriced_tokens_total") == 0
    assert total(samples, "agent_tool_calls_total", tool="look_up_order", outcome="success") == 1
    assert total(samples, "agent_tasks_total", outcome="completed") == 1
    assert total(samples, "agent_build_info", version="1.0", prompt_version="v2") == 1
    ours = [(name, dict(labels)) for name, labels in samples if name.startswith("agent_")]
    assert {labels.get("agent") for _, labels in ours} == {"support_bot"}
    assert not [one for one in ours if "A-1001" in str(one) or "anna" in str(one)]


def test_a_refund_waits_and_is_done_once_in_another_process(stranger: Environment, folder: Path) -> None:
    """The process that proposed it has ended; of two that are there when it is approved, one does it, once."""
    with bot(stranger, folder) as process:
        process.write(REFUND)
        action = waiting_action(process)
    assert process.exit_status == 0
    assert paid(folder) == []
    assert action in stranger.run(*AGENTGAUGE, "approvals", "list", cwd=folder)
    with bot(stranger, folder) as one, bot(stranger, folder) as other:
        one.line_with("metrics at")
        other.line_with("metrics at")
        assert paid(folder) == []
        stranger.run(*AGENTGAUGE, "approvals", "approve", action, cwd=folder)
        first = _first_to_say("efunded $25", one, other)
        assert "A-1003" in first.line_with("efunded $25")
        assert total(scrape(first), "agent_tool_calls_total", tool="refund_order", outcome="success") == 1
    assert paid(folder) == [{"order": "A-1003", "usd": 25}]
    assert "approved by ana" in stranger.run(*AGENTGAUGE, "approvals", "show", action, cwd=folder)


def test_a_rejected_refund_is_not_done(stranger: Environment, folder: Path) -> None:
    """The customer hears the reason."""
    with bot(stranger, folder) as process:
        process.write(REFUND)
        action = waiting_action(process)
        stranger.run(*AGENTGAUGE, "approvals", "reject", action, "--reason", "delivered, and used", cwd=folder)
        process.line_with("delivered, and used")
    assert paid(folder) == []


def test_the_bot_stops_at_its_budget(stranger: Environment, folder: Path) -> None:
    """The conversation's next ticket gets no call of the model, and the customer hears whom to ask for more."""
    budgets = folder / "budgets.yml"
    text = re.sub(
        r"session:\n  warn: \S+\n  stop: \S+", "session:\n  stop: 0.000001", budgets.read_text(encoding="utf-8")
    )
    budgets.write_text(text, encoding="utf-8")
    with bot(stranger, folder) as process:
        process.write("anna: How do I return an item?")
        process.line_with("anna: ")
        calls = total(scrape(process), "agent_llm_calls_total")
        process.write("anna: Where is my order A-1001?")
        assert "support-lead@example.com" in process.line_with("I have to stop here")
        assert total(scrape(process), "agent_llm_calls_total") == calls


def test_a_tool_that_people_switch_off_is_not_used_any_more(stranger: Environment, folder: Path) -> None:
    """It reaches the running bot within seconds; switched on again, it is used again."""
    with bot(stranger, folder) as process:
        _ask_until("Tuesday", process, "anna", seconds=0)
        stranger.run(*AGENTGAUGE, "ops", "disable-tool", "look_up_order", cwd=folder)
        _ask_until("a colleague will answer", process, "ben", seconds=10)
        stranger.run(*AGENTGAUGE, "ops", "enable-tool", "look_up_order", cwd=folder)
        _ask_until("Tuesday", process, "carl", seconds=10)


def test_evaluations_pass_with_the_prompts_in_force_and_fail_with_those_before(
    stranger: Environment, folder: Path
) -> None:
    """Exit status 0 lets a deploy go on, 1 stops it and names the scenarios; no refund is paid for it."""
    run = (*AGENTGAUGE, "eval", "run", "--trials", "1", "--parallel", "2")
    say("evaluating the prompts v2 and v1")
    assert "5 of 5 scenarios passed" in stranger.run(*run, cwd=folder)
    failed = stranger.attempt(*run, "--prompts", "v1", cwd=folder)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "refund_approved" in failed.stdout + failed.stderr
    assert paid(folder) == []


def test_a_run_on_the_real_model_is_recorded_and_replayed_and_other_prompts_are_a_miss(
    stranger: Environment, folder: Path
) -> None:
    """The replay needs no model and passes what passed; once the other prompts are recorded, they are replayed, too."""
    run = (*AGENTGAUGE, "eval", "run", "--trials", "1", "--parallel", "2")
    assert "5 of 5 scenarios passed" in stranger.run(*run, "--live", "--record", "rec", cwd=folder)
    replayed = stranger.attempt(*run, "--replay", "rec", cwd=folder)
    assert "recorded:smollm2" in replayed.stdout
    assert "5 of 5 scenarios passed" in replayed.stdout
    assert replayed.returncode == 3, "one trial of five scenarios is no evidence that a version is as good"
    missed = stranger.attempt(*run, "--prompts", "v1", "--replay", "rec", cwd=folder)
    assert (missed.returncode, "not recorded: " in missed.stderr) == (2, True)
    recorded = stranger.attempt(*run, "--prompts", "v1", "--record", "rec", cwd=folder)
    again = stranger.attempt(*run, "--prompts", "v1", "--replay", "rec", cwd=folder)
    for attempt in (recorded, again):
        assert (attempt.returncode, "3 of 5 scenarios passed" in attempt.stdout) == (1, True)


def test_spend_is_what_the_ledger_holds(stranger: Environment, folder: Path) -> None:
    """By pseudonym, costliest first; the money is that of the metrics."""
    with bot(stranger, folder) as process:
        for ticket in ("anna: Where is my order A-1001?", "anna: How do I reset my password?", "ben: Can I return it?"):
            process.write(ticket)
        process.line_with("ben: ")
        spent = total(scrape(process), "agent_llm_cost_usd_total")
    rows = json.loads(stranger.run(*AGENTGAUGE, "ops", "spend", "--json", cwd=folder))
    assert [row["turns"] for row in rows] == [2, 1]
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(spent)
    assert "anna" not in str(rows)


def test_the_bundle_is_of_this_agent_and_loads(renderer: Environment, folder: Path) -> None:
    """promtool and amtool accept what was rendered; no file names the agent of AgentGauge's own demo."""
    rendered = render(renderer, folder, 9093)
    renderer.run("promtool", "check", "config", rendered / "prometheus.yml", cwd=rendered)
    rules = sorted((rendered / "rules").glob("*.yml"))
    renderer.run("promtool", "check", "rules", "--lint-fatal", *rules, cwd=rendered)
    renderer.run("amtool", "check-config", rendered / "alertmanager.yml", cwd=rendered)
    files = [path for path in rendered.rglob("*") if path.suffix in {".md", ".yml", ".json", ".html", ".tmpl"}]
    assert len(files) > 60
    naming = [path.relative_to(rendered) for path in files if "sales_companion" in path.read_text(encoding="utf-8")]
    assert naming == []


def test_every_command_of_three_runbooks_works_on_the_running_bot(
    renderer: Environment, folder: Path, tmp_path: Path
) -> None:
    """In the order in which they stand, with the placeholders filled in as the page of an alert would say."""
    port = free_port()
    rendered = render(renderer, folder, port)
    alertmanager = (
        "alertmanager",
        f"--config.file={rendered / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    # Debian's build looks for its templates from where it is run.
    beside = (renderer.programs / "alertmanager").resolve().parent
    with bot(renderer, folder) as process, renderer.running(*alertmanager, cwd=beside, reads_input=False) as silencing:
        silencing.line_with("Listening on")
        process.write("anna: Where is my order A-1001?")
        process.line_with("anna: ")
        for number, page in enumerate(RUNBOOKS):
            written = commands((rendered / "runbooks" / f"{page}.md").read_text(encoding="utf-8"))
            assert len(written) >= 5, page
            for command in written:
                run = filled_in(command, renderer, folder, process, customer=f"customer{number}")
                say(run)
                renderer.run(*shlex.split(run), cwd=folder)


def render(stranger: Environment, folder: Path, alertmanager_port: int) -> Path:
    """The bundle for the bot, in a folder beside its own."""
    rendered = folder.parent / "monitoring"
    stranger.run(
        "agentgauge", "bundle", rendered, "--agent", "support_bot", "--job", "bots", "--app", "app:app",
        "--alertmanager-url", f"http://127.0.0.1:{alertmanager_port}", cwd=folder,
    )  # fmt: skip  # a command reads better as one
    return rendered


def filled_in(command: str, stranger: Environment, folder: Path, process: Process, customer: str) -> str:
    """A command of a page, its placeholders replaced by what there is."""

    def rows(*what: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(stranger.run(*AGENTGAUGE, *what, "--json", cwd=folder))
        return found

    def waiting_approval() -> str:
        if not rows("approvals", "list"):
            name = f"{customer}-{len(rows('ops', 'spend'))}"
            process.write(f"{name}: Please refund $25 for order A-1003.")
            process.line_with(f"{name}: One of us has to approve")
        return rows("approvals", "list")[0]["id"]

    def live_session() -> str:
        process.write(f"{customer}: How do I reset my password?")
        process.line_with(f"{customer}: ")
        return rows("ops", "sessions")[-1]["id"]

    stands_for: dict[str, Callable[[], str]] = {
        "APPROVAL_ID": waiting_approval,
        "SESSION_ID": live_session,
        "USER": lambda: rows("ops", "spend")[0]["user"],
        "CHEAPER_MODEL": lambda: "smollm2-135m-instruct",
        "LOOPING_TOOL": lambda: "look_up_order",
        "ACTING_TOOL": lambda: "refund_order",
        "TOOL": lambda: "look_up_order",
    }
    for placeholder, value in stands_for.items():
        if re.search(rf"\b{placeholder}\b", command):
            command = re.sub(rf"\b{placeholder}\b", value(), command)
    assert not re.search(r"\b[A-Z]{2,}_?[A-Z]*\b", command.partition("--reason")[0]), f"nothing to fill in: {command}"
    return command


def _ask_until(text: str, process: Process, customer: str, seconds: float) -> None:
    """Ask where an order is, as one customer after the other, until an answer has this text."""
    until = time.monotonic() + seconds
    for number in itertools.count():
        name = f"{customer}{number}"
        process.write(f"{name}: Where is my order A-1001?")
        said = process.line_with(f"{name}: ")
        if text in said:
            return
        assert time.monotonic() < until, f"after {seconds:.0f} s it still says: {said}"


def _first_to_say(text: str, *processes: Process) -> Process:
    """Whichever process prints this first."""
    pool = ThreadPoolExecutor(len(processes))
    asked = {pool.submit(process.line_with, text): process for process in processes}
    done, _ = wait(asked, return_when=FIRST_COMPLETED)
    pool.shutdown(wait=False)
    return asked[done.pop()]
