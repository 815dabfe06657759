"""What a sales representative wants, recognised by the words of the request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sample_agent.fake_api.conversation import Conversation

Intent = Literal["look_up", "draft", "send", "catalog", "emails", "log", "small_talk", "unclear", "out_of_scope"]

OUT_OF_SCOPE = re.compile(
    r"\b(legal (advice|opinion)|lawsuit|can (i|we) sue|lawyer|weather|poem|haiku|limerick|song|joke|recipe"
    r"|stocks?|shares? (price|of)|invest(ing|ment)?|bitcoin|crypto|horoscope|football|election|politics"
    r"|medical|diagnos\w+|tax (advice|return)|homework|python|javascript|movie|translate)\b",
    re.IGNORECASE,
)
SMALL_TALK = re.compile(
    r"^\W*(hi|hello|hey|good (morning|afternoon|evening)|thanks?|thank you|cheers|bye|goodbye|great|perfect|nice"
    r"|ok(ay)?|how are you|who are you|what can you do)\b(?!.*\b(tell|show|give|when|which|more|deals?|renewals?)\b)",
    re.IGNORECASE,
)
SEND = re.compile(
    r"\bsend (it|that|this|the (draft|e-?mail|proposal|message))\b|\bgo ahead\b|^\W*(yes|approved)\b",
    re.IGNORECASE,
)
DRAFT = re.compile(
    r"\b(draft|write|compose|prepare|send)\b.{0,60}\b(e-?mail|message|proposal|reply|follow-?up)\b"
    r"|^\W*(please )?e-?mail\b",
    re.IGNORECASE,
)
EMAILS = re.compile(
    r"\b(last|latest|recent|past|any|show|find|search|read|what|which)\b.{0,40}\b(e-?mails?|correspondence)\b"
    r"|\bwhat (did|has|have)\b.{0,60}\b(write|written|say|said|ask|asked)\b|\bwrote\b|\bheard? from\b",
    re.IGNORECASE,
)
LOG = re.compile(
    r"\b(log|note|record|update|add|save|put|write)\b.{0,200}\b(crm|note|risk|next step)\b"
    r"|^\W*(please )?(log|note|record)\b",
    re.IGNORECASE | re.DOTALL,
)
CATALOG = re.compile(
    r"\b(prices?|pricing|list price|catalog(ue)?|products?|editions?|modules?|how much (is|are)|costs?)\b",
    re.IGNORECASE,
)
# Where two of these begin at the same word, the one listed first counts.
SIGNS: dict[Intent, re.Pattern[str]] = {
    "send": SEND,
    "draft": DRAFT,
    "log": LOG,
    "emails": EMAILS,
    "catalog": CATALOG,
}
REFERS_BACK = re.compile(r"\b(it|its|they|them|their|that|this|those|these|she|he|her|him|there)\b", re.IGNORECASE)

CAPITALISED = re.compile(r"\b[A-Z][\w&-]*(?:[ ][A-Z][\w&-]*)*")
LOWER_CASE_NAME = re.compile(
    r"\b(?:about|at|for|with|of|from) (?:the )?([a-z][a-z-]{3,}(?: [a-z][a-z-]+)?)\W*$", re.MULTILINE
)
PERSON_AT = re.compile(r"\b([A-Z]\w+(?: [A-Z]\w+)?) (?:at|from|of) (?:the )?(?=[A-Z])")

# Words that are not names, although they may stand where a name could, for example at the start of a sentence.
NO_NAMES = frozenset((Path(__file__).parent / "no_names.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class Wish:
    """What the user wants now, of which accounts, and which person they named, if any."""

    intent: Intent
    accounts: tuple[str, ...] = ()
    person: str | None = None


def understand(conversation: Conversation) -> Wish:
    """Return what the latest question asks for; "it", "them" or no name at all mean the accounts talked of last."""
    text = conversation.question
    people = _people(conversation)
    person, named = _names(text, people)
    accounts = named or ((people[person],) if person in people else ()) or _last_accounts(conversation, people)
    intent = _intent(text, bool(named or person), bool(accounts))
    return Wish(intent, accounts, person)


def _intent(text: str, names_someone: bool, knows_account: bool) -> Intent:
    """Return the intent of a text; of several things asked for, the first in the text counts."""
    if OUT_OF_SCOPE.search(text):
        return "out_of_scope"
    said = {intent: match.start() for intent, words in SIGNS.items() if (match := words.search(text))}
    if said:
        return min(said, key=said.__getitem__)
    if SMALL_TALK.search(text) and not names_someone:
        return "small_talk"
    if names_someone or (knows_account and REFERS_BACK.search(text)):
        return "look_up"
    return "unclear"


def _names(text: str, people: dict[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the person and the account names that a text mentions; `people` are those known by now."""
    at = PERSON_AT.search(text)
    person = _strip(at.group(1)) if at else None
    accounts = []
    for match in CAPITALISED.finditer(text):
        name = _strip(match.group())
        if name in people:
            person = person or name
        elif name and name != person:
            accounts.append(name)
    if not accounts and person is None:
        accounts = [name for match in LOWER_CASE_NAME.findall(text) if (name := _strip(match))]
    return person or None, tuple(dict.fromkeys(accounts))


def _strip(name: str) -> str:
    """Drop the words around a name that are none, as in "Tell Globex"."""
    words = name.split()
    while words and words[0].lower() in NO_NAMES:
        words.pop(0)
    while words and words[-1].lower() in NO_NAMES:
        words.pop()
    return " ".join(words)


def _people(conversation: Conversation) -> dict[str, str]:
    """Return the people that the tools named so far, by full and by first name, with their account."""
    people: dict[str, str] = {}
    for step in conversation.steps:
        for account in step.records("accounts"):
            for contact in account.get("contacts", []):
                for name in (contact["name"], contact["name"].split()[0]):
                    people[name] = account["name"]
    return people


def _last_accounts(conversation: Conversation, people: dict[str, str]) -> tuple[str, ...]:
    """Return the accounts of the latest earlier question that named any."""
    questions: Iterable[str] = reversed(conversation.earlier)
    return next((accounts for text in questions if (accounts := _names(text, people)[1])), ())
