"""What a tool's answer looks like when the system behind it is out of date, or tells far too much."""

from __future__ import annotations

import re
from typing import Any

from sample_agent.faults import ToolFault

_DATE = re.compile(r"(\d{4})(-\d\d-\d\d)")
_FILLER = "audit trail entry, kept for completeness; "


def spoiled(result: dict[str, Any], fault: ToolFault) -> dict[str, Any]:
    """The result with its dates moved into the past, and padded, as the fault says."""
    if fault.stale_years:
        result = _older(result, fault.stale_years)
    if fault.padding:
        result = {**result, "trail": (_FILLER * (fault.padding // len(_FILLER) + 1))[: fault.padding]}
    return result


def _older(value: Any, years: int) -> Any:
    if isinstance(value, dict):
        return {key: _older(one, years) for key, one in value.items()}
    if isinstance(value, list):
        return [_older(one, years) for one in value]
    if isinstance(value, str) and (date := _DATE.fullmatch(value)):
        return f"{int(date[1]) - years}{date[2]}"
    return value
