"""What thumbs down ask of the prompts: lessons from conversations that users rated, as far as their text is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from agentgauge.feedback.conversation import texts_of_user
from agentgauge.feedback.lessons import Lesson
from agentgauge.feedback.report import LEAST_TIMES
from agentgauge.transcripts.transcript import Transcript

RULES = {
    "tone": "Mind the tone of your answers: users rated them down for it.",
    "incomplete": "Answer completely: users rated answers down because something was missing.",
}
"""Reason of a thumb → a sentence for the system prompt. Wrong and slow answers are not the prompts' fault."""


def lessons_of_thumbs(transcripts: Iterable[Transcript], in_force: str) -> list[Lesson]:
    """The lessons of these conversations for the prompts in force, the most frequent first.

    Only a judge can tell whether a version has learned one: no check knows what a good tone is.
    """
    said: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for one in transcripts:
        texts = tuple(texts_of_user(one.messages or ()))
        if texts and one.prompt_version == in_force:
            for reason in {occasion.detail for occasion in one.occasions if occasion.cause == "thumbs_down"}:
                said[reason].append(texts)
    drawn = [
        Lesson(
            kind="rated",
            prompt_version=in_force,
            tool="",
            theme=reason,
            times=len(said[reason]),
            of=len(said[reason]),
            reasons=(),
            rule=rule,
            of_tool=False,
            expected={},
            actions=(),
            said=tuple(said[reason]),
        )
        for reason, rule in RULES.items()
        if len(said[reason]) >= LEAST_TIMES
    ]
    return sorted(drawn, key=lambda one: -one.times)
