"""Sorts reasons into a few themes by their words; each theme comes with the change that it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """A kind of objection; ``remedy`` says what to change, with a hole for the tool's name.

    ``rule`` is a sentence for the prompts that says it to the model; ``of_tool`` says that it belongs in the tool's
    description, and not into the system prompt.
    """

    name: str
    words: str
    remedy: str
    rule: str = ""
    of_tool: bool = True


THEMES = (
    Theme(
        "too casual",
        r"casual|informal|flippant|chatty|(more|not|little) formal",
        "ask for a more formal tone in the system prompt, with a greeting to imitate",
        "Tone: formal, with a formal greeting in e-mails.",
        of_tool=False,
    ),
    Theme(
        "too formal",
        r"formal|stiff|cold|impersonal|warmer|friendlier",
        "ask for a warmer tone in the system prompt, with a greeting to imitate",
        "Tone: warm, with a greeting as one colleague gives another.",
        of_tool=False,
    ),
    Theme(
        "wrong recipient",
        r"recipients?|wrong (person|people|contact|address|customer|account)",
        "say in the description of {tool} where the recipient comes from, and to ask when it is not clear",
        "Take the recipient from what a look-up returned, and ask the user when it is not clear who is meant.",
    ),
    Theme(
        "not wanted",
        r"not (asked|needed|wanted|now|yet)|(did|do)(n't| not) (ask|want|need)|unnecessary|too (early|soon)|premature",
        "say in the description of {tool} when not to call it",
        "Do not call it unless the user asks for it.",
    ),
    Theme(
        "against the rules",
        r"rules?|polic(y|ies)|allowed|authori[sz]ed|confidential|promis\w+",
        "write the rule into the system prompt, and into the policy if no {tool} may ever break it",
        "Promise and disclose nothing that the rules do not allow.",
        of_tool=False,
    ),
    Theme(
        "done before",
        r"already|twice|again|duplicate",
        "say in the description of {tool} to look up first what was done before",
        "First look up what was done before, and do not do it twice.",
    ),
    Theme(
        "too long",
        r"long|lengthy|wordy|verbose|shorter",
        "set a limit of length in the description of {tool}",
        "Keep it short.",
    ),
    Theme(
        "wrong facts",
        r"wrong|incorrect|false|outdated|stale|old|invented|made up",
        "say in the system prompt which look-ups come before {tool}, and to use no figure that none of them returned",
        "Use no figure and no name that a look-up did not return in this conversation.",
        of_tool=False,
    ),
    Theme(
        "incomplete",
        r"missing|lacks?|forg(o|e)t\w*|incomplete|too short|vague|unclear",
        "list in the description of {tool} what has to be in it",
        "Leave nothing out that the user needs.",
    ),
)
"""A reason belongs to the first theme whose words it contains."""

UNEXPLAINED = Theme("no reason given", "", "ask the reviewers for reasons: a rejection without one teaches nothing")
UNTHEMED_REMEDY = (
    "read these conversations (`feedback export --unproven`), and write what they have in common into the prompts"
)


def theme_of(reason: str | None) -> Theme:
    """The theme of a reason. One that fits no theme becomes its own, without regard to case and punctuation."""
    words = " ".join(re.findall(r"[\w'%-]+", (reason or "").lower()))
    if not words:
        return UNEXPLAINED
    for theme in THEMES:
        if re.search(rf"\b({theme.words})\b", words):
            return theme
    return Theme(words, "", UNTHEMED_REMEDY)
