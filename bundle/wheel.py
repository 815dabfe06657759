"""Hatch's build hook: puts what `agentgauge bundle` renders from into the wheel, under ``agentgauge/_bundle``.

Not as packages: ``alerts`` and ``dashboards`` are too common as names. The command runs ``python -P -m bundle`` with
that folder on PYTHONPATH. An editable install has the rooms themselves, so it gets no copy that would grow old.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = (
    "alerts/**/*.py",
    "alerts/thresholds.yml",
    "alerts/templates/*.tmpl",
    "bundle/**/*.py",
    "bundle/templates/*.yml",
    "dashboards/**/*.py",
    "runbooks/agents.js",
    "runbooks/mkdocs.yml",
    "runbooks/site.css",
    "runbooks/templates/*.md",
)
"""What is rendered from; what was rendered for the demo, and the README's pictures, stay out."""


class RoomsInWheel(BuildHookInterface[Any]):
    """Adds the rooms to the files of the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; ``version`` is standard or editable."""
        if version == "editable":
            return
        root = Path(self.root)
        for pattern in ROOMS:
            paths = sorted(root.glob(pattern))
            if not paths:
                raise FileNotFoundError(f"{pattern} names no file: the wheel would lack part of the bundle")
            for path in paths:
                build_data["force_include"][str(path)] = f"agentgauge/_bundle/{path.relative_to(root).as_posix()}"
