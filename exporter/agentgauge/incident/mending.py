"""The command of a mitigation: which of its lines are run, and what stands for the words in capitals.

Nothing is run through a shell, and only what is named here: commands of `agentgauge`, and of the demo. Whatever else a
page says is for the reader to type.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentgauge.incident.diagnosis import Diagnosis
from agentgauge.incident.runbook import Mitigation
from agentgauge.incident.terminal import printable

Effect = Literal["looks", "changes", "by hand"]

LOOKING = frozenset(
    {
        "approvals list", "approvals show", "approvals unresolved", "autonomy audits", "autonomy explain",
        "autonomy show", "eval history", "eval show", "fault list", "feedback report", "ops cache show", "ops log",
        "ops looping", "ops sessions", "ops spend", "ops throttles", "ops tiers", "ops tools", "prompts list",
        "stack status", "transcripts answers", "transcripts list", "transcripts show",
    }
)  # fmt: skip  # one list reads better than one name a line
"""Commands that change nothing."""

CHANGING = frozenset(
    {
        "autonomy demote", "autonomy stage", "eval run", "fault clear", "ops cache drop", "ops disable-tool",
        "ops enable-tool", "ops end-session", "ops throttle", "ops unthrottle", "ops use-fallback", "ops use-model",
        "ops use-tier", "prompts activate", "prompts rollback", "stack reload",
        "stack resume",
    }
)  # fmt: skip  # as above
"""Commands that mend, and can be undone or do no harm. None that judges somebody's work, as an approval does."""

LISTS: Mapping[str, tuple[str, str]] = {
    "SESSION_ID": ("ops sessions", "id"),
    "USER": ("ops spend", "user"),
    "ACTION_ID": ("approvals unresolved", "id"),
    "APPROVAL_ID": ("approvals list", "id"),
    "AUDIT_ID": ("autonomy audits", "id"),
}
"""Word in capitals → the list whose first row is meant, and the field of it."""

LONGEST_SECONDS = 1800.0
"""An evaluation is the longest of these commands."""

_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]+")


class MendingError(Exception):
    """The command cannot be made or run; the message is one line for people."""


@dataclass(frozen=True)
class Plan:
    """What to run, or, ``by_hand``, what the reader has to do; ``missing`` are the words that nobody has given yet."""

    commands: tuple[str, ...]
    by_hand: bool
    missing: tuple[str, ...] = ()


def effect(command: str) -> Effect:
    """What a line of a page does."""
    words = shlex.split(command)
    if words[:2] == ["python", "-m"] and words[2:3] == ["stack"]:
        words = words[2:]
    elif words[:3] == ["python", "-m", "sample_agent"]:
        words = words[3:]
    elif words[:1] == ["agentgauge"]:
        words = words[3:] if words[1:2] == ["--app"] else words[1:]
    else:
        return "by hand"
    for known, kind in ((LOOKING, "looks"), (CHANGING, "changes")):
        if " ".join(words[:2]) in known or " ".join(words[:3]) in known:
            return "looks" if kind == "looks" else "changes"
    return "by hand"


def block_to_run(mitigation: Mitigation) -> tuple[str, ...]:
    """The first block that changes something and can be run as a whole; () if there is none."""
    for block in mitigation.blocks:
        effects = {effect(line) for line in block}
        if "changes" in effects and "by hand" not in effects:
            return block
    return ()


def plan(mitigation: Mitigation, given: Mapping[str, str]) -> Plan:
    """The commands of a mitigation with its words in capitals filled in, each as one word of the command line."""
    block = block_to_run(mitigation)
    if not block:
        return Plan(tuple(line for one in mitigation.blocks[:1] for line in one), by_hand=True)
    commands = tuple(filled(line, given) for line in block)
    return Plan(commands, by_hand=False, missing=missing_in(commands))


def missing_in(commands: Sequence[str]) -> tuple[str, ...]:
    """The words in capitals of command lines, each once."""
    return tuple(dict.fromkeys(word for line in commands for word in placeholders(line)))


def placeholders(command: str) -> list[str]:
    """The words in capitals of a command line."""
    return [word for word in shlex.split(command) if _PLACEHOLDER.fullmatch(word)]


def filled(line: str, given: Mapping[str, str]) -> str:
    """A command line with what its words in capitals stand for, each as one word of it."""
    return shlex.join(given.get(word, word) if _PLACEHOLDER.fullmatch(word) else word for word in shlex.split(line))


def known_words(mitigation: Mitigation, found: Diagnosis, labels: Mapping[str, str]) -> dict[str, str]:
    """What the words in capitals of a mitigation stand for, as far as the alert and the walk say.

    TOOL, as ACTING_TOOL, is the label ``tool``: the alert's, or that of the largest row that was read last. A model is
    not: the one that the alert names is the one to get away from.
    """
    known: dict[str, str] = {}
    for word in (word for line in block_to_run(mitigation) for word in placeholders(line)):
        for label in (word.lower(), *(["tool"] if word.endswith("TOOL") else [])):
            value = labels.get(label) or _largest(found, label)
            if value and word not in LISTS and not value.startswith("-"):  # which would be read as an option
                known.setdefault(word, value)
    return known


def _largest(found: Diagnosis, label: str) -> str | None:
    for one in reversed(found.steps):
        named = [row for row in one.rows if row.labels.get(label) and row.value > 0]
        if named:
            return max(named, key=lambda row: row.value).labels[label]
    return None


def first_of_list(word: str, run: Callable[[Sequence[str]], str], command: str) -> str | None:
    """What a word such as SESSION_ID stands for now: that of the first row of its list; None if that is empty.

    ``command`` is a line that has the word: it says of which agent. ``run`` runs a command and returns its output.
    """
    if word not in LISTS:
        return None
    listing, field = LISTS[word]
    beginning = shlex.split(command)
    begins = beginning[:3] if beginning[1:2] == ["--app"] else beginning[:1]
    rows = json.loads(run(argv(shlex.join([*begins, *listing.split(), "--json"]))))
    return str(rows[0][field]) if rows else None


def argv(command: str) -> list[str]:
    """The command line as it is run: by this very Python, with no shell in between."""
    words = shlex.split(command)
    if words[0] == "agentgauge":
        return [sys.executable, "-m", "agentgauge", *words[1:]]
    return [sys.executable, *words[1:]]


def output_of(arguments: Sequence[str], by: str = "") -> str:
    """What a command prints, run in somebody's name if it is given.

    Raises MendingError if it fails, or is not done within LONGEST_SECONDS.
    """
    env = os.environ | ({"USER": by} if by else {})
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, check=False, env=env, timeout=LONGEST_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip  # what is run, and how
    except subprocess.TimeoutExpired:
        raise MendingError(f"{shlex.join(arguments)} was ended: it took more than {LONGEST_SECONDS:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise MendingError(printable(said[-1]) if said else f"{shlex.join(arguments)} ended with {done.returncode}")
    return done.stdout


def run(commands: Sequence[str], before: Callable[[str], None]) -> None:
    """Run the commands in turn, their output passing through; raises MendingError at the first that fails."""
    for command in commands:
        before(command)
        status = subprocess.run(argv(command), check=False).returncode
        if status:
            raise MendingError(f"`{printable(command)}` ended with {status}; nothing after it was run")
