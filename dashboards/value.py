"""Value: is the agent worth its money, and to whom. For the owner, not for the one who is on call."""

from __future__ import annotations

from collections.abc import Callable

from agentgauge import vocabulary
from alerts import links
from alerts.areas.cost import SPEND_10M
from dashboards import queries, savings, shared
from dashboards.annotations import EVERYWHERE
from dashboards.model import Assumption, Dashboard, Limit, Panel, Query, Row
from dashboards.shapes import WINDOWS_OF_THE_RARE, headline, lines, stack, table
from dashboards.style import COUNT, RATIO, SECONDS, USD

MINUTES = Assumption("minutes", "Minutes a completed task saves", 10, (2, 5, 10, 15, 30, 60))

COMPLETED = 'outcome="completed"'


def _spend(over: str, by: str = "") -> str:
    """LLM and tool spend, added up from the rule that records it: weeks of raw samples would be slow to read."""
    return f"sum{f' by ({by}) ' if by else ''}(sum_over_time({SPEND_10M}{{<where>}}[{over}:10m]))"


def _completed(over: str, by: str = "") -> str:
    return queries.increase("tasks", over, by, COMPLETED)


def _cost_of_a_task(over: str, by: str = "") -> str:
    return f"{_spend(over, by)}\n/\n({_completed(over, by)} > 0)"


def _lever(id: int, title: str, description: str, over: Callable[[str], str]) -> Panel:
    return headline(
        id,
        title,
        USD,
        f"{description} An estimate.",
        over,
        span=6,
        windows=WINDOWS_OF_THE_RARE,
        limit=Limit(0, "below"),
    )


WORTH = Row(
    "Is it worth it?",
    (
        headline(
            100,
            "Tasks completed",
            COUNT,
            "User requests that were completed.",
            _completed,
            windows=WINDOWS_OF_THE_RARE,
            opens=links.AGENT,
        ),
        headline(
            101,
            "Time saved",
            SECONDS,
            "Completed tasks, at the minutes that one saves: an assumption, which you set above the panels. "
            "Ask those who did the work by hand how long it took.",
            lambda over: f"60 * $minutes * {_completed(over)}",
            windows=WINDOWS_OF_THE_RARE,
        ),
        headline(
            102,
            "Cost of a completed task",
            USD,
            "LLM and tool spend by completed tasks: what failed is paid for as well.",
            _cost_of_a_task,
            windows=WINDOWS_OF_THE_RARE,
            opens=links.COST,
        ),
        headline(
            103,
            "Cost of an hour saved",
            USD,
            "LLM and tool spend by the hours saved, as assumed above.",
            lambda over: f"{_spend(over)}\n/\n($minutes / 60 * {_completed(over)} > 0)",
            windows=WINDOWS_OF_THE_RARE,
        ),
        headline(
            104,
            "Thumbs up",
            RATIO,
            "Share of thumbs up among all ratings.",
            lambda over: queries.share("feedback", 'rating="up"', over=over),
            windows=WINDOWS_OF_THE_RARE,
            opens=links.USERS,
        ),
        shared.active_users(105, "Active this month", "28d", "28 days", opens=links.USERS),
    ),
)

OVER_TIME = Row(
    "Day by day",
    (
        lines(
            106,
            "Tasks completed a day",
            COUNT,
            "Completed requests of the 24 hours up to each moment.",
            Query(_completed("1d", "agent"), "{{agent}}"),
        ),
        lines(
            107,
            "Cost of a completed task",
            USD,
            "Spend of the 24 hours up to each moment, by what was completed in them.",
            Query(_cost_of_a_task("1d", "agent"), "{{agent}}"),
        ),
        lines(
            108,
            "Evaluation",
            RATIO,
            "Share of each suite's scenarios that the version in use passed in its last run.",
            Query(queries.ledger_gauge("eval_pass_ratio", "agent, suite"), "{{suite}}"),
        ),
    ),
)


def _active_in(week: str) -> str:
    return queries.ledger_gauge("user_cohort", "agent, weeks_ago", f'week="{week}"')


