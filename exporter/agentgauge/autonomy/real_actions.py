"""What people really did, as the system of record has it: what a suggestion is compared with in the stage shadow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class RealAction:
    """What a person did: its ``id`` in the system of record, who did it, when (with a time zone), and its effect.

    ``effect`` has the fields of the tool's preview or, if it has none, of the tool's arguments.
    """

    id: str
    by: str
    at: datetime
    effect: Mapping[str, Any]
