"""The packages of Inspect AI and promptfoo themselves: they read what `eval export` writes, and judge as we do."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from agentgauge.agent_app import AgentApp
from agentgauge.evals.checks import check
from agentgauge.evals.exporting import as_inspect, as_promptfoo
from agentgauge.evals.history import Run, Trial, Version
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import Called, Said, TrialTranscript
from stack.layout import HOME, ROOT

pytestmark = [pytest.mark.formats, pytest.mark.timeout(3600)]  # the first time, hundreds of packages are installed

INSPECT = "inspect-ai==0.3.285"
PROMPTFOO = ("promptfoo@0.121.20", "@libsql/linux-x64-gnu")
"""Of its optional packages, only the database that it cannot do without."""

READ_LOG = """
import sys
from inspect_ai.log import read_eval_log
log = read_eval_log(sys.argv[1])
sample = log.samples[-1]
print(log.status, log.eval.task, len(log.samples), sample.id, sample.epoch, sample.scores["agentgauge"].value,
      sample.messages[1].tool_calls[0].function, sample.messages[2].error.message)
"""

WRITE_SAMPLES = """
import sys
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser
talk = [ChatMessageSystem(content="Be brief."), ChatMessageUser(content="Hi"), ChatMessageUser(content="Why?")]
samples = [
    Sample(id="capital", input="Capital of France?", target="Paris", metadata={"from": "a quiz"}),
    Sample(id="river", input="Its river?", target=["Seine"]),
    Sample(id=3, input=talk, target="because"),
]
with open(sys.argv[1], "w") as file:
    file.writelines(sample.model_dump_json() + "\\n" for sample in samples)
"""

JUDGE_SAMPLES = """
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import json_dataset
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
answers = [ModelOutput.from_content("mockllm/model", text) for text in sys.argv[3:]]
for answer in answers:
    answer.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # or it loads a tokenizer to count them
(log,) = eval(
    Task(dataset=json_dataset(sys.argv[1]), scorer=includes()),
    model=get_model("mockllm/model", custom_outputs=answers), display="none", log_dir=sys.argv[2], max_samples=1,
)
print(*(f'{sample.id}={sample.scores["includes"].value}' for sample in log.samples))
"""

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = Run("abc123abc123", "smoke", Version("1", "v2", "large"), "abc", False, START, START, "failed")
SAID = TrialTranscript(
    (Said("user", "Who?"), Called("look_up", {"name": "Globex"}, "nobody", ok=False), Said("agent", "I found no one.")),
    2,
    0.01,
)
TRIALS = [
    Trial("look-up", number, float(good), good, 2, 0.01, 0.0, 0.5, () if good else ("bad",), SAID.as_json())
    for number, good in ((1, True), (2, False))
]


def run(*command: str | Path, **environment: str) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python with Inspect AI, in an environment of its own."""
    home = HOME / "formats" / "inspect"
    made, uv = home / "bin" / "python", ROOT / ".venv" / "bin" / "uv"
    if not made.exists():
        run(uv, "venv", "-q", home)
    run(uv, "pip", "install", "-q", "--python", made, INSPECT)
    return made


@pytest.fixture(scope="module")
def promptfoo() -> Path:
    """The program of promptfoo."""
    home = HOME / "formats" / "promptfoo"
    home.mkdir(parents=True, exist_ok=True)
    main = home / "node_modules" / "promptfoo" / "dist" / "src" / "main.js"
    if not main.exists():
        run("npm", "install", "--prefix", home, "--omit=optional", "--ignore-scripts", "--no-audit", *PROMPTFOO)
    return main


def quiet(folder: Path) -> dict[str, str]:
    """What promptfoo is told, so that it keeps to itself."""
    return {
        "PROMPTFOO_CONFIG_DIR": str(folder), "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_FAILED_TEST_EXIT_CODE": "0",
    }  # fmt: skip  # one line less


def loaded(file: Path) -> dict[str, Scenario]:
    """The scenarios of a dataset of another tool, by name."""
    return {one.name: one for one in AgentApp("bot", "sqlite://").load_scenarios(file)}


