"""Last night's copy of the CRM: what the look-ups fall back to while the CRM is down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sample_agent.sales import crm
from sample_agent.sales.tools import SalesTool

AS_OF = "as_of"
"""The field of a result that came from the copy: the day of the copy. The model tells the user."""


class CrmCopy:
    """A copy of the CRM in a file, made at first use; in the demo from the data that the CRM itself is made of."""

    def __init__(self, path: Path) -> None:
        crm.build(path)
        self._crm = crm.Crm(path)
        self._as_of = date.fromtimestamp(path.stat().st_mtime).isoformat()

    async def execute(self, tool: SalesTool, arguments: Mapping[str, Any]) -> Any:
        """Run a look-up on the copy; returns what its ``run`` returns, each result with the day of the copy."""
        found = await tool.run(self._crm, **arguments)
        if not tool.by_account:
            return {**found, AS_OF: self._as_of}
        return {
            name: one if isinstance(one, BaseException) else {**one, AS_OF: self._as_of} for name, one in found.items()
        }
