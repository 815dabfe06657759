"""What a runbook asks first is read soon after the page, when most of what it looks back on was still fine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.alerts.promtool import rules_of
from tests.runbooks.pages import alert_pages, promql_blocks, sections


def test_an_outage_of_two_minutes_is_not_taken_for_its_end(programs: dict[str, Path], tmp_path: Path) -> None:
    """AgentAllToolCallsFailing comes within a minute; "success again" must mean successes since."""
    alert = "AgentAllToolCallsFailing"
    query = promql_blocks(sections(alert_pages()[alert])["Diagnosis"])[0]
    calls = 'agent_tool_calls_total{agent="sales_companion", '
    series = {
        f'{calls}tool="crm", outcome="success"}}': "0+5x80 400x20",
        f'{calls}tool="crm", outcome="error"}}': "0x80 5+5x19",
        f'{calls}tool="mail", outcome="success"}}': "0+5x80 400x20",
        f'{calls}tool="mail", outcome="error"}}': "0x80 5+5x19",
    }
    asked = {
        f'count by (alertname) (ALERTS{{alertname="{alert}", alertstate="firing"}})': {"21m15s": {alert: 1}},
        f"count by (outcome) ({query})": {"20m": {"success": 2}, "22m15s": {"error": 2}},
    }
    tests = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": at,
                "exp_samples": [
                    {"labels": f'{{{"outcome" if "outcome" in expr else "alertname"}="{label}"}}', "value": value}
                    for label, value in rows.items()
                ],
            }
            for expr, moments in asked.items()
            for at, rows in moments.items()
        ],
    }
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [rules_of(alert)]}), encoding="utf-8")
    file = tmp_path / "test.yml"
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": [tests]}
    file.write_text(json.dumps(content), encoding="utf-8")
    done = subprocess.run([programs["promtool"], "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
