"""Every metric AgentGauge emits, declared once.

A metric name is written as a string here and nowhere else: the Prometheus objects, the alert rules, the
dashboard panels and the docs tables are all built from these specs. Names, labels and meanings are public API;
adding is fine, renaming is a breaking change. Base units: seconds, USD, tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentgauge import vocabulary

OWN = "own"
"""What stands for the metrics that an agent declared itself, and their labels, where metrics are counted."""

OTHER = "other"
"""The value that anything outside a label's bound is folded into."""

MetricKind = Literal["counter", "gauge", "histogram"]
Bound = Literal["closed", "tools", "models", "servers", "first"]
Multiprocess = Literal["livesum", "livemax", "livemostrecent", "liveall", "max", "own"]


@dataclass(frozen=True)
class Label:
    """A label and what bounds its values.

    ``closed``: exactly ``values``. ``tools``: the registered tools. ``models``: the price table and the configured
    models. ``servers``: the registered MCP servers. ``first``: the first ``limit`` distinct values an agent shows. All
    else becomes ``other``.
    """

    name: str
    bound: Bound
    values: tuple[str, ...] = ()
    limit: int = 0


@dataclass(frozen=True)
class MetricSpec:
    """One public metric: what it is called, what it means, and how far its labels can grow.

    ``labels`` come after ``agent``, which is on every series. ``born_at_zero`` says that series whose labels are
    all bounded in advance exist, at 0, from the start, so that the first failure is visible to ``increase()``. It is
    off where no alert needs that, and where only a part of the agent knows which series there can be.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    born_at_zero: bool = True
    multiprocess: Multiprocess = "livemax"

    def __str__(self) -> str:
        return self.name

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of all labels on the series, ``agent`` first."""
        return ("agent", *(label.name for label in self.labels))

    @property
    def series(self) -> tuple[str, ...]:
        """The series names a scrape shows for this metric."""
        if self.kind == "histogram":
            return (self.bucket, self.sum, self.count)
        return (self.name,)

    @property
    def bucket(self) -> str:
        """Name of the histogram's bucket series."""
        return f"{self._histogram()}_bucket"

    @property
    def sum(self) -> str:
        """Name of the histogram's sum series."""
        return f"{self._histogram()}_sum"

    @property
    def count(self) -> str:
        """Name of the histogram's count series."""
        return f"{self._histogram()}_count"

    def le(self, boundary: float) -> str:
        """The ``le`` value of a bucket boundary, as exposed; ValueError when there is no such boundary."""
        if boundary not in self.buckets:
            known = ", ".join(f"{bucket:g}" for bucket in self.buckets)
            raise ValueError(
                f"{boundary:g} is not a bucket boundary of {self.name} (boundaries: {known}); "
                "choose one of them, or add it to the metric's buckets in agentgauge/metrics.py"
            )
        from prometheus_client.utils import floatToGoString  # for whoever renders a rule, and no command

        return str(floatToGoString(boundary))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped

    def _histogram(self) -> str:
        if self.kind != "histogram":
            raise TypeError(f"{self.name} is a {self.kind}, it has no buckets, sum or count")
        return self.name


def _closed(name: str, *values: str) -> Label:
    return Label(name, "closed", values)


def _first(name: str, limit: int) -> Label:
    return Label(name, "first", limit=limit)


TOOL = Label("tool", "tools")
MODEL = Label("model", "models")
SERVER = Label("server", "servers")
ERROR_TYPE = _first("error_type", 40)
OUTCOME = _closed("outcome", "success", "error")
RISK = _closed("risk", *vocabulary.RISKS)
STEP = _closed("step", *vocabulary.STEPS, OTHER)
TOKEN_KIND = _closed("kind", *vocabulary.TOKEN_KINDS)
TASK_OUTCOME = _closed("outcome", *vocabulary.TASK_OUTCOMES)
LIMIT = _closed("limit", *vocabulary.SESSION_LIMITS)
FEEDBACK_REASON = _closed("reason", *vocabulary.REASONS)
SUBAGENT = _first("subagent", 20)
FAULT_SITE = _closed("site", *vocabulary.FAULT_SITES)
REFUSAL = _closed("reason", *vocabulary.REFUSALS)

_FAST_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SLOW_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
_WAIT_SECONDS = (1.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, 259200.0)
_COUNTS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0)
_USD = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_TOKENS = (10.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6)


