"""The packages of Inspect AI and promptfoo themselves read the runs that `eval export` writes."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentgauge.evals.exporting import as_inspect, as_promptfoo
from agentgauge.evals.history import Run, Trial, Version
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


def test_inspect_reads_the_log_with_calls_and_scores(tmp_path: Path) -> None:
    """By its own read_eval_log, in an environment of its own."""
    home = HOME / "formats" / "inspect"
    python, uv = home / "bin" / "python", ROOT / ".venv" / "bin" / "uv"
    if not python.exists():
        run(uv, "venv", "-q", home)
    run(uv, "pip", "install", "-q", "--python", python, INSPECT)
    log = tmp_path / "log.json"
    log.write_text(json.dumps(as_inspect(RUN, TRIALS)), encoding="utf-8")
    read = run(python, "-c", READ_LOG, log)
    assert read.split() == ["success", "smoke", "2", "look-up", "2", "I", "look_up", "nobody"]


def test_promptfoo_imports_the_results_and_shows_each_trial(tmp_path: Path) -> None:
    """By `promptfoo import`, and what it shows of it."""
    home = HOME / "formats" / "promptfoo"
    home.mkdir(parents=True, exist_ok=True)
    main = home / "node_modules" / "promptfoo" / "dist" / "src" / "main.js"
    quiet = {"PROMPTFOO_CONFIG_DIR": str(tmp_path), "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"}
    if not main.exists():
        run("npm", "install", "--prefix", home, "--omit=optional", "--ignore-scripts", "--no-audit", *PROMPTFOO)
    results = tmp_path / "results.json"
    results.write_text(json.dumps(as_promptfoo(RUN, TRIALS)), encoding="utf-8")
    assert "successfully imported" in run("node", main, "import", results, **quiet)
    shown = run("node", main, "show", "eval", "eval-agentgauge-abc123abc123", **quiet)
    assert "[PASS] I found no one." in shown
    assert "[FAIL]" in shown
