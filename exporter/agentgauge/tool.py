"""A tool as its agent declares it: name, arguments, risk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgauge.json_schema import check_value
from agentgauge.vocabulary import Risk


@dataclass(frozen=True)
class Tool:
    """One tool of an agent.

    ``arguments`` is the JSON schema of its arguments, an object schema. ``risk`` is written here and only here; a tool
    of unknown risk is high. ``side_effect`` says whether a call changes anything outside the agent. ``has_fallback``
    says that it can be answered from a fallback source while its real one is down.
    ``preview`` says what a call with these arguments would do now, as plain fields (recipient, subject, text, price),
    and does nothing; people decide on that, and it raises what is wrong with a call that could not be carried out.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    risk: Risk = "high"
    side_effect: bool = True
    has_fallback: bool = False
    preview: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

    @property
    def argument_names(self) -> list[str]:
        """The names of its arguments, in the order of the schema."""
        return list(self.arguments.get("properties", {}))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Check arguments against the schema; raises ValueError naming the first field that does not fit, and why."""
        check_value(arguments, {"type": "object", **self.arguments})