def _counter(name: str, help: str, *labels: Label, born_at_zero: bool = True) -> MetricSpec:
    return MetricSpec(name, "counter", help, labels, born_at_zero=born_at_zero)


def _histogram(
    name: str, help: str, buckets: tuple[float, ...], *labels: Label, born_at_zero: bool = True
) -> MetricSpec:
    return MetricSpec(name, "histogram", help, labels, buckets, born_at_zero)


def _live_gauge(name: str, help: str) -> MetricSpec:
    """A gauge that each process counts for itself: replicas and workers add up."""
    return MetricSpec(name, "gauge", help, multiprocess="livesum")


def _shared_gauge(name: str, help: str, *labels: Label) -> MetricSpec:
    """A gauge read from the shared ledger: every replica shows the same, queries take ``max``."""
    return MetricSpec(name, "gauge", help, labels, born_at_zero=False, multiprocess="own")


# Tools
TOOL_CALLS = _counter("agent_tool_calls_total", "Finished tool executions.", TOOL, OUTCOME)
TOOL_ERRORS = _counter("agent_tool_errors_total", "Failed tool executions by cause.", TOOL, ERROR_TYPE)
TOOL_DURATION = _histogram("agent_tool_duration_seconds", "Wall time of a tool execution.", _FAST_SECONDS, TOOL)
TOOL_COST = _counter("agent_tool_cost_usd_total", "What the external API behind a tool charged.", TOOL)
TOOL_BATCH_SIZE = _histogram(
    "agent_tool_batch_size",
    "Items per batched tool call.",
    (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0),
    TOOL,
    born_at_zero=False,
)
CACHE_REQUESTS = _counter(
    "agent_cache_requests_total",
    "Look-ups in the tool-result cache.",
    TOOL,
    _closed("result", *vocabulary.CACHE_RESULTS),
    born_at_zero=False,
)
CACHE_AGE = _histogram(
    "agent_cache_age_seconds",
    "Age of a tool result when it was served from the cache.",
    (1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0),
    TOOL,
    born_at_zero=False,
)

# Sessions
SESSIONS_OPENED = _counter("agent_sessions_opened_total", "Conversations opened.")
SESSIONS_ACTIVE = _live_gauge("agent_sessions_active", "Conversations open now.")
SESSION_TOOL_CALLS = _histogram("agent_session_tool_calls", "Tool calls of a session, counted at its close.", _COUNTS)
SESSION_TURNS = _histogram("agent_session_turns", "User turns of a session, counted at its close.", _COUNTS)
SESSION_COST = _histogram("agent_session_cost_usd", "LLM and tool cost of a session, at its close.", _USD)
SESSIONS_OVER_LIMIT = _counter(
    "agent_sessions_over_limit_total",
    "Live sessions that crossed a limit, counted the moment they cross it, once a session.",
    LIMIT,
)
SESSIONS_FAILING = _counter(
    "agent_sessions_failing_total",
    "Live sessions in which a request failed, counted at the first one, once a session.",
)
SESSION_LIMIT = MetricSpec(
    "agent_session_limit",
    "gauge",
    "The limits in force: what agent_sessions_over_limit_total counts against.",
    (LIMIT,),
    born_at_zero=False,
)
TURN_DURATION = _histogram("agent_turn_duration_seconds", "User message to answer.", _SLOW_SECONDS)
OLDEST_TURN = MetricSpec(
    "agent_turn_oldest_in_flight_seconds",
    "gauge",
    "Age of the oldest turn that has not ended; 0 when there is none.",
    multiprocess="liveall",
)

# Tasks
TASKS = _counter("agent_tasks_total", "User requests by how they ended.", TASK_OUTCOME)
TASK_TURNS = _histogram("agent_task_turns", "Model turns (LLM calls that plan or answer) to a completed task.", _COUNTS)

# Approvals
APPROVALS = _counter(
    "agent_approvals_total",
    "Human decisions on proposed actions.",
    TOOL,
    RISK,
    _closed("decision", *vocabulary.DECISIONS),
    born_at_zero=False,
)
APPROVAL_WAIT = _histogram(
    "agent_approval_wait_seconds",
    "From a request for approval to the decision.",
    _WAIT_SECONDS,
    TOOL,
    born_at_zero=False,
)
APPROVALS_PENDING = _shared_gauge("agent_approvals_pending", "Actions waiting for a human decision now.")
OLDEST_APPROVAL = _shared_gauge(
    "agent_approvals_oldest_pending_seconds",
    "How long the oldest action that waits for a human decision has waited; 0 when none does.",
)

