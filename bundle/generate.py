"""``python -m bundle.generate``: the committed bundle, rendered for the demo, and what else the thresholds decide."""

from __future__ import annotations

import sys
from pathlib import Path

from alerts import docs, thresholds
from alerts.deployment import DEMO
from alerts.rules import render
from alerts.thresholds import ThresholdError, Thresholds
from bundle.errors import PROBLEMS
from bundle.files import bundle_files

ROOT = Path(__file__).resolve().parent.parent

COMMITTED = {
    "prometheus.yml": "alerts/prometheus.yml",
    "alertmanager.yml": "alerts/alertmanager.yml",
    "templates": "alerts/templates",
    "rules": "alerts/rules",
    "dashboards": "dashboards/generated",
    "runbooks": "runbooks",
}
"""Where the repository has each part of the bundle."""


def generate(root: Path = ROOT) -> list[Path]:
    """Bring every generated file under ``root`` up to date; returns those that changed."""
    numbers = thresholds.load(root / "alerts" / "thresholds.yml")
    files = {root / committed(name): text for name, text in bundle_files(DEMO, numbers).items()}
    files[root / "exporter" / "agentgauge" / "_limits.py"] = _limits(numbers)
    readme = root / "README.md"
    table = docs.alert_table(render(numbers), "runbooks/")
    files[readme] = docs.replace_block(readme.read_text(encoding="utf-8"), "alerts", table, where="README.md")
    return [path for path, text in files.items() if _write(path, text)]


def committed(name: str) -> str:
    """The path in the repository of a file of the bundle."""
    part, _, rest = name.partition("/")
    return f"{COMMITTED[part]}/{rest}".rstrip("/")


def _limits(numbers: Thresholds) -> str:
    calls, cost = (_limit(numbers, name) for name in ("AgentSessionLooping", "AgentSessionCostHigh"))
    return (
        "# Generated from alerts/thresholds.yml by `make generate`; do not edit.\n"
        '"""The per-session limits that the bundle\'s alerts are built on."""\n\n'
        f"SESSION_TOOL_CALLS = {calls:.0f}\n"
        f"SESSION_COST_USD = {cost}\n"
    )


def _limit(numbers: Thresholds, alert: str) -> float:
    threshold = numbers.alerts[alert].threshold
    if threshold is None:
        raise ThresholdError(f"{numbers.path.name}:{numbers.alerts[alert].line}: {alert}.threshold is missing")
    return threshold.value


def _write(path: Path, text: str) -> bool:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


if __name__ == "__main__":
    try:
        changed = generate()
    except PROBLEMS as error:
        sys.exit(f"error: {error}")
    sys.stdout.write("".join(f"wrote {path.relative_to(ROOT)}\n" for path in changed))
    sys.stdout.write(f"generated: {len(changed)} file(s) changed\n")
