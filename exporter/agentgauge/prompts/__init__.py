"""Prompt versions: the library of them, and which one is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.prompts.activations import Activation, NothingBeforeError, PromptActivations
    from agentgauge.prompts.library import ActivePrompts, PromptError, PromptLibrary, Prompts, PromptSource

__all__ = [
    "Activation",
    "ActivePrompts",
    "NothingBeforeError",
    "PromptActivations",
    "PromptError",
    "PromptLibrary",
    "PromptSource",
    "Prompts",
]

__getattr__ = on_demand(
    __name__,
    "prompts",
    {
        "activations": ["Activation", "NothingBeforeError", "PromptActivations"],
        "library": ["ActivePrompts", "PromptError", "PromptLibrary", "PromptSource", "Prompts"],
    },
)
