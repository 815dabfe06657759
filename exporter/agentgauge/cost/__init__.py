"""What an agent can do to cost less: model tiers, a cache, batched look-ups, budgets. Knows no agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.cost.batching import Batcher
    from agentgauge.cost.budgets import Budget, BudgetPolicy, BudgetReachedError, Budgets
    from agentgauge.cost.cache import CachedTool, CachePolicy, Invalidation, ToolCache
    from agentgauge.cost.redis_store import RedisStore
    from agentgauge.cost.store import MemoryStore, Store
    from agentgauge.cost.throttles import Throttle, Throttles
    from agentgauge.cost.tiers import Models, Tier, TierPolicy

__all__ = [
    "Batcher",
    "Budget",
    "BudgetPolicy",
    "BudgetReachedError",
    "Budgets",
    "CachePolicy",
    "CachedTool",
    "Invalidation",
    "MemoryStore",
    "Models",
    "RedisStore",
    "Store",
    "Throttle",
    "Throttles",
    "Tier",
    "TierPolicy",
    "ToolCache",
]

__getattr__ = on_demand(
    __name__,
    "cost",
    {
        "batching": ["Batcher"],
        "budgets": ["Budget", "BudgetPolicy", "BudgetReachedError", "Budgets"],
        "cache": ["CachePolicy", "CachedTool", "Invalidation", "ToolCache"],
        "redis_store": ["RedisStore"],
        "store": ["MemoryStore", "Store"],
        "throttles": ["Throttle", "Throttles"],
        "tiers": ["Models", "Tier", "TierPolicy"],
    },
)
