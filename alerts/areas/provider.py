"""The provider: do the attempts to call a model succeed, and is the model that the agent asks for there?"""

from __future__ import annotations

from alerts import links
from alerts.evidence import Judged, share_above
from alerts.model import Alert, Record

MODEL_GONE = "not_found_error|model_not_found|http_404|http_410"
"""What providers, and proxies before them, answer for a model that is not there (any more)."""

CANCELLED = "CancelledError"
"""The caller gave up, as when its user left: that says nothing about the provider."""

KINDS = {
    "rate limited": "rate_limit_error|rate_limit_exceeded|RateLimitError|http_429",
    "overloaded or 5xx": "overloaded_error|api_error|server_error|InternalServerError|http_5..",
    "timed out": ".*[Tt]imeout.*|http_408",
}
"""What a page tells apart, as regular expressions of error types; all else are others."""

ERRORS_BY_TYPE = "agent_error_type:agent_llm_errors:middle"


def _gone(window: str) -> str:
    """How many calls of a model were answered by not found."""
    return f'sum by (agent, model) (increase(<llm_errors>{{error_type=~"{MODEL_GONE}"}}[{window}]))'


def _not_cancelled(attempts: str) -> str:
    """How much these attempts grew in a window, without the cancelled ones."""
    return f"""
sum by (agent) (increase({attempts}[<window>]))
-
sum by (agent) (increase(<llm_errors>{{error_type="{CANCELLED}"}}[<window>]))
or
sum by (agent) (increase({attempts}[<window>]))
"""


FAILED = Judged(
    alert="AgentLLMErrorsHigh",
    record="agent:agent_llm_calls_failed",
    by="agent",
    part=_not_cancelled('<llm_calls>{outcome="error"}'),
    whole=_not_cancelled("<llm_calls>"),
)

RECORDS = (
    *FAILED.records("provider"),
    # An error type is born at its first error, which is not an increase: a type that was not there counts as it is,
    # unless the agent was not there either, as when a new Prometheus meets an old process.
    Record(
        ERRORS_BY_TYPE,
        """
(
  sum by (agent, error_type) (<llm_errors>)
  unless
  sum by (agent, error_type) (last_over_time(<llm_errors>[<middle.window>] offset <middle.window>))
  and on (agent)
  sum by (agent) (last_over_time(<llm_calls>[<middle.window>] offset <middle.window>))
)
or
sum by (agent, error_type) (increase(<llm_errors>[<middle.window>]))
""",
        area="provider",
        of="AgentLLMErrorsHigh",
    ),
)


def _counted(matcher: str) -> str:
    """How many errors of these types there were lately, as Prometheus fills it in."""
    return (
        f"{{{{ with printf `sum({ERRORS_BY_TYPE}{{agent=%q, {matcher}}})` $labels.agent | query }}}}"
        '{{ . | first | value | printf "%.0f" }}{{ else }}0{{ end }}'
    )


_OF_NO_KIND = f'error_type!~"{"|".join([*KINDS.values(), CANCELLED])}"'
_BY_KIND = ", ".join(
    [_counted(f'error_type=~"{types}"') + f" {kind}" for kind, types in KINDS.items()]
    + [_counted(_OF_NO_KIND) + " others"]
)

ALERTS = (
    Alert(
        name="AgentModelGone",
        area="provider",
        summary="The provider does not know a model that the agent asks for.",
        fires_when="a model answers not_found",
        # Increases only: what an old process has counted says nothing about now when a new Prometheus meets it. Of few
        # calls the window holds less than the evidence now and then: while no call succeeds it is not over.
        expr=f"""
{_gone("<window>")} >= <evidence>
or
{_gone("<window>")}
and
{_gone("1h")} > 0
and on (agent, model)
ALERTS{{alertname="AgentModelGone", alertstate="firing"}}
unless on (agent)
sum by (agent) (increase(<llm_calls>{{outcome="success"}}[<window>])) > 0
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} calls of model {{ $labels.model }} in the last <window> '
            "were answered by not found: it was withdrawn, or its name is wrong."
        ),
        labels=("agent", "model"),
        panel=links.LLM_ERRORS,
        inhibits=("AgentLLMErrorsHigh", "AgentTaskCompletionLow"),
    ),
    Alert(
        name="AgentLLMErrorsHigh",
        area="provider",
        summary="Too many attempts to call a model fail.",
        fires_when="failed / all LLM attempts > <threshold>, those that the caller cancelled left out",
        expr=share_above(FAILED, "<threshold>", "(1 - <threshold>)", roots=("AgentModelGone",)),
        description=(
            f"{{{{ $labels.agent }}}}: {FAILED.worst_first('of the LLM attempts failed')}; "
            f"above <threshold> is too many. Of those of the last <middle.window>, {_BY_KIND}."
        ),
        labels=("agent",),
        panel=links.LLM_FAILED,
        inhibits=("AgentTaskCompletionLow", "AgentFallbackRateHigh", "AgentLatencySpike"),
    ),
)
