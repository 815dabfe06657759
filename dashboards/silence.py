"""What a panel says when there is nothing to show: that nothing happened, in the words of what it counts."""

from __future__ import annotations

import re

from agentgauge import metrics
from agentgauge.metrics import MetricSpec
from alerts.catalog import RECORDS
from alerts.promql import metrics_named

_WORDS: dict[str, tuple[MetricSpec, ...]] = {
    "No tool was called": (metrics.TOOL_CALLS, metrics.TOOL_DURATION),
    "No call failed": (metrics.TOOL_ERRORS,),
    "No tool charged anything": (metrics.TOOL_COST,),
    "Nothing was called in batches": (metrics.TOOL_BATCH_SIZE,),
    "Nothing was looked up": (metrics.CACHE_REQUESTS,),
    "Nothing was served from the cache": (metrics.CACHE_AGE,),
    "No session was opened": (metrics.SESSIONS_OPENED, metrics.SESSIONS_ACTIVE),
    "No session was closed": (metrics.SESSION_TOOL_CALLS, metrics.SESSION_TURNS, metrics.SESSION_COST),
    "No session passed a limit": (metrics.SESSIONS_OVER_LIMIT, metrics.SESSION_LIMIT),
    "No request failed": (metrics.SESSIONS_FAILING,),
    "Nothing was answered": (metrics.TURN_DURATION, metrics.OLDEST_TURN),
    "No request ended": (metrics.TASKS,),
    "No task was completed": (metrics.TASK_TURNS,),
    "Nothing was decided": (metrics.APPROVALS, metrics.APPROVAL_WAIT),
    "Nothing waits": (metrics.APPROVALS_PENDING, metrics.OLDEST_APPROVAL),
    "No model was called": (
        metrics.LLM_CALLS,
        metrics.LLM_DURATION,
        metrics.LLM_TOKENS,
        metrics.LLM_INPUT_TOKENS,
        metrics.LLM_OUTPUT_TOKENS,
        metrics.LLM_COST,
        metrics.LLM_COST_WITHOUT_CACHE,
    ),
    "No attempt failed": (metrics.LLM_ERRORS,),
    "No answer was streamed": (metrics.LLM_TIME_TO_FIRST_TOKEN,),
    "Every token has a price": (metrics.LLM_UNPRICED_TOKENS,),
    "Every call said what it used": (metrics.LLM_USAGE_UNKNOWN,),
    "No subagent was called": (metrics.SUBAGENT_CALLS, metrics.SUBAGENT_TOKENS, metrics.SUBAGENT_COST),
    "No price was asked for": (metrics.LLM_PRICES_TIMESTAMP,),
    "No MCP server was asked": (metrics.MCP_DURATION, metrics.MCP_SERVER_UP),
    "No connection to an MCP server ended": (metrics.MCP_SESSION,),
    "No connection failed": (metrics.MCP_INIT_FAILURES,),
    "No MCP server of your own was asked": (metrics.MCP_SERVED,),
    "Nobody rated an answer": (metrics.FEEDBACK,),
    "Nobody has used it yet": (
        metrics.ACTIVE_USERS,
        metrics.USERS_LAST_HOUR,
        metrics.USER_DAYS,
        metrics.USER_COHORT,
    ),
    "Nobody used it 14 to 7 days ago": (metrics.USER_RETENTION, metrics.USER_RETENTION_COHORT),
    "Nobody has spent anything today": (metrics.USER_COST, metrics.USERS_OVER_DAILY_COST),
    "No limit is set": (metrics.USER_DAILY_COST_LIMIT,),
    "No policy is in use": (metrics.AUTONOMY_STAGE, metrics.TOOL_AUTONOMY),
    "No action was proposed": (metrics.ACTIONS,),
    "The end of every action is known": (metrics.ACTIONS_UNRESOLVED,),
    "Nothing was suggested in shadow": (metrics.SHADOW_DECISIONS,),
    "Nothing was audited": (metrics.AUDITS,),
    "No tool was promoted or demoted": (metrics.AUTONOMY_CHANGES,),
    "No evaluation has run yet": (
        metrics.EVAL_SCORE,
        metrics.EVAL_PASS_RATIO,
        metrics.EVAL_RUNS,
        metrics.EVAL_LAST_RUN,
    ),
    "There is no version before": (metrics.EVAL_BASELINE_PASS_RATIO,),
    "No agent is running": (
        metrics.BUILD_INFO,
        metrics.PROCESS_START,
        metrics.EXPORTER_ERRORS,
        metrics.LABEL_OVERFLOW,
    ),
    "The gateway refused nothing": (metrics.GATEWAY_REFUSED,),
    "No agent follows a file": (metrics.CONFIG_ERRORS,),
}

OF_METRIC = {spec.name: words for words, specs in _WORDS.items() for spec in specs}
"""Name of a metric → what it means that it has no value."""

OTHERWISE = "Prometheus has nothing of this in the range"
"""Of what Prometheus and Alertmanager say about themselves, which is always there."""

_RECORDED = {record.name: record.expr for record in RECORDS}


def words_for(expr: str) -> str:
    """What to say where a filled-in query has no result."""
    for name in re.findall(r"\b[a-z]\w*(?::\w+)+", expr):
        if name in _RECORDED:
            return words_for(_filled(_RECORDED[name]))
    named = sorted(metrics_named(expr), key=lambda spec: expr.index(spec.name))
    return OF_METRIC[named[0].name] if named else OTHERWISE


def _filled(template: str) -> str:
    """A record's template with the names of its metrics, which is all that counts here."""
    constants = {hole for hole in re.findall(r"<([a-z_]+)(?:\.\w+)?>", template) if hasattr(metrics, hole.upper())}
    for constant in constants:
        template = re.sub(rf"<{constant}(?:\.\w+)?>", getattr(metrics, constant.upper()).name, template)
    return template
