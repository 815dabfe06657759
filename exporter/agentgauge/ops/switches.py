"""What the on-call switches while the agent runs: tools off or to their fallback, the model, the tier of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from agentgauge.files.watched_file import WatchedFile, json_reader, write_json

FILE_NAME = "switches.json"


@dataclass(frozen=True)
class Switches:
    """``disabled_tools`` are not offered to the model; ``model`` replaces the one that plans and answers.

    ``tiers`` are those of the steps that do not run on the configured one. ``fallback_tools`` are answered from last
    night's copy of the CRM.
    """

    disabled_tools: tuple[str, ...] = ()
    model: str | None = None
    tiers: Mapping[str, str] = field(default_factory=dict)
    fallback_tools: tuple[str, ...] = ()

    def without(self, tool: str) -> Switches:
        """With this tool off."""
        return replace(self, disabled_tools=tuple(sorted({*self.disabled_tools, tool})))

    def with_tool(self, tool: str) -> Switches:
        """With this tool on."""
        return replace(self, disabled_tools=tuple(name for name in self.disabled_tools if name != tool))

    def with_fallback(self, *tools: str) -> Switches:
        """With these tools on their fallback."""
        return replace(self, fallback_tools=tuple(sorted({*self.fallback_tools, *tools})))

    def without_fallback(self, *tools: str) -> Switches:
        """With these tools on the real CRM again."""
        return replace(self, fallback_tools=tuple(name for name in self.fallback_tools if name not in tools))

    def with_tier(self, step: str, tier: str | None) -> Switches:
        """With a step on this tier, None for the configured one."""
        others = {name: used for name, used in self.tiers.items() if name != step}
        return replace(self, tiers=others if tier is None else {**others, step: tier})


def switch_file(directory: Path) -> WatchedFile[Switches]:
    """The switches in force in the state folder."""
    return WatchedFile(directory / FILE_NAME, json_reader(_parse), Switches())


def write(directory: Path, switches: Switches) -> None:
    """Put these switches in force; a running agent sees them at its next call."""
    write_json(directory / FILE_NAME, asdict(switches))


def _parse(document: Any) -> Switches:
    if not isinstance(document, dict) or document.keys() - {field.name for field in fields(Switches)}:
        raise ValueError(f"expected an object with {', '.join(field.name for field in fields(Switches))}")
    tools, fallbacks = _names(document, "disabled_tools"), _names(document, "fallback_tools")
    model = document.get("model")
    if not isinstance(model, str | None):
        raise ValueError("model is not a name")
    tiers = document.get("tiers", {})
    if not isinstance(tiers, dict) or not all(isinstance(tier, str) for tier in tiers.values()):
        raise ValueError("tiers is not a name of a tier for each step")
    return Switches(tools, model, tiers, fallbacks)


def _names(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = document.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{key} is not a list of names")
    return tuple(names)
