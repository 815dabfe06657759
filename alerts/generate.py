"""Write everything that follows from catalog and thresholds: rules, inhibition, fact boxes, tables, limits."""

from __future__ import annotations

from pathlib import Path

from alerts import docs, thresholds
from alerts.catalog import ALERTS
from alerts.rules import RenderedAlert, render, rule_files
from alerts.thresholds import ThresholdError, Thresholds

ROOT = Path(__file__).resolve().parent.parent


def generate(root: Path = ROOT) -> list[Path]:
    """Bring every generated file up to date; returns those that changed."""
    numbers = thresholds.load(root / "alerts" / "thresholds.yml")
    rendered = render(numbers)
    files = {root / "alerts" / "rules" / name: text for name, text in rule_files(rendered).items()}
    files[root / "exporter" / "agentgauge" / "_limits.py"] = _limits(numbers)
    files |= _pages(root, rendered)
    return [path for path, text in files.items() if _write(path, text)]


def inhibit_rules() -> str:
    """Alertmanager's ``inhibit_rules``: who mutes whom, as the catalog says."""
    lines = ["inhibit_rules:"]
    for alert in ALERTS:
        if alert.inhibits:
            lines += [
                f"  - source_matchers: ['alertname=\"{alert.name}\"']",
                f"    target_matchers: ['alertname=~\"{'|'.join(alert.inhibits)}\"']",
                f"    equal: [{', '.join(alert.inhibit_equal)}]",
            ]
    return "\n".join(lines)


def _pages(root: Path, rendered: list[RenderedAlert]) -> dict[Path, str]:
    pages: dict[Path, str] = {}
    for item in rendered:
        path = root / "runbooks" / f"{item.alert.name}.md"
        if not path.exists():
            raise FileNotFoundError(f"runbooks/{path.name} is missing: every alert has a page of its name")
        text = path.read_text(encoding="utf-8")
        pages[path] = docs.replace_block(text, "facts", docs.fact_box(item), where=f"runbooks/{path.name}")
    for name, folder in (("README.md", "runbooks/"), ("runbooks/index.md", "")):
        text = (root / name).read_text(encoding="utf-8")
        pages[root / name] = docs.replace_block(text, "alerts", docs.alert_table(rendered, folder), where=name)
    alertmanager = root / "alerts" / "alertmanager.yml"
    pages[alertmanager] = docs.replace_block(
        alertmanager.read_text(encoding="utf-8"),
        "inhibit_rules",
        inhibit_rules(),
        where="alerts/alertmanager.yml",
        comment=("#", ""),
    )
    return pages


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
