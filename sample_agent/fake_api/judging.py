"""The played model as a judge: it can tell whether words were said, and says so."""

from __future__ import annotations

import re

INSTRUCTION = "Judge the transcript."
QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”')
BY_THE_ASSISTANT = re.compile(r"^agent: (.*?)(?=^(?:user|agent|approver): |^\[\w+ \{|\Z)", re.MULTILINE | re.DOTALL)


def verdict(prompt: str) -> str:
    """Return PASS if the assistant said all that the criterion quotes, else FAIL, and why.

    A criterion that begins with "Never" passes if it said none of it; one that quotes nothing is beyond this judge.
    """
    criterion, _, transcript = prompt.partition("Criterion: ")[2].partition("\nTranscript:\n")
    said = " ".join(BY_THE_ASSISTANT.findall(transcript)).casefold()
    quoted = [straight or curly for straight, curly in QUOTED.findall(criterion)]
    if not quoted:
        return "FAIL I can only judge a criterion that quotes the words to look for."
    present = [words for words in quoted if words.casefold() in said]
    if criterion.lstrip().startswith("Never"):
        return f"FAIL It says “{present[0]}”." if present else f"PASS It does not say {_list(quoted)}."
    missing = [words for words in quoted if words not in present]
    return f"FAIL It does not say {_list(missing)}." if missing else f"PASS It says {_list(quoted)}."


def _list(words: list[str]) -> str:
    return " or ".join(f"“{one}”" for one in words)
