"""How large a price change is that an English text speaks of.

It reads numbers, fractions and the usual words for a discount. That is a hint and no proof: a promise can be worded in
ways that nothing here knows, and in other languages. A tool whose texts bind the company had better be of high risk as
such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf

_PRICE = r"(?:list )?(?:prices?|costs?|fees?|rates?|charges?|amount|total|quote|invoice)"
_FEWER = r"(?:less|off|lower|cheaper|discount\w*|reduc\w+|rebate|credit\w*|refund\w*|back|sav(?:e|es|ed|ing|ings))"
_DIGITS = r"(?<!\d)(?<!\d[.,])\d[\d.,]*\s*(?:k|m|thousand|million)?"
_MONEY = rf"(?:[$€£¥]\s*{_DIGITS}|{_DIGITS}\s*(?:[$€£¥]|(?:USD|EUR|GBP|dollars?|euros?|pounds?)\b))"
_FRACTIONS = {"half": 50.0, "third": 100 / 3, "quarter": 25.0, "fifth": 20.0, "tenth": 10.0}
_FRACTION = rf"(?:(?P<times>two|three|four|2|3|4)[ -])?(?:(?:a|one)[ -])?(?P<part>{'|'.join(_FRACTIONS)})s?"
_TIMES = {"two": 2, "three": 3, "four": 4, "2": 2, "3": 3, "4": 4}
_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip  # one number a line would be no easier to read
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred"]
_NUMBERS = {word: float(value) for value, word in enumerate(_SMALL)} | {
    word: 20.0 + 10 * place for place, word in enumerate(_TENS)
}

_PERCENT = re.compile(
    r"(?<!\d)(?<!\d[.,])(?P<digits>\d+(?:[.,]\d+)*)\s*(?:%|per ?cent|pct\b|percentage points?)", re.IGNORECASE
)
_PERCENT_IN_WORDS = re.compile(r"\b(?P<words>[a-z]+(?:[ -][a-z]+)?)[ -]per ?cent\b", re.IGNORECASE)
_FRACTION_OF_A_PRICE = re.compile(
    rf"\b{_FRACTION}[ -](?:of )?(?:(?:the|our|your|its|this) )?(?:{_PRICE}|{_FEWER})\b", re.IGNORECASE
)
_PRICE_BY_A_FRACTION = re.compile(
    rf"\b(?:{_PRICE}|{_FEWER})\b(?:\W+\w+){{0,3}}?\W+(?:by|in) {_FRACTION}\b", re.IGNORECASE
)
_AMOUNT_LESS = re.compile(
    rf"{_MONEY}(?:\s+\w+){{0,2}}?\s+{_FEWER}\b"
    rf"|\b(?:{_FEWER}|cut|drop|lower\w*|knock\w*|waiv\w+|deduct\w*)(?:\s+\w+){{0,4}}?\s+{_MONEY}",
    re.IGNORECASE,
)
_UNSIZED = re.compile(
    rf"\bdiscount|\brebate|\bcheaper\b|\bwaiv(?:e|es|ed|ing)\b|\bcomplimentary\b|\bon the house\b"
    rf"|\bprice[- ](?:cut|drop|reduction|increase|match)|\bhal(?:ve|ves|ved|ving)\b"
    rf"|\b(?:cut|lower|reduce|drop|halve|match|beat|raise|increase)\w* (?:\w+ ){{0,2}}?{_PRICE}\b"
    rf"|\b(?:lower|reduced|better|special|new) {_PRICE}\b"
    r"|\bfree of charge\b|\bfor free\b|\bno (?:extra |additional )?(?:charge|cost)\b|\bat cost\b"
    r"|\bfree (?:month|year|seat|user|licen[cs]e|upgrade|training|renewal)"
    r"|\b\w+ for (?:the price of )?(?:one|two|1|2)\b",
    re.IGNORECASE,
)


def largest_price_change(text: str) -> float:
    """In per cent: 0 if it speaks of none, infinite if it speaks of one whose size cannot be read.

    Every percentage counts, whatever it is of.
    """
    return max((size for sentence in re.split(r"(?<=[.!?;])\s+|\n+", text) for size in _sizes(sentence)), default=0.0)


def _sizes(sentence: str) -> Iterator[float]:
    sized = [*_percentages(sentence), *_fractions(sentence)]
    yield from sized
    if _AMOUNT_LESS.search(sentence) or (not sized and _UNSIZED.search(sentence)):
        yield inf


def _percentages(sentence: str) -> Iterator[float]:
    for match in _PERCENT.finditer(sentence):
        # 1,000 may be a thousand or, in other countries, one: the larger counts.
        for digits in (match["digits"], re.sub(r"[.,](?=\d{3}\b)", "", match["digits"])):
            plain = digits.replace(",", ".")
            yield float(plain) if plain.count(".") < 2 else inf
    for match in _PERCENT_IN_WORDS.finditer(sentence):
        yield _spelled(match["words"])


def _spelled(words: str) -> float:
    """A number in words, as ``twenty-five``; infinite if its last word is not one."""
    first, last = ([None, *re.split("[ -]", words.lower())])[-2:]
    if last not in _NUMBERS:
        return inf
    return _NUMBERS[last] + (_NUMBERS[first] if first in _TENS and last in _SMALL else 0)


def _fractions(sentence: str) -> Iterator[float]:
    for expression in (_FRACTION_OF_A_PRICE, _PRICE_BY_A_FRACTION):
        for match in expression.finditer(sentence):
            yield _FRACTIONS[match["part"].lower()] * _TIMES.get((match["times"] or "").lower(), 1)
