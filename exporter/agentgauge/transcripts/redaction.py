"""Takes out of a text what tells who somebody is, as far as its form shows it: a name has no form, and stays."""

from __future__ import annotations

import re

MONTH_OR_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_DATE = rf"\d{{4}}-{MONTH_OR_DAY}-{MONTH_OR_DAY}|{MONTH_OR_DAY}[./]{MONTH_OR_DAY}[./](?:19|20)\d\d"

_PATTERNS = (
    # What is in an address after its path, and a user and password before its host.
    (re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@?#<>\"']{1,500}@", re.IGNORECASE), r"\1[credentials]@"),
    (re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://[^\s?#<>\"']{1,2000})[?#][^\s<>\"')\]]*", re.IGNORECASE), r"\1?[query]"),
    (re.compile(r"[^\s@<>()\[\]{},;:\"'=/]{1,64}@[^\s@<>()\[\]{},;:\"'=/]{1,253}\.\w{2,63}"), "[e-mail]"),
    # Keys and tokens: long, and of letters and digits without a blank.
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9_-]{24,}\b"), "[secret]"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), "[account]"),
    (re.compile(r"(?<![\w.,])\d(?:[ -]?\d){12,18}(?![\w])"), "[card]"),
)
_NUMBER = re.compile(
    rf"(?P<date>(?<!\d)(?:{_DATE})(?!\d))"
    # With a plus, an area code in brackets, or in groups: at least seven digits, else it is some other figure.
    r"|(?P<phone>(?<![\w.,])(?:\+|\(?0)\d?[\d ()/.-]{5,25}\d(?!\w)|(?<![\w.,$€£])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w))"
    r"|(?P<digits>(?<![\d.,])\d{7,}(?![\d]))"
)


def redact(text: str) -> str:
    """The text without e-mail addresses, phone, card and account numbers, queries of URLs, keys, and long digits.

    Each is replaced by a word in brackets that says what stood there. Names of people and companies, addresses of
    houses, and anything that is written in words stays: no pattern finds these.
    """
    for pattern, word in _PATTERNS:
        text = pattern.sub(word, text)
    return _NUMBER.sub(_without_number, text)


def _without_number(match: re.Match[str]) -> str:
    match match.lastgroup:
        case "date":
            return match[0]
        case "phone":
            return "[phone]" if sum(character.isdigit() for character in match[0]) >= 7 else match[0]
    return "[number]"
