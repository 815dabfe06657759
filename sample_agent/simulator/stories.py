"""The stories that a made-up history can tell: a healthy month, and what goes wrong at the end of the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Crowd:
    """Who comes. Regulars come on most days; a guest comes on one day and never again.

    The counts are those of the seven days that end today; ``…_growth`` is by how much they grew from the week before,
    and that from the one before it.
    """

    regulars: int
    regulars_growth: int
    guests: int
    guests_growth: int = 0

    def regulars_of(self, weeks_ago: int) -> int:
        """Regulars of a week; 0 is the one that ends today."""
        return max(0, self.regulars - weeks_ago * self.regulars_growth)

    def guests_of(self, weeks_ago: int) -> int:
        """Guests of a week; 0 is the one that ends today."""
        return max(0, self.guests - weeks_ago * self.guests_growth)


@dataclass(frozen=True)
class Habits:
    """How agent and users behave; the defaults are a healthy Sales Companion."""

    turns_to_completion: float = 2.05
    sessions: float = 1
    """How many they open, against the usual."""
    output_tokens: float = 50
    """Of one call that plans or answers."""
    cached: float = 0.9967
    """Share of what can be read from the prompt cache that is."""
    tool_prices: float = 1
    """What the APIs behind the tools charge, against the usual price."""
    rated: float = 1
    """How many of the answers are rated, against the usual."""
    happy: float = 0.94
    approved: float = 0.93
    audits_ok: float = 0.985


@dataclass(frozen=True)
class Story:
    """Weeks of a crowd and a healthy agent, whose last ``hours`` are different."""

    description: str
    crowd: Crowd
    lately: Habits = Habits()
    hours: float = 0


GROWING = Crowd(regulars=50, regulars_growth=3, guests=5)

STORIES: dict[str, Story] = {
    "healthy": Story("More people every week, nothing wrong.", GROWING),
    "adoption-declines": Story(
        "Every week fewer people use it than the week before.", Crowd(regulars=24, regulars_growth=-14, guests=5)
    ),
    "retention-low": Story(
        "People try it once and do not come back.", Crowd(regulars=2, regulars_growth=0, guests=112, guests_growth=10)
    ),
    "cost-spike": Story(
        "For four hours the model has answered at great length, at nine times the cost.",
        Crowd(regulars=10, regulars_growth=1, guests=2),
        Habits(output_tokens=1850),
        hours=4,
    ),
    "over-budget": Story(
        "For six hours the model has answered at some length, at twice the cost and more, to three times the people.",
        Crowd(regulars=150, regulars_growth=2, guests=5),
        Habits(output_tokens=375),
        hours=6,
    ),
    "cache-lost": Story(
        "For forty minutes nothing of a prompt has been read from the cache.", GROWING, Habits(cached=0), hours=0.67
    ),
    "tool-prices": Story(
        "For five hours the APIs behind the tools have charged eight times as much.",
        GROWING,
        Habits(tool_prices=8),
        hours=5,
    ),
    "thumbs-down": Story("Since yesterday one rating in three is bad.", GROWING, Habits(happy=0.65), hours=26),
    "ratings-stop": Story("For three days nobody has rated an answer.", GROWING, Habits(rated=0), hours=76),
    "rubber-stamping": Story(
        "Since yesterday people approve whatever is proposed.", GROWING, Habits(approved=0.995), hours=26
    ),
    "audits-fail": Story(
        "For four days one audit in seven has found a mistake.", GROWING, Habits(audits_ok=0.85), hours=96
    ),
    "traffic-stops": Story(
        "For three quarters of an hour nobody has opened a conversation.", GROWING, Habits(sessions=0), hours=0.75
    ),
    "more-turns": Story(
        "For an hour and a half tasks have taken three times the turns.",
        GROWING,
        Habits(turns_to_completion=9),
        hours=1.5,
    ),
}
"""What ``python -m sample_agent backfill --story`` takes."""
