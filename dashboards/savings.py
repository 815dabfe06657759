"""What each cost lever saved over a window, in USD: estimates, from what production counts."""

from __future__ import annotations

from dashboards import queries


def prompt_cache(over: str) -> str:
    """What prompts would have cost without the provider's cache, less what they did cost: below 0 it costs more."""
    return f"{queries.increase('llm_cost_without_cache', over)}\n-\n{queries.increase('llm_cost', over)}"


def tool_cache(over: str) -> str:
    """The hits, at what a look-up of the same tool cost on average that the API had to answer."""
    return f"""
sum(
  {queries.increase("cache_requests", over, "tool", 'result="hit"')}
  *
  {queries.increase("tool_cost", over, "tool")}
  /
  ({queries.increase("cache_requests", over, "tool", 'result!="hit"')} > 0)
)
"""


def model_tiers(over: str) -> str:
    """What all tokens would have cost at the mean price of the dearest model, less what they did cost."""
    return f"""
{queries.increase("llm_tokens", over)}
*
max({queries.increase("llm_cost", over, "model")} / ({queries.increase("llm_tokens", over, "model")} > 0))
-
{queries.increase("llm_cost", over)}
"""


def batching(over: str) -> str:
    """The calls that batches made unnecessary, at what a call of the same tool cost on average."""
    return f"""
sum(
  (
    {queries.increase("tool_batch_size.sum", over, "tool")}
    -
    {queries.increase("tool_batch_size.count", over, "tool")}
  )
  *
  {queries.increase("tool_cost", over, "tool")}
  /
  ({queries.increase("tool_calls", over, "tool")} > 0)
)
"""
