"""What the on-call switches while the agent runs: tools off and on, and the model that plans."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sample_agent.state_file import WatchedFile, write_json

FILE_NAME = "switches.json"


@dataclass(frozen=True)
class Switches:
    """``disabled_tools`` are not offered to the model; ``model`` replaces the one that plans and answers."""

    disabled_tools: tuple[str, ...] = ()
    model: str | None = None

    def without(self, tool: str) -> Switches:
        """With this tool off."""
        return replace(self, disabled_tools=tuple(sorted({*self.disabled_tools, tool})))

    def with_tool(self, tool: str) -> Switches:
        """With this tool on."""
        return replace(self, disabled_tools=tuple(name for name in self.disabled_tools if name != tool))


def switch_file(directory: Path) -> WatchedFile[Switches]:
    """The switches in force in the state folder."""
    return WatchedFile(directory / FILE_NAME, _parse, Switches())


def write(directory: Path, switches: Switches) -> None:
    """Put these switches in force; a running agent sees them at its next call."""
    write_json(directory / FILE_NAME, asdict(switches))


def _parse(document: Any) -> Switches:
    if not isinstance(document, dict) or document.keys() - {"disabled_tools", "model"}:
        raise ValueError("expected an object with disabled_tools and model")
    tools, model = document.get("disabled_tools", []), document.get("model")
    if not isinstance(tools, list) or not all(isinstance(tool, str) for tool in tools):
        raise ValueError("disabled_tools is not a list of names")
    if not isinstance(model, str | None):
        raise ValueError("model is not a name")
    return Switches(tuple(tools), model)
