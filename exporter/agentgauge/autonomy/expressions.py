"""Which regular expressions a policy may use: Python's engine can take for ever, and an agent would wait for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]  # typeshed leaves them out
from re import _parser as parser  # type: ignore[attr-defined]  # as above
from typing import Any

LONGEST_EXPRESSION = 500
REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT)
ONE_WAY = (codes.POSSESSIVE_REPEAT, codes.ATOMIC_GROUP)


def check_expression(expression: str) -> None:
    """ValueError if it is not a regular expression, is too long, or repeats what matches in several ways: ``(a+)+``.

    The time that such a one takes doubles with every character. ``(?:a++b)*`` and ``(?>a|b)*`` may be used: what is
    possessive or atomic matches in one way.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError(f"is longer than {LONGEST_EXPRESSION} characters; make several rules of it")
    try:
        re.compile(expression)
        tree = parser.parse(expression)
    except (re.error, OverflowError, RecursionError) as error:  # the latter: \UFFFFFFFF, very deep groups
        raise ValueError(f"is not a valid regular expression: {error}") from None
    if _can_explode(tree, repeated=False):
        raise ValueError(
            "repeats a part that matches in several ways, which can take for ever; "
            "make that part possessive or atomic, as in (?:a++b)* or (?>a|b)*"
        )


def _can_explode(tree: Any, *, repeated: bool) -> bool:
    """Whether a choice stands in a repeat that can come back to it; ``repeated`` says that ``tree`` is in one."""
    for code, argument in tree:
        within = repeated and code not in ONE_WAY
        if code in REPEATS:
            least, most = argument[:2]
            if within and least != most:
                return True
            within = within or most > 1
        elif code is codes.BRANCH and within:
            return True
        if any(_can_explode(inner, repeated=within) for inner in _inside(argument)):
            return True
    return False


def _inside(argument: Any) -> Iterator[Any]:
    """The expressions in what a part of one is made of."""
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for one in argument:
            yield from _inside(one)
