"""Words with a closed set of values, each declared once; metrics' label values come from here."""

from __future__ import annotations

from typing import Literal

Risk = Literal["low", "medium", "high"]
"""How much harm a call of a tool can do."""
