"""``python -m bundle.generate``: the committed bundle, rendered for the demo, and the README's table."""

from __future__ import annotations

import sys
from pathlib import Path

from alerts import docs, thresholds
from alerts.deployment import DEMO
from alerts.rules import render
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
    readme = root / "README.md"
    table = docs.alert_table(render(numbers), "runbooks/")
    files[readme] = docs.replace_block(readme.read_text(encoding="utf-8"), "alerts", table, where="README.md")
    return [path for path, text in files.items() if _write(path, text)]


def committed(name: str) -> str:
    """The path in the repository of a file of the bundle."""
    part, _, rest = name.partition("/")
    return f"{COMMITTED[part]}/{rest}".rstrip("/")


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
