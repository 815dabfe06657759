"""Agent: do people get what they asked for, how fast, and what does the model have to do with it."""

from __future__ import annotations

from alerts import links
from alerts.areas.provider import FAILED
from alerts.areas.tasks import TURNS_COUNT, TURNS_SUM
from dashboards import queries, shared
from dashboards.annotations import EVERYWHERE
from dashboards.model import Dashboard, Limit, Query, Row
from dashboards.shapes import headline, heatmap, lines, percentiles, stack
from dashboards.style import COUNT, PER_MINUTE, RATIO, SECONDS, TOKENS

AT_A_GLANCE = Row(
    "At a glance",
    (
        shared.tasks_completed(100),
        headline(
            101,
            "Fallbacks",
            RATIO,
            "Share of the user requests that the agent said it cannot help with; of the worst agent.",
            lambda over: queries.highest(queries.share("tasks", 'outcome="fallback"', "agent", over=over)),
            limit=Limit("AgentFallbackRateHigh", "above"),
        ),
        headline(
            102,
            "Model turns a task",
            COUNT,
            "Mean LLM calls that plan or answer, to a completed task; of the worst agent.",
            lambda over: queries.highest(queries.mean("task_turns", "agent", over)),
            limit=Limit("AgentTurnsIncreasing", "above"),
        ),
        shared.answer_p95(103),
        headline(
            104,
            "LLM p95",
            SECONDS,
            "95 % of the LLM calls were faster than this, to their last byte; of the slowest model.",
            lambda over: queries.highest(queries.quantile(0.95, "llm_duration", "model", over)),
        ),
        headline(
            105,
            "LLM attempts failed",
            RATIO,
            "Failed share of the HTTP attempts, also those a retry made good.",
            lambda over: queries.share("llm_calls", 'outcome="error"', over=over),
        ),
    ),
)

TASKS = Row(
    "Tasks",
    (
        stack(
            106,
            "How tasks end",
            RATIO,
            "Share of each outcome over the last hour; fallback means the agent said that it cannot help, abandoned "
            "that the user left.",
            Query(
                f"""
{queries.increase("tasks", "1h", "outcome")}
/ ignoring (outcome) group_left ()
({queries.increase("tasks", "1h")} > 0)
""",
                "{{outcome}}",
            ),
        ),
        lines(
            links.FALLBACK_RATE.panel_id,
            "Fallback rate",
            RATIO,
            "Share of the user requests that ended in \"I can't help with that\", over the alert's window.",
            Query(queries.share("tasks", 'outcome="fallback"', "agent"), "{{agent}}"),
            limits=(Limit("AgentFallbackRateHigh", "above"),),
        ),
        lines(
            links.TASK_TURNS.panel_id,
            "Model turns to completion",
            COUNT,
            "Mean LLM calls that plan or answer, to a completed task, over the alert's window. The alert also asks "
            "for more than in the 24 h before.",
            Query(queries.mean("task_turns", "agent"), "{{agent}}"),
            Query(
                f"""
sum_over_time({TURNS_SUM}{{<where>}}[1d:5m] offset <window>)
/
(sum_over_time({TURNS_COUNT}{{<where>}}[1d:5m] offset <window>) > 0)
""",
                "{{agent}}, 24 h before",
            ),
            limits=(Limit("AgentTurnsIncreasing", "above"),),
        ),
    ),
)

TURNS = Row(
    "Turns",
    (
        shared.time_to_answer(107, span=6),
        lines(
            links.OLDEST_TURN.panel_id,
            "Oldest turn in flight",
            SECONDS,
            "How long the oldest turn that has not ended has been going on; of the replica where it is oldest.",
            Query("max by (agent) (<oldest_turn>{<where>})", "{{agent}}"),
            span=6,
            limits=(Limit("AgentHung", "above"),),
        ),
        heatmap(
            108,
            "Duration of turns",
            SECONDS,
            "How many answers took how long; darker is more. A second band at the top is a slow minority.",
            "turn_duration",
            span=6,
        ),
        heatmap(
            109,
            "Turns of completed tasks",
            COUNT,
            "How many tasks took how many model turns; a band that climbs is an agent going in circles.",
            "task_turns",
            span=6,
        ),
    ),
)

APPROVALS = Row(
    "Approvals",
    (
        shared.approval_rate(118, span=12),
        shared.waiting_time(119, span=12),
    ),
)

LLM_CALLS = Row(
    "LLM calls",
    (
        lines(
            110,
            "LLM latency",
            SECONDS,
            "From the call to its last byte, by model.",
            *percentiles("llm_duration", "model", over=queries.RATE),
            span=8,
        ),
        lines(
            111,
            "First token",
            SECONDS,
            "From the call to its first token, by model; of streamed calls only.",
            *percentiles("llm_time_to_first_token", "model", over=queries.RATE),
            span=8,
        ),
        lines(
            links.LLM_FAILED.panel_id,
            "Failed attempts",
            RATIO,
            "Share of the HTTP attempts that failed, over the alert's slow window, also those a retry made good; those "
            "that the caller cancelled are left out.",
            Query(queries.share_judged(FAILED), "{{agent}}"),
            limits=(Limit("AgentLLMErrorsHigh", "above"),),
            span=8,
        ),
        stack(
            112,
            "LLM calls",
            PER_MINUTE,
            "HTTP attempts per minute by model, retries included.",
            Query(f"{queries.per_minute('llm_calls', 'model')} > 0", "{{model}}"),
            span=6,
        ),
        stack(
            113,
            "Attempts and retries",
            PER_MINUTE,
            "HTTP attempts per minute by how they ended. An error is followed by a retry, unless it was the last.",
            Query(queries.per_minute("llm_calls", "outcome"), "{{outcome}}"),
            span=6,
        ),
        stack(
            links.LLM_ERRORS.panel_id,
            "LLM errors",
            COUNT,
            "Failed HTTP attempts of the last 5 minutes by model and cause, also those a retry made good.",
            Query(queries.newly_counted("llm_errors", "model, error_type", "5m"), "{{model}} {{error_type}}"),
            span=12,
            drawn="bars",
        ),
    ),
)

TOKENS_OF_CALLS = Row(
    "Tokens",
    (
        stack(
            115,
            "Tokens",
            TOKENS,
            "Tokens per minute. The kinds do not overlap: input is the uncached part of the prompt.",
            Query(f"{queries.per_minute('llm_tokens', 'kind')} > 0", "{{kind}}"),
        ),
        heatmap(
            116,
            "Prompt size",
            TOKENS,
            "How many LLM calls had a prompt of how many tokens, the cached part included; darker is more.",
            "llm_input_tokens",
        ),
        lines(
            117,
            "Output size",
            TOKENS,
            "Tokens that an LLM call wrote, by model.",
            *percentiles("llm_output_tokens", "model", over=queries.RATE),
        ),
    ),
)

AGENT = Dashboard(
    uid=links.AGENT,
    title="AgentGauge Agent",
    description="Do people get what they asked for, how fast, and what the model has to do with it.",
    source="dashboards/agent.py",
    variables=("job", "instance", "agent", "model"),
    annotations=EVERYWHERE,
    rows=(AT_A_GLANCE, TASKS, TURNS, APPROVALS, LLM_CALLS, TOKENS_OF_CALLS),
)
