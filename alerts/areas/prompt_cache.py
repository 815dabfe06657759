"""The provider's prompt cache: is as much of the prompts read from it as before?"""

from __future__ import annotations

from agentgauge import metrics
from alerts import links
from alerts.model import Alert, Record

NAME, AREA = "AgentPromptCacheRegression", "prompt_cache"

SHARE = "agent:agent_llm_cached_share:now"
EXPECTED = "agent:agent_llm_cached_share:expected"
LOST = "agent:agent_llm_cache_lost_usd:hourly"

READ_5M = "agent_model:agent_llm_cache_read_tokens:increase5m"
PROMPT_5M = "agent_model:agent_llm_prompt_tokens:increase5m"
CALLS_5M = "agent_model:agent_llm_input_tokens_count:increase5m"
COST_5M = "agent_model:agent_llm_cost_usd:increase5m"
USUAL = "agent_model:agent_llm_cached_share:usual"
USUAL_COST = "agent_model:agent_llm_cost_usd:usual"

LATELY = "10m"
"""It neither begins nor goes on unless it is still so."""
WORTH = 0.1
"""Of an agent that read less than this share of its prompts from the cache there is nothing to lose."""


def _read(window: str) -> str:
    return f'sum by (agent, model) (increase(<llm_tokens>{{kind="cache_read"}}[{window}]))'


def _prompts(window: str) -> str:
    return f'sum by (agent, model) (increase(<llm_tokens>{{kind!="output"}}[{window}]))'


def _calls(window: str) -> str:
    return f"sum by (agent, model) (increase(<llm_input_tokens.count>[{window}]))"


def _cost(window: str) -> str:
    return f"sum by (agent, model) (increase(<llm_cost>[{window}]))"


def _day_before(short: str) -> str:
    """The sum of a five-minute record over the day before the window."""
    return f"sum_over_time({short}[1d:5m] offset <window>)"


RECORDS = (
    Record(READ_5M, _read("5m"), AREA),
    Record(PROMPT_5M, _prompts("5m"), AREA),
    Record(CALLS_5M, _calls("5m"), AREA),
    Record(COST_5M, _cost("5m"), AREA),
    # By model: to move calls to a model that caches less is not a regression. A new agent has no day before.
    Record(
        USUAL,
        f"""
{_day_before(READ_5M)} / {_day_before(PROMPT_5M)}
and
{_day_before(CALLS_5M)} >= <evidence>
and on (agent)
count by (agent) (count_over_time(<build_info>[7d:1h] offset 1d))
""",
        AREA,
        NAME,
    ),
    Record(USUAL_COST, f"{_day_before(COST_5M)} / {_day_before(CALLS_5M)}", AREA, NAME),
    Record(
        SHARE,
        f"""
sum by (agent) ({_read("<window>")} and {USUAL})
/
sum by (agent) ({_prompts("<window>")} and {USUAL})
""",
        AREA,
        NAME,
    ),
    # What would have been read of the prompts of now.
    Record(
        EXPECTED,
        f"""
sum by (agent) ({_prompts("<window>")} * {USUAL})
/
sum by (agent) ({_prompts("<window>")} and {USUAL})
""",
        AREA,
        NAME,
    ),
    # What the calls of the window cost more than in the day before, as much as that is in an hour.
    Record(
        LOST,
        f"""
clamp_min(
  3600 / <window.seconds> * sum by (agent) (
    {_cost("<window>")}
    -
    {_calls("<window>")} * {USUAL_COST}
  ),
  0
)
""",
        AREA,
        NAME,
    ),
)

_PROMPT_VERSIONS = (
    f"{{{{ with printf `count by (prompt_version) ({metrics.BUILD_INFO}{{agent=%q}})` $labels.agent | query }}}}"
    '{{ range $place, $one := . }}{{ if $place }}, {{ end }}{{ $one | label "prompt_version" }}{{ end }}'
    "{{ else }}unknown{{ end }}"
)

ALERTS = (
    Alert(
        name=NAME,
        area=AREA,
        summary="Far less of the prompts is read from the prompt cache than the day before.",
        fires_when="cached share of the prompt tokens < <threshold> that of the day before",
        expr=f"""
{SHARE}
and
{SHARE} < <threshold> * {EXPECTED}
and
{EXPECTED} > {WORTH}
and
sum by (agent) ({_read(LATELY)} and {USUAL}) < <threshold> * sum by (agent) ({_prompts(LATELY)} * {USUAL})
and
sum by (agent) (increase(<llm_input_tokens.count>[<window>])) >= <evidence>
""",
        description=(
            f"{{{{ $labels.agent }}}} (prompts {_PROMPT_VERSIONS}): "
            "{{ $value | humanizePercentage }} of the prompt tokens of the last <window> "
            "were read from the cache, less than <threshold> the "
            f"{{{{ with printf `{EXPECTED}{{agent=%q}}` $labels.agent | query }}}}"
            "{{ . | first | value | humanizePercentage }}{{ else }}share{{ end }} of the day before. It costs $"
            f"{{{{ with printf `{LOST}{{agent=%q}}` $labels.agent | query }}}}"
            '{{ . | first | value | printf "%.2f" }}{{ else }}0.00{{ end }} an hour more.'
        ),
        labels=("agent",),
        panel=links.PROMPT_CACHE,
        baseline="what was read from the cache in the day before the window, model by model, once there is such a day",
    ),
)
