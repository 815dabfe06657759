"""The README's example runs, its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import parse

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_as_it_stands(fake_api: str) -> None:
    """Copied word for word, with a server that speaks the Messages API; its /metrics shows what it did."""
    (example,) = re.findall(r"<!-- example: run by tests/test_readme.py -->\n```python\n(.*?)```", README, re.DOTALL)
    example = example.replace("gauge.serve(port=9464)", "server = gauge.serve(port=0)")
    show = "\nimport urllib.request\nprint(urllib.request.urlopen(server.url).read().decode())"
    env = os.environ | {"ANTHROPIC_API_KEY": "fake-key", "ANTHROPIC_BASE_URL": fake_api}
    result = subprocess.run(
        [sys.executable, "-c", example + show], env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    shown = result.stdout
    labels = 'agent="sales_companion"'
    assert f'agent_tool_calls_total{{{labels},outcome="success",tool="search_crm_contacts"}} 1.0' in shown
    assert f'agent_llm_calls_total{{{labels},model="claude-opus-5-5",outcome="success"}} 1.0' in shown
    assert f'agent_tasks_total{{{labels},outcome="completed"}} 1.0' in shown
    cost = re.search(r'agent_llm_cost_usd_total{.*model="claude-opus-5-5",step="other"} (\S+)', shown)
    assert cost
    assert float(cost[1]) > 0


def test_the_figures_of_the_bench_are_those_of_its_last_run() -> None:
    """The README and docs/overhead.md tell of the same one."""
    overhead = (ROOT / "docs" / "overhead.md").read_text(encoding="utf-8")

    def row(section: str, name: str) -> list[str]:
        (rest,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", overhead, re.DOTALL | re.MULTILINE)
        (cells,) = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", rest, re.MULTILINE)
        return [cell.strip() for cell in cells.split("|")]

    nanoseconds, ratio, *_ = row("One instrumented tool call, with a session in force", "+ AgentGauge")
    plain, plain_ratio, stream, stream_ratio = row("CPU of one LLM call in the agent's process", "+ AgentGauge")
    _, priced, memory = row("Start, in a fresh interpreter", "beside the anthropic SDK")
    scrape = re.search(r"(\d+ series), .*, ([\d.]+ ms) of CPU", overhead)
    assert scrape
    for figures in (
        f"{ratio} × the bare Prometheus increments ({float(nanoseconds.replace(',', '')) / 1e3:.1f} µs)",
        f"{plain} µs / {stream} µs: {float(plain_ratio):.0%} / {float(stream_ratio):.0%}".replace("%", " %"),
        f"{float(priced):.2f} s, {memory} MiB",
        f"scrape of {scrape[1]}, as it is served | {scrape[2]}",
    ):
        assert figures in README


def test_the_first_run_takes_as_long_as_it_did() -> None:
    """The README and docs/first-run.md tell of the same runs."""
    first_run = (ROOT / "docs" / "first-run.md").read_text(encoding="utf-8")
    seconds = sorted(map(int, re.findall(r"nothing fetched before \|.*?\|.*?\| (\d+) s \|", first_run)))
    assert f"nothing fetched before | [{seconds[0]}–{seconds[-1]} s](docs/first-run.md)" in README


def test_the_outage_pages_as_soon_as_it_did_in_containers() -> None:
    """The README and docs/containers.md tell of the same run."""
    containers = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
    ((paged, resolved),) = re.findall(r"paged in (\d+ s), resolved in (\d+ s)", containers)
    assert f"| fault → page, CRM outage | {paged}, [all-clear {resolved} after mending](docs/containers.md) |" in README


COMMANDS = sorted({line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()})


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith(("python -m", "agentgauge "))])
def test_every_command_exists(command: str) -> None:
    """The program's own parser takes it."""
    parse(command)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("make")])
def test_every_make_command_exists(command: str) -> None:
    """make knows the target."""
    result = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w/.-]+)\)", README))))
def test_every_link_into_the_repository_leads_somewhere(path: str) -> None:
    """No dead links on the first page."""
    assert (ROOT / path).exists()
