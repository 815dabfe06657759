"""What an agent can do to cost less: model tiers, a cache, batched look-ups, budgets. Knows no agent."""
