"""The ledger: what counters cannot give, because it must outlive a process and be shared by replicas.

Distinct users, weekly retention, spend per user and UTC day, and what people decided. SQLite by default, PostgreSQL
by URL; importing this needs ``pip install "agentgauge[ledger]"``.
"""

from agentgauge.ledger.store import Ledger, LedgerError, Spend, Usage, UserFigures

__all__ = ["Ledger", "LedgerError", "Spend", "Usage", "UserFigures"]
