"""The ledger: what counters cannot give, because it must outlive a process and be shared by replicas.

Distinct users, weekly retention, spend per user and UTC day, and what people decided. SQLite by default, PostgreSQL
by URL; using it needs ``pip install "agentgauge[ledger]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.ledger.databases import LedgerError
    from agentgauge.ledger.store import Ledger, Spend, Usage, UserFigures

__all__ = ["Ledger", "LedgerError", "Spend", "Usage", "UserFigures"]

__getattr__ = on_demand(
    __name__, "ledger", {"databases": ["LedgerError"], "store": ["Ledger", "Spend", "Usage", "UserFigures"]}
)
