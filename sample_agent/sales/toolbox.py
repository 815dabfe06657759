"""The tools as the agent uses them: what the model is offered, and one instrumented call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgauge import AgentGauge
from sample_agent.faults import FaultFile
from sample_agent.sales.crm import Crm
from sample_agent.sales.tools import SALES_TOOLS, TOOLS_BY_NAME, SalesTool, run_tool
from sample_agent.state_file import WatchedFile
from sample_agent.switches import Switches


class UnknownToolError(LookupError):
    """The model called a tool that does not exist."""


class ToolSwitchedOffError(PermissionError):
    """The model called a tool that the on-call switched off."""


class Toolbox:
    """Runs the Sales Companion's tools on its CRM."""

    def __init__(self, gauge: AgentGauge, crm: Crm, faults: FaultFile, switches: WatchedFile[Switches]) -> None:
        self._gauge = gauge
        self._crm = crm
        self._faults = faults
        self._switches = switches

    def offered(self) -> list[SalesTool]:
        """The tools that the model may choose from."""
        off = self.switched_off()
        # The API refuses a conversation that holds tool calls but offers no tool: with all off, all are offered, and
        # refused when called.
        return [tool for tool in SALES_TOOLS if tool.name not in off] or list(SALES_TOOLS)

    def switched_off(self) -> list[str]:
        """The tools that the on-call switched off."""
        return [name for name in self._switches.value().disabled_tools if name in TOOLS_BY_NAME]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run a tool and return its JSON-able result; raises what went wrong, in words that the model may read."""
        if name in self.switched_off():
            raise ToolSwitchedOffError(f"{name} is switched off and not allowed at the moment; tell the user")
        with self._gauge.tool_call(name) as running:
            tool = TOOLS_BY_NAME.get(name)
            if tool is None:
                raise UnknownToolError(f"there is no tool {name!r}; the tools are {', '.join(TOOLS_BY_NAME)}")
            accounts = arguments.get("accounts")
            if isinstance(accounts, list):
                running.batch(len(accounts))
            result = await run_tool(name, arguments, self._crm, self._faults)
            running.add_cost(tool.external_cost_usd)
            return result
