"""Which of the levers on cost are pulled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Levers:
    """All on, as an agent should run; each can be off, to see what it saves.

    ``tiers``: each step on the model that it needs, else all on the planning model. ``cache``: tool results are kept
    for a while. ``batching``: look-ups made at once are one query. ``prompt_caching``: the prompt is marked for the
    provider's cache.
    """

    tiers: bool = True
    cache: bool = True
    batching: bool = True
    prompt_caching: bool = True