# LLM calls
LLM_CALLS = _counter("agent_llm_calls_total", "HTTP attempts, retries included.", MODEL, OUTCOME)
LLM_ERRORS = _counter("agent_llm_errors_total", "Failed HTTP attempts by cause.", MODEL, ERROR_TYPE)
LLM_DURATION = _histogram("agent_llm_duration_seconds", "LLM call to its last byte.", _SLOW_SECONDS, MODEL)
LLM_TIME_TO_FIRST_TOKEN = _histogram(
    "agent_llm_time_to_first_token_seconds",
    "LLM call to its first token (streaming only).",
    (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
    MODEL,
    born_at_zero=False,
)
LLM_TOKENS = _counter(
    "agent_llm_tokens_total",
    "Tokens billed, in disjoint kinds: input is the uncached part of the prompt.",
    MODEL,
    TOKEN_KIND,
)
LLM_INPUT_TOKENS = _histogram(
    "agent_llm_input_tokens", "Whole prompt of one call: uncached, cache reads and writes.", _TOKENS, MODEL
)
LLM_OUTPUT_TOKENS = _histogram(
    "agent_llm_output_tokens", "Output tokens of one call.", _TOKENS, MODEL, born_at_zero=False
)
LLM_COST = _counter("agent_llm_cost_usd_total", "LLM spend, priced per token kind.", MODEL, STEP)
LLM_COST_WITHOUT_CACHE = _counter(
    "agent_llm_cost_without_cache_usd_total",
    "What the LLM calls would have cost had each prompt been billed as uncached input.",
    MODEL,
)
LLM_UNPRICED_TOKENS = _counter(
    "agent_llm_unpriced_tokens_total", "Tokens of a model that has no price: never silently $0.", MODEL
)
LLM_USAGE_UNKNOWN = _counter(
    "agent_llm_usage_unknown_total",
    "Successful calls whose usage could not be read, so that their tokens and cost are missing: never silently $0.",
    MODEL,
)
SUBAGENT_CALLS = _counter(
    "agent_subagent_calls_total",
    "HTTP attempts of each subagent, retries included; each counts for the innermost one and in agent_llm_calls_total.",
    SUBAGENT,
)
SUBAGENT_TOKENS = _counter(
    "agent_subagent_tokens_total", "Tokens of each subagent's calls, part of agent_llm_tokens_total.", SUBAGENT
)
SUBAGENT_COST = _counter(
    "agent_subagent_cost_usd_total",
    "LLM spend of each subagent's own calls, part of agent_llm_cost_usd_total.",
    SUBAGENT,
)
LLM_PRICES_TIMESTAMP = MetricSpec(
    "agent_llm_prices_timestamp_seconds",
    "gauge",
    "Date of the prices in force (Unix time): of the price list, or of a price file of one's own if that is older.",
    born_at_zero=False,
    multiprocess="livemostrecent",
)

# MCP servers
MCP_DURATION = _histogram(
    "agent_mcp_operation_duration_seconds",
    "What the agent asked MCP servers, until their answer; error_type is empty for a success.",
    _FAST_SECONDS,
    SERVER,
    _closed("method", *vocabulary.MCP_METHODS),
    ERROR_TYPE,
)
MCP_SESSION = _histogram(
    "agent_mcp_session_duration_seconds", "How long connections to MCP servers lasted.", _WAIT_SECONDS, SERVER
)
MCP_SERVED = _histogram(
    "agent_mcp_server_operation_duration_seconds",
    "What an MCP server of one's own was asked, until its answer; error_type is empty for a success.",
    _FAST_SECONDS,
    _closed("method", *vocabulary.MCP_METHODS),
    ERROR_TYPE,
)
MCP_SERVER_UP = MetricSpec(
    "agent_mcp_server_up",
    "gauge",
    "1 if the last initialisation or ping of an MCP server succeeded, 0 if it failed.",
    (SERVER,),
    born_at_zero=False,
    multiprocess="livemostrecent",
)
MCP_INIT_FAILURES = _counter("agent_mcp_init_failures_total", "Connections to an MCP server that failed.", SERVER)

# Users and feedback
FEEDBACK = _counter(
    "agent_feedback_total", "Thumbs and their reasons.", _closed("rating", *vocabulary.RATINGS), FEEDBACK_REASON
)
ACTIVE_USERS = _shared_gauge(
    "agent_active_users", "Distinct users in the trailing window.", _closed("window", "1d", "7d", "28d")
)
USERS_LAST_HOUR = _shared_gauge(
    "agent_users_last_hour",
    "Distinct users of the last hour, by whether a request of theirs failed in it.",
    _closed("failed", "yes", "no"),
)
USER_DAYS = _shared_gauge(
    "agent_user_days",
    "Distinct users of each day, added up over the last 7 whole local days, and over the 7 before.",
    _closed("window", "last_7d", "previous_7d"),
)
USER_RETENTION = _shared_gauge(
    "agent_user_retention_ratio",
    "Of the users active 14 to 7 days ago, the share active in the last 7 days.",
)
USER_RETENTION_COHORT = _shared_gauge(
    "agent_user_retention_cohort_users", "Users active 14 to 7 days ago: the cohort behind the retention."
)
USER_COHORT = _shared_gauge(
    "agent_user_cohort_active_users",
    "Users of a weekly cohort who were active in a week: those who came first so many weeks ago, so many weeks later.",
    _closed("weeks_ago", *vocabulary.COHORT_WEEKS),
    _closed("week", *vocabulary.COHORT_WEEKS),
)
USER_COST = _shared_gauge(
    "agent_user_cost_usd",
    "Spend since 00:00 UTC of the costliest users, by keyed pseudonym.",
    _first("user", 10),
)
USERS_OVER_DAILY_COST = _shared_gauge(
    "agent_users_over_daily_cost", "Users whose spend since 00:00 UTC is above their limit."
)
USER_DAILY_COST_LIMIT = MetricSpec(
    "agent_user_daily_cost_limit_usd",
    "gauge",
    "The limit in force: what agent_users_over_daily_cost counts against.",
    born_at_zero=False,
)

# Autonomy
AUTONOMY_STAGE = _shared_gauge(
    "agent_autonomy_stage",
    "1 for the agent's autonomy stage.",
    _closed("stage", *vocabulary.STAGES),
)
TOOL_AUTONOMY = _shared_gauge(
    "agent_tool_autonomy",
    "1 for what the tool may do now.",
    TOOL,
    _closed("mode", *vocabulary.MODES),
)
ACTIONS = _counter(
    "agent_actions_total",
    "Proposed actions by what the policy decided.",
    TOOL,
    RISK,
    _closed("disposition", *vocabulary.DISPOSITIONS),
    born_at_zero=False,
)
ACTIONS_UNRESOLVED = _shared_gauge(
    "agent_actions_unresolved", "Actions that were begun, and nobody knows whether they happened.", TOOL
)
SHADOW_DECISIONS = _counter(
    "agent_shadow_decisions_total",
    "Shadow suggestions compared with what people did.",
    TOOL,
    _closed("match", *vocabulary.SHADOW_MATCHES),
    born_at_zero=False,
)
AUDITS = _counter(
    "agent_audits_total",
    "Sampled automatic actions reviewed.",
    TOOL,
    _closed("verdict", *vocabulary.AUDIT_VERDICTS),
    born_at_zero=False,
)
AUTONOMY_CHANGES = _counter(
    "agent_autonomy_changes_total",
    "Promotions and demotions of a tool.",
    TOOL,
    _closed("direction", *vocabulary.DIRECTIONS),
    born_at_zero=False,
)

# Evaluations
SUITE = _first("suite", 20)
EVAL_SCORE = _shared_gauge(
    "agent_eval_score",
    "Score (0 to 1) of a scenario in the last run of the live version.",
    SUITE,
    _first("scenario", 500),
    _first("version", 50),
)
EVAL_PASS_RATIO = _shared_gauge(
    "agent_eval_pass_ratio",
    "Share of scenarios passed in the last run of the live version; candidates are not exported.",
    SUITE,
    _first("version", 50),
)
EVAL_BASELINE_PASS_RATIO = _shared_gauge(
    "agent_eval_baseline_pass_ratio", "Pass ratio of the last run of the version that was live before.", SUITE
)
EVAL_RUNS = _counter(
    "agent_eval_runs_total",
    "Evaluation runs of the live version.",
    SUITE,
    _closed("result", "passed", "failed", "error"),
)
EVAL_LAST_RUN = _shared_gauge(
    "agent_eval_last_run_timestamp_seconds", "Unix time of the last evaluation run of the live version.", SUITE
)

# AgentGauge itself
BUILD_INFO = MetricSpec(
    "agent_build_info",
    "gauge",
    "1 for the running version of the agent and of its prompts.",
    (_first("version", 50), _first("prompt_version", 50)),
    born_at_zero=False,
    multiprocess="livemostrecent",
)
PROCESS_START = MetricSpec(
    "agent_process_start_timestamp_seconds",
    "gauge",
    "Unix time when this process began to serve the agent; of several workers, the newest.",
    born_at_zero=False,
    multiprocess="max",  # also of those that died: a worker that crashes must not set it back
)
EXPORTER_ERRORS = _counter(
    "agent_exporter_errors_total", "Telemetry faults swallowed; the agent never saw them.", FAULT_SITE
)
CONFIG_ERRORS = MetricSpec(
    "agent_config_errors",
    "gauge",
    "1 while a file that the agent follows cannot be used, so that its last good version is in force.",
    (_first("file", 20),),
    born_at_zero=False,
)
GATEWAY_REFUSED = MetricSpec(
    "agent_gateway_refused_total",
    "counter",
    "Requests with spans that the gateway did not take; whose they were is not known, so the agent is other.",
    (REFUSAL,),
    born_at_zero=False,
)

ALL_BUT_OVERFLOW: tuple[MetricSpec, ...] = (
    TOOL_CALLS, TOOL_ERRORS, TOOL_DURATION, TOOL_COST, TOOL_BATCH_SIZE, CACHE_REQUESTS, CACHE_AGE,
    SESSIONS_OPENED, SESSIONS_ACTIVE, SESSION_TOOL_CALLS, SESSION_TURNS, SESSION_COST, SESSIONS_OVER_LIMIT,
    SESSIONS_FAILING, SESSION_LIMIT, TURN_DURATION, OLDEST_TURN, TASKS, TASK_TURNS,
    APPROVALS, APPROVAL_WAIT, APPROVALS_PENDING, OLDEST_APPROVAL,
    LLM_CALLS, LLM_ERRORS, LLM_DURATION, LLM_TIME_TO_FIRST_TOKEN, LLM_TOKENS, LLM_INPUT_TOKENS,
    LLM_OUTPUT_TOKENS, LLM_COST, LLM_COST_WITHOUT_CACHE, LLM_UNPRICED_TOKENS, LLM_USAGE_UNKNOWN,
    SUBAGENT_CALLS, SUBAGENT_TOKENS, SUBAGENT_COST, LLM_PRICES_TIMESTAMP,
    MCP_DURATION, MCP_SESSION, MCP_SERVED, MCP_SERVER_UP, MCP_INIT_FAILURES,
    FEEDBACK, ACTIVE_USERS, USERS_LAST_HOUR, USER_DAYS, USER_RETENTION, USER_RETENTION_COHORT, USER_COHORT, USER_COST,
    USERS_OVER_DAILY_COST, USER_DAILY_COST_LIMIT,
    AUTONOMY_STAGE, TOOL_AUTONOMY, ACTIONS, ACTIONS_UNRESOLVED, SHADOW_DECISIONS, AUDITS, AUTONOMY_CHANGES,
    EVAL_SCORE, EVAL_PASS_RATIO, EVAL_BASELINE_PASS_RATIO, EVAL_RUNS, EVAL_LAST_RUN,
    BUILD_INFO, PROCESS_START, CONFIG_ERRORS, EXPORTER_ERRORS, GATEWAY_REFUSED,
)  # fmt: skip  # one area a line reads better than one name a line

OPEN_LABELS = tuple(
    (spec, label)
    for spec in ALL_BUT_OVERFLOW
    for label in spec.labels
    if label.bound != "closed" or OTHER in label.values
)
"""Every (metric, label) whose values come from outside, so that they are expected to overflow into ``other``."""

LABEL_OVERFLOW = _counter(
    "agent_exporter_label_overflow_total",
    "Label values folded into other.",
    _closed("metric", *(spec.name for spec in ALL_BUT_OVERFLOW), OWN),
    _closed("label", *dict.fromkeys(label.name for spec in ALL_BUT_OVERFLOW for label in spec.labels), OWN),
)

ALL: tuple[MetricSpec, ...] = (*ALL_BUT_OVERFLOW, LABEL_OVERFLOW)
"""Every public metric, in the order of the contract."""


def by_name(name: str) -> MetricSpec:
    """The spec of a metric or of one of its series (``…_bucket``, ``…_sum``, ``…_count``); KeyError if unknown."""
    for spec in ALL:
        if name == spec.name or name in spec.series:
            return spec
    raise KeyError(name)