def passes(scenario: Scenario, answer: str) -> bool:
    """Whether a trial with this answer meets all that a scenario demands."""
    said = TrialTranscript((Said("user", scenario.input), Said("agent", answer)), 1, 0.0)
    return all(one.met for one in check(scenario, said))


def test_inspect_reads_the_log_with_calls_and_scores(python: Path, tmp_path: Path) -> None:
    """By its own read_eval_log."""
    log = tmp_path / "log.json"
    log.write_text(json.dumps(as_inspect(RUN, TRIALS)), encoding="utf-8")
    read = run(python, "-c", READ_LOG, log)
    assert read.split() == ["success", "smoke", "2", "look-up", "2", "I", "look_up", "nobody"]


def test_samples_that_inspect_writes_are_scenarios_and_judged_alike(python: Path, tmp_path: Path) -> None:
    """Written by its Sample class, with every field; its scorer `includes` and our checks agree on each answer."""
    samples = tmp_path / "samples.jsonl"
    run(python, "-c", WRITE_SAMPLES, samples)
    scenarios = loaded(samples)
    assert sorted(scenarios) == ["3", "capital", "river"]
    assert (scenarios["3"].input, scenarios["3"].turns) == ("Hi", ["Why?"])
    answers = {"capital": "It is PARIS.", "river": "The Rhine", "3": "Just because."}
    judged = run(python, "-c", JUDGE_SAMPLES, samples, tmp_path, *answers.values()).split()
    ours = {f"{name}={'C' if passes(scenarios[name], answer) else 'I'}" for name, answer in answers.items()}
    assert ours == set(judged) == {"capital=C", "river=I", "3=C"}


def test_promptfoo_imports_the_results_and_shows_each_trial(promptfoo: Path, tmp_path: Path) -> None:
    """By `promptfoo import`, and what it shows of it."""
    results = tmp_path / "results.json"
    results.write_text(json.dumps(as_promptfoo(RUN, TRIALS)), encoding="utf-8")
    assert "successfully imported" in run("node", promptfoo, "import", results, **quiet(tmp_path))
    shown = run("node", promptfoo, "show", "eval", "eval-agentgauge-abc123abc123", **quiet(tmp_path))
    assert "[PASS] I found no one." in shown
    assert "[FAIL]" in shown


ASSERTED = [
    ("Paris, of course", {"type": "icontains", "value": "paris"}, True),
    ("Rome", {"type": "icontains", "value": "paris"}, False),
    ("Paris", {"type": "contains", "value": "Paris"}, True),
    ("Rome", {"type": "contains", "value": "Paris"}, False),
    ("PARIS on the Seine", {"type": "icontains-all", "value": ["paris", "seine"]}, True),
    ("Paris", {"type": "icontains-all", "value": ["paris", "seine"]}, False),
    ("Paris on the Seine", {"type": "contains-all", "value": ["Paris", "Seine"]}, True),
    ("Seine", {"type": "contains-all", "value": ["Paris", "Seine"]}, False),
]
"""What is said, what is asserted of it, and whether that holds; promptfoo's provider ``echo`` says what it is asked."""


def test_tests_that_promptfoo_runs_are_scenarios_and_judged_alike(promptfoo: Path, tmp_path: Path) -> None:
    """It runs the very file that is read here, and both come to the same of each test."""
    config, results = tmp_path / "promptfooconfig.yaml", tmp_path / "results.json"
    tests = [
        {"description": f"test {number}", "vars": {"said": said}, "assert": [asserted]}
        for number, (said, asserted, _) in enumerate(ASSERTED)
    ]
    echoed = {"prompts": ["{{said}}"], "providers": ["echo"], "tests": tests}
    config.write_text(yaml.safe_dump(echoed), encoding="utf-8")
    run("node", promptfoo, "eval", "-c", config, "-o", results, "--no-cache", "--no-progress-bar", **quiet(tmp_path))
    rows = json.loads(results.read_text(encoding="utf-8"))["results"]["results"]
    theirs = {row["testCase"]["description"]: row["success"] for row in rows}
    ours = {name: passes(scenario, scenario.input) for name, scenario in loaded(config).items()}
    assert ours == theirs == {f"test {number}": holds for number, (_, _, holds) in enumerate(ASSERTED)}
