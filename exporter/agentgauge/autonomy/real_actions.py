"""What people really did, as the system of record has it: what a suggestion is compared with in the stage shadow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class RealAction:
    """What a person did: its ``id`` in the system of record, who did it, when (with a time zone), and its effect.

    ``effect`` has the fields of the tool's preview or, if it has none, of the tool's arguments. Raises ValueError for a
    time without a time zone, and for an effect that JSON cannot hold.
    """

    id: str
    by: str
    at: datetime
    effect: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"at: that of {self.id} has no time zone; give it one, for example tzinfo=UTC")
        try:
            json.dumps(self.effect)
        except (TypeError, ValueError) as error:
            raise ValueError(f"effect: that of {self.id} cannot be kept as JSON: {error}") from None
