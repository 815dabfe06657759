"""The tools as the agent uses them: what the model is offered, and a call, instrumented, cached and batched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgauge import AgentGauge
from agentgauge.cost.batching import Batcher
from agentgauge.cost.cache import ToolCache
from agentgauge.ops.switches import Switches
from sample_agent.errors import ToolInputError
from sample_agent.faults import FaultFile
from sample_agent.sales.crm import Crm
from sample_agent.sales.crm_copy import CrmCopy
from sample_agent.sales.tools import SALES_TOOLS, TOOLS_BY_NAME, Result, SalesTool, check, execute, merge


class UnknownToolError(LookupError):
    """The model called a tool that does not exist."""


class ToolSwitchedOffError(PermissionError):
    """The model called a tool that the on-call switched off."""


@dataclass
class _Call:
    """A call of the model: whose it is, and whether a tool was executed for it."""

    user: str | None
    executed: bool = False


class Toolbox:
    """Runs the Sales Companion's tools on its CRM, or on last night's copy of it when the on-call says so.

    Without a ``cache``, nothing is remembered; without a ``copy``, there is no fallback.
    """

    def __init__(
        self,
        gauge: AgentGauge,
        crm: Crm,
        faults: FaultFile,
        switches: Callable[[], Switches],
        cache: ToolCache | None = None,
        batcher: Batcher | None = None,
        copy: CrmCopy | None = None,
    ) -> None:
        self.cache = cache
        self._gauge = gauge
        self._crm = crm
        self._faults = faults
        self._switches = switches
        self._batcher = batcher or Batcher()
        self._copy = copy

    def offered(self) -> list[SalesTool]:
        """The tools that the model may choose from."""
        off = self.switched_off()
        # The API refuses a conversation that holds tool calls but offers no tool: with all off, all are offered, and
        # refused when called.
        return [tool for tool in SALES_TOOLS if tool.name not in off] or list(SALES_TOOLS)

    def switched_off(self) -> list[str]:
        """The tools that the on-call switched off."""
        return [name for name in self._switches().disabled_tools if name in TOOLS_BY_NAME]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Run a tool for the session in force and return its JSON-able result.

        Raises what went wrong, in words that the model may read.
        """
        self._refuse_switched_off(name)
        session = self._gauge.current_session()
        call = _Call(session.user_id if session else None)
        try:
            tool, checked = self._checked(name, arguments, call)
            if tool.by_account:
                return await self._by_account(tool, checked["accounts"], call)
            return await self._look_up(tool, checked, call, lambda: self._execute(tool, checked, call))
        finally:
            # An execution counts itself. A loop must be seen even if the cache answers it, or another call's batch.
            if session is not None and not call.executed:
                session.add_tool_call()

    def refuse(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Raise what keeps a call from running anyway, before people are asked about it; counted as by ``call``."""
        self._refuse_switched_off(name)
        self._checked(name, arguments, _Call(None))

    async def close(self) -> None:
        """Close the connections of the cache."""
        if self.cache is not None:
            await self.cache.close()

    def _refuse_switched_off(self, name: str) -> None:
        if name in self.switched_off():
            raise ToolSwitchedOffError(f"{name} is switched off and not allowed at the moment; tell the user")

    def _checked(self, name: str, arguments: Mapping[str, Any], call: _Call) -> tuple[SalesTool, dict[str, Any]]:
        """The tool and its arguments with defaults; a call that does not fit is counted as a failed execution."""
        try:
            if name not in TOOLS_BY_NAME:
                raise UnknownToolError(f"there is no tool {name!r}; the tools are {', '.join(TOOLS_BY_NAME)}")
            return TOOLS_BY_NAME[name], check(TOOLS_BY_NAME[name], arguments)
        except (UnknownToolError, ToolInputError):
            call.executed = True
            with self._gauge.tool_call(name):
                raise

    async def _by_account(self, tool: SalesTool, accounts: Sequence[str], call: _Call) -> Result:
        """Each account comes from the cache, or from one query with the others that are asked for at the moment."""

        async def query(names: Sequence[str]) -> Any:
            return await self._execute(tool, {"accounts": names}, call)

        async def answer(name: str) -> Result:
            together = (tool.name, call.user)
            return await self._look_up(tool, {"account": name}, call, lambda: self._batcher.ask(together, name, query))

        names = list(dict.fromkeys(accounts))
        answers = await asyncio.gather(*map(answer, names), return_exceptions=True)
        return merge(dict(zip(names, answers, strict=True)))

    async def _look_up(
        self, tool: SalesTool, arguments: Mapping[str, Any], call: _Call, fetch: Callable[[], Awaitable[Result]]
    ) -> Result:
        if self.cache is None:
            return await fetch()
        # A fault is put in to be seen at once, so nothing may hide it for minutes; what a copy says is not kept.
        broken = any(fault.hits(tool.name) for fault in self._faults.active())
        fresh = broken or self._fallback_of(tool) is not None
        result: Result = await self.cache.look_up(tool.name, arguments, call.user, fetch, fresh=fresh)
        return result

    async def _execute(self, tool: SalesTool, arguments: Mapping[str, Any], call: _Call) -> Any:
        """Run the tool once; returns what its ``run`` returns."""
        call.executed = True
        try:
            with self._gauge.tool_call(tool.name) as running:
                if "accounts" in arguments:
                    running.batch(len(arguments["accounts"]))
                copy = self._fallback_of(tool)
                if copy is None:
                    found = await execute(tool, arguments, self._crm, self._faults)
                    fault = self._faults.tool_fault(tool.name)
                    running.add_cost(tool.external_cost_usd + (fault.surcharge_usd if fault else 0.0))
                else:
                    found = await copy.execute(tool, arguments)
                if tool.by_account:
                    for error in (one for one in found.values() if isinstance(one, BaseException)):
                        running.fail(type(error).__name__)
        except ToolInputError:
            raise  # refused, so nothing was written
        except BaseException:
            await self._wrote(tool, None)
            raise
        await self._wrote(tool, found)
        return found

    def _fallback_of(self, tool: SalesTool) -> CrmCopy | None:
        """The copy that answers in place of the CRM, if the tool is on its fallback."""
        on_fallback = tool.with_fallback and tool.name in self._switches().fallback_tools
        return self._copy if on_fallback else None

    async def _wrote(self, tool: SalesTool, result: Result | None) -> None:
        if self.cache is not None:
            await self.cache.wrote(tool.name, result)