def _stayed(week: str) -> str:
    """Of those who came in the same week, the share active so many weeks later."""
    return f"{_active_in(week)}\n/\n({_active_in('0')} > 0)"


ADOPTION = Row(
    "Adoption",
    (
        table(
            109,
            "Do new people stay?",
            "A row for those who came first so many weeks ago: how many they were, and which share of them was active "
            "one, two, three… weeks later. Weeks are of seven days and count back from today; the newest is not over.",
            ("agent", "weeks_ago"),
            Query(f"{_active_in('0')} > 0", "came", COUNT),
            *(Query(_stayed(week), f"+{week} w", RATIO) for week in vocabulary.COHORT_WEEKS[1:]),
            span=16,
        ),
        lines(
            110,
            "Active users",
            COUNT,
            "Distinct users of the 7 and of the 28 days up to each moment.",
            Query(queries.ledger_gauge("active_users", "agent", 'window="7d"'), "{{agent}} weekly"),
            Query(queries.ledger_gauge("active_users", "agent", 'window="28d"'), "{{agent}} monthly"),
        ),
    ),
)


def _by_version(metric: str, having: str = "") -> str:
    """What a counter counted in the range, by the version of the prompts that ran in each hour."""
    counted = queries.increase(metric, "1h", "job, instance, agent", having)
    return f"""
sum by (agent, prompt_version) (
  sum_over_time((
    max by (job, instance, agent, prompt_version) (<build_info>{{<where>}})
    * on (job, instance, agent) group_left ()
    {counted}
  )[$__range:1h])
)
"""


def _share_by_version(metric: str, part: str) -> str:
    return f"({_by_version(metric, part)})\n/\n({_by_version(metric)} > 0)"


QUALITY = Row(
    "Quality by version, from live traffic",
    (
        table(
            111,
            "Versions of the prompts",
            "What people got from each version of the prompts in the range, by the version that ran in each hour: "
            "requests, how many were completed, how many the agent said it cannot help with, and thumbs down.",
            ("agent", "prompt_version"),
            Query(f"round({_by_version('tasks')}) > 0", "requests", COUNT),
            Query(_share_by_version("tasks", COMPLETED), "completed", RATIO, Limit("AgentTaskCompletionLow", "below")),
            Query(
                _share_by_version("tasks", 'outcome="fallback"'),
                "fallback",
                RATIO,
                Limit("AgentFallbackRateHigh", "above"),
            ),
            Query(
                _share_by_version("feedback", 'rating="down"'),
                "thumbs down",
                RATIO,
                Limit("AgentNegativeFeedbackHigh", "above"),
            ),
            span=12,
            most_first="requests",
        ),
        stack(
            112,
            "Why thumbs go down",
            COUNT,
            "Thumbs down of the 24 hours up to each moment by the reason given. `agentgauge feedback report` sorts the "
            "words of people into themes: they are nobody else's business and so are not metrics.",
            Query(queries.increase("feedback", "1d", "reason", 'rating="down"'), "{{reason}}"),
            span=12,
            empty="Nobody gave a thumb down",
        ),
    ),
)

LEVERS = Row(
    "What the levers saved",
    (
        _lever(
            113, "Prompt cache", "What prompts would have cost uncached, less what they did cost.", savings.prompt_cache
        ),
        _lever(114, "Tool cache", "Hits, at what a look-up that missed cost on average.", savings.tool_cache),
        _lever(
            115,
            "Model tiers",
            "What all tokens would have cost at the mean price of the dearest model, less what they did cost.",
            savings.model_tiers,
        ),
        _lever(
            116, "Batching", "Calls that batches made unnecessary, at what a call cost on average.", savings.batching
        ),
    ),
)

VALUE = Dashboard(
    uid=links.VALUE,
    title="AgentGauge Value",
    description="Is the agent worth its money, and to whom: for its owner.",
    source="dashboards/value.py",
    variables=("job", "instance", "agent"),
    annotations=EVERYWHERE,
    rows=(WORTH, OVER_TIME, ADOPTION, QUALITY, LEVERS),
    since="now-28d",
    assumptions=(MINUTES,),
)
