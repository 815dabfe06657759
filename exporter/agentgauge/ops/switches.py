"""What the on-call switches while the agent runs: tools off or to their fallback, the model, the tier of a step.

The switches in force are those of the newest operation ``switches`` in the ledger. A process reads them when it starts
and follows them in memory from then on, so that its requests never wait for the ledger, and the last known ones stay in
force while the ledger cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentgauge.gauge import AgentGauge
    from agentgauge.ledger.store import Ledger
    from agentgauge.ops.operations import Operation


@dataclass(frozen=True)
class Switches:
    """``disabled_tools`` are not offered to the model; ``model`` replaces the one that plans and answers.

    ``tiers`` are those of the steps that do not run on the configured one. ``fallback_tools`` are answered from their
    fallback source.
    """

    disabled_tools: tuple[str, ...] = ()
    model: str | None = None
    tiers: Mapping[str, str] = field(default_factory=dict)
    fallback_tools: tuple[str, ...] = ()

    def __str__(self) -> str:
        tiers = ", ".join(f"{step} on {tier}" for step, tier in self.tiers.items())
        off, fallback = (", ".join(names) or "none" for names in (self.disabled_tools, self.fallback_tools))
        model = self.model or "the configured one"
        return f"tools off: {off}; on fallback: {fallback}; model: {model}; tiers: {tiers or 'the configured ones'}"

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
        """With these tools on their usual source again."""
        return replace(self, fallback_tools=tuple(name for name in self.fallback_tools if name not in tools))

    def with_model(self, model: str | None) -> Switches:
        """With another model to plan and answer, None for the configured one."""
        return replace(self, model=model)

    def with_tier(self, step: str, tier: str | None) -> Switches:
        """With a step on this tier, None for the configured one."""
        others = {name: used for name, used in self.tiers.items() if name != step}
        return replace(self, tiers=others if tier is None else {**others, step: tier})


class FollowedSwitches:
    """The switches in force for a running agent: call it for them, as often as you like; it only reads memory.

    Without a ledger, nothing is ever switched. Raises SQLAlchemyError if the database does not answer at the start, and
    ValueError if what it holds was written by a newer version.
    """

    def __init__(self, gauge: AgentGauge) -> None:
        self._switches = Switches()
        self._number = 0
        gauge.on_operation("switches", self._take)
        if gauge.ledger is not None:
            from agentgauge.ops.operations import Operations

            newest = Operations(gauge.ledger, gauge.agent).newest("switches")
            if newest is not None:
                self._take(newest)

    def __call__(self) -> Switches:
        """Those in force now."""
        return self._switches

    def _take(self, operation: Operation) -> None:
        if operation.number > self._number:
            self._switches, self._number = parse(operation.detail), operation.number


def in_force(ledger: Ledger, agent: str) -> Switches:
    """The switches in force, as the ledger says now."""
    from agentgauge.ops.operations import Operations

    newest = Operations(ledger, agent).newest("switches")
    return Switches() if newest is None else parse(newest.detail)


def change(ledger: Ledger, agent: str, changed: Callable[[Switches], Switches], by: str, why: str) -> Switches:
    """Put ``changed(those in force)`` in force for all processes of an agent within seconds; returns them.

    Of two people who switch at once, neither undoes what the other did. Raises ValueError if the switches in force were
    written by a newer version.
    """
    from agentgauge.ops.operations import Operations

    operations = Operations(ledger, agent)
    with ledger.writing() as connection:
        operations.lock(connection)
        newest = operations.newest_within(connection, "switches")
        before = Switches() if newest is None else parse(newest.detail)
        switches = changed(before)
        if switches != before:
            operations.add_within(connection, "switches", asdict(switches), by, why)
    return switches


def parse(document: Any) -> Switches:
    """The switches in an operation's detail; raises ValueError if it has another shape."""
    if not isinstance(document, dict) or document.keys() - {field.name for field in fields(Switches)}:
        names = ", ".join(field.name for field in fields(Switches))
        raise ValueError(f"the switches in the ledger have fields other than {names}; upgrade agentgauge")
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
