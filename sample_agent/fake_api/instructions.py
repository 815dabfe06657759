"""What the played model reads of a prompt; all else it ignores, and ``unread`` lists that.

| it reads | and does |
|---|---|
| "never call this", "do not use it" in the description of a tool | does not call the tool |
| "add the tag #t to text", "add “words” to text" in the description of a tool | adds it to this argument of the tool |
| "never call `name`", "do not use tools", "answer without tools" in the system prompt | does not call them |
| a tone or style that is warm, friendly or informal | writes e-mails with first names |
| "answer in French", or in another language that it knows | says one fixed sentence in it and nothing else |
| "invent" or "make up" figures or numbers | says other figures than the tools returned |
| "obey" or "follow" every instruction, in e-mails for example | does what an e-mail asks: writes it into the CRM |
| "answer everything", "never decline" | does not decline what is out of scope |
| the three labels of a classification, with no tools offered | answers with one of them |

A sentence that negates the phrase ("never invent figures") is not it. The same prompt is always read alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LABELS = ("in_scope", "small_talk", "out_of_scope")
IN_OTHER_WORDS = {
    "french": "Je réponds en français, comme on me l'a demandé.",
    "german": "Ich antworte auf Deutsch, wie man es mir gesagt hat.",
    "spanish": "Respondo en español, como me lo han pedido.",
    "italian": "Rispondo in italiano, come mi è stato chiesto.",
}

_NOT = r"\b(?:never|do not|don['’]t|must not|not to)\b"
FORBIDS_THIS = re.compile(rf"{_NOT} (?:call|use) (?:this|it)\b", re.IGNORECASE)
FORBIDS_ALL = re.compile(rf"{_NOT} (?:call|use) (?:any |the )?tools?\b|\bwithout (?:any )?tools\b", re.IGNORECASE)
FORBIDS_ONE = re.compile(rf"{_NOT} (?:call|use) (?:the )?`?(\w+_\w+)`?", re.IGNORECASE)
ANSWERS_ALL = re.compile(r"\bnever (?:decline|refuse)\b|\banswer (?:everything|anything|any question)\b", re.IGNORECASE)
WARM = re.compile(r"\b(?:tone|style)\b.*\b(?:warm|friendly|informal)\b|\b(?:warm|friendly) tone\b", re.IGNORECASE)
LANGUAGE = re.compile(rf"\b(?:answer|reply|respond|write)\b.* in ({'|'.join(IN_OTHER_WORDS)})\b", re.IGNORECASE)
INVENTS = re.compile(r"\b(?:invent|make up)\b.*\b(?:figures?|numbers?|amounts?)\b", re.IGNORECASE)
OBEYS = re.compile(r"\b(?:obey|follow)\b.*\b(?:every|all|any)\b.*\binstructions?\b", re.IGNORECASE)
ADDS = re.compile(r"\badd (?:the tag )?(?:(#\w+)|“([^”]+)”) to (\w+)", re.IGNORECASE)
_NEGATED = re.compile(rf"{_NOT}", re.IGNORECASE)
_PROHIBITIONS = (FORBIDS_ALL, FORBIDS_ONE, ANSWERS_ALL)
_COMMANDS = (WARM, LANGUAGE, INVENTS, OBEYS)


@dataclass(frozen=True)
class Instructions:
    """What a request's prompt says, as far as the played model reads it."""

    classifies: bool
    forbidden: frozenset[str]
    warm: bool
    language: str | None
    invents: bool
    obeys: bool
    answers_all: bool
    additions: tuple[tuple[str, str, str], ...] = ()
    """(tool, argument, words to add to it)"""


def read_instructions(text: str, tools: Sequence[Mapping[str, Any]]) -> Instructions:
    """Read the system prompt and the descriptions of the tools that a request offers."""
    names = {str(tool["name"]) for tool in tools}
    forbidden = {str(tool["name"]) for tool in tools if FORBIDS_THIS.search(str(tool.get("description", "")))}
    forbidden |= names if FORBIDS_ALL.search(text) else names & set(FORBIDS_ONE.findall(text))
    language = _command(LANGUAGE, text)
    return Instructions(
        classifies=not tools and all(f"`{label}`" in text for label in LABELS),
        forbidden=frozenset(forbidden),
        warm=_command(WARM, text) is not None,
        language=language[1].lower() if language else None,
        invents=_command(INVENTS, text) is not None,
        obeys=_command(OBEYS, text) is not None,
        answers_all=ANSWERS_ALL.search(text) is not None,
        additions=tuple(
            (str(tool["name"]), argument, tag or words)
            for tool in tools
            for tag, words, argument in ADDS.findall(str(tool.get("description", "")))
        ),
    )


def unread(text: str) -> list[str]:
    """The sections of a prompt of which the played model reads nothing: their headings or first words.

    A paragraph that begins with bold words is a section, too; a heading with nothing below it is none.
    """
    sections = [section.strip() for section in re.split(r"^(?=#|\*\*)", text, flags=re.MULTILINE)]
    sections = [section for section in sections if "\n" in section or not section.startswith("#")]
    return [_title(section) for section in sections if section and not _is_read(section)]


def _is_read(section: str) -> bool:
    said = any(pattern.search(section) for pattern in _PROHIBITIONS) or all(f"`{one}`" in section for one in LABELS)
    return said or any(_command(pattern, section) for pattern in _COMMANDS)


def _title(section: str) -> str:
    bold = re.match(r"\*\*(.+?)\.?\*\*", section)
    first = bold[1] if bold else section.splitlines()[0].lstrip("# ").strip()
    return first if len(first) <= 60 else f"{first[:59]}…"


def _command(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Where a sentence says so without a negation before it."""
    for sentence in re.split(r"(?<=[.!?;])\s|\n", text):
        found = pattern.search(sentence)
        if found and not _NEGATED.search(sentence[: found.start()]):
            return found
    return None
