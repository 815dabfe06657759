"""Which model a step runs on: planning on a large one, classification on a small one, as a YAML file says."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from agentgauge.files.yaml_file import read_yaml
from agentgauge.files.yaml_model import Part, parsed
from agentgauge.session import llm_step
from agentgauge.vocabulary import STEPS, Step

log = logging.getLogger(__name__)

T = TypeVar("T")

OVERLOADED = (429, 529)
OVERLOADED_TYPES = ("rate_limit_error", "overloaded_error")


class Tier(Part):
    """A size of model; ``fallback`` is the tier to turn to while this one is overloaded."""

    model: str
    fallback: str | None = None


class Steps(Part):
    """The tier of each step."""

    planning: str
    tool_arguments: str
    synthesis: str
    classification: str


class TierPolicy(Part):
    """The whole file.

    ``rest_seconds`` is how long an overloaded tier is left alone. The arguments of the tools in ``arguments_apart`` are
    written by the step tool_arguments; those of all others by the model that chose the tool.
    """

    tiers: dict[str, Tier]
    steps: Steps
    rest_seconds: float
    arguments_apart: tuple[str, ...] = ()

    def model_of(self, step: Step) -> str:
        """The model of a step as configured."""
        return self.tiers[self.tier_of(step)].model

    def tier_of(self, step: Step) -> str:
        """The tier of a step as configured."""
        tier: str = getattr(self.steps, step)
        return tier

    def untiered(self) -> TierPolicy:
        """Every step on the planning model, with nothing to fall back to: what tiers are compared with."""
        one = self.steps.planning
        return self.model_copy(
            update={
                "tiers": {one: Tier(model=self.tiers[one].model)},
                "steps": Steps(planning=one, tool_arguments=one, synthesis=one, classification=one),
                "arguments_apart": (),
            }
        )


def load(path: Path, tools: Collection[str]) -> TierPolicy:
    """Read the file; raises YamlFileError at the first thing wrong with it. ``tools`` are those that the agent has."""
    file = read_yaml(path)
    policy = parsed(file, TierPolicy)
    for name, tier in policy.tiers.items():
        if tier.fallback is not None and tier.fallback not in policy.tiers:
            raise file.error(["tiers", name, "fallback"], _unknown("tier", tier.fallback, policy.tiers))
    for step in STEPS:
        if (named := policy.tier_of(step)) not in policy.tiers:
            raise file.error(["steps", step], _unknown("tier", named, policy.tiers))
    for index, tool in enumerate(policy.arguments_apart):
        if tool not in tools:
            raise file.error(["arguments_apart", index], _unknown("tool", tool, tools))
    return policy


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    return f"there is no {what} {name!r}; the {what}s are {', '.join(known)}"


class Switched(Protocol):
    """What the on-call switched: another model for planning and answering, another tier for a step."""

    @property
    def model(self) -> str | None:
        """The model that plans and answers instead of the tiers'."""

    @property
    def tiers(self) -> Mapping[str, str]:
        """Step → tier, for the steps that were switched."""


class Models:
    """Sends each step's calls to its model: the policy's, or the one switched to, or the next one past an overload.

    ``switched`` is asked at each call, so that a switch takes effect at the next one.
    """

    def __init__(
        self, policy: TierPolicy, switched: Callable[[], Switched], now: Callable[[], float] = time.monotonic
    ) -> None:
        self.policy = policy
        self._switched = switched
        self._now = now
        self._rests_until: dict[str, float] = {}

    async def call(self, step: Step, send: Callable[[str], Awaitable[T]]) -> T:
        """Return what ``send(model)`` returns, its cost labelled with the step.

        When a model is overloaded after the SDK's own retries, the next one is sent the same request: ``send`` must not
        have shown anything to anybody before it returns. Other errors pass through.
        """
        *others, last = self.models(step)
        with llm_step(step):
            for model in others:
                try:
                    return await send(model)
                except Exception as error:
                    if not _is_overload(error):
                        raise
                    log.warning("%s is overloaded (%s): falling back for %s", model, type(error).__name__, step)
                    self._rests_until[model] = self._now() + self.policy.rest_seconds
            return await send(last)

    def models(self, step: Step) -> list[str]:
        """The models for a call that starts now, in the order in which they are tried; at least one."""
        switched = self._switched()
        models = [switched.model] if switched.model and step in ("planning", "synthesis") else []
        models += [self.policy.tiers[tier].model for tier in self._tiers(step, switched)]
        ready = [model for model in models if self._rests_until.get(model, 0.0) <= self._now()]
        return list(dict.fromkeys(ready)) or models[:1]

    def tier(self, step: Step) -> str:
        """The tier in force for a step."""
        return self._tiers(step, self._switched())[0]

    def _tiers(self, step: Step, switched: Switched) -> list[str]:
        chosen = switched.tiers.get(step)
        tier: str | None = chosen if chosen in self.policy.tiers else self.policy.tier_of(step)
        tiers: list[str] = []
        while tier is not None and tier not in tiers:
            tiers.append(tier)
            tier = self.policy.tiers[tier].fallback
        return tiers


def _is_overload(error: Exception) -> bool:
    # The SDKs of anthropic and openai both give their errors these attributes. A stream that breaks off has the status
    # of its beginning, 200; what happened stands in the error's type.
    return getattr(error, "status_code", None) in OVERLOADED or getattr(error, "type", None) in OVERLOADED_TYPES
