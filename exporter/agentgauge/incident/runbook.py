"""A runbook page as a program reads it. The page is one text: what it says in words is what is done.

In the section Diagnosis a numbered step has a ``promql`` block and readings, the bullets below it. A reading ends in a
comment that the page does not show, ``<!-- when max > 2 -->``: the condition under which it is taken. Where it leads is
read from its words: "Mitigation 3", "step 3", or a link to the page of another alert; the first of them counts. In the
section Mitigation the ``sh`` blocks of a numbered step are its commands.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field

from agentgauge.incident.conditions import Condition, ConditionError, parse

_STEP = re.compile(r"^(\d+)\. +", re.MULTILINE)
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_BULLET = re.compile(r"^    \* ", re.MULTILINE)
_WHEN = re.compile(r"<!-- when (.*?) -->", re.DOTALL)
_DEMO = re.compile(r'^( *)!!! example "In the demo"\n((?:\1    .*\n|\s*\n)*)', re.MULTILINE)
_LEADS = re.compile(
    r"[Mm]itigation (?P<mitigation>\d+)|\bstep (?P<step>\d+)"
    r"|\[(?P<page>\w+)\]\((?P=page)\.md\)(?:,? step (?P<page_step>\d+))?",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


LONGEST_LINE = 5_000


class RunbookError(ValueError):
    """A page that cannot be followed; the message names file and line, and what is wrong there."""


@dataclass(frozen=True)
class Target:
    """Where a reading leads: a mitigation, a step, or the page of another alert, at a step of it or the first one."""

    mitigation: int | None = None
    step: int | None = None
    page: str | None = None


@dataclass(frozen=True)
class Reading:
    """One answer that a step's query can give. ``target`` is None where nothing is left to do but to wait."""

    text: str
    condition: Condition | None
    target: Target | None
    line: int


@dataclass(frozen=True)
class Step:
    """A question of the diagnosis; ``queries`` are its blocks, of which the first one is read."""

    number: int
    question: str
    queries: tuple[str, ...]
    readings: tuple[Reading, ...]
    line: int


@dataclass(frozen=True)
class Mitigation:
    """A numbered way to mend it. ``blocks`` are the lines to type, those that only the demo has first."""

    number: int
    text: str
    blocks: tuple[tuple[str, ...], ...]
    line: int


@dataclass(frozen=True)
class Runbook:
    """A page: ``summary`` is the sentence under its title."""

    alert: str
    summary: str
    steps: tuple[Step, ...]
    mitigations: tuple[Mitigation, ...] = field(default=())

    def step(self, number: int) -> Step | None:
        """The step of this number."""
        return next((step for step in self.steps if step.number == number), None)

    def mitigation(self, number: int) -> Mitigation | None:
        """The mitigation of this number."""
        return next((one for one in self.mitigations if one.number == number), None)


def read(page: str, where: str) -> Runbook:
    """Read a rendered page; ``where`` names it in errors. Raises RunbookError."""
    for number, line in enumerate(page.split("\n"), start=1):
        if len(line) > LONGEST_LINE:  # what looks for links in it would take minutes
            raise RunbookError(f"{where}:{number}: a line of more than {LONGEST_LINE} characters; break it")
    title = re.search(r"^# (\w+)$", page, re.MULTILINE)
    if title is None:
        raise RunbookError(f"{where}:1: no title; the first line is '# ' and the name of the alert")
    steps = tuple(_step(number, text, f"{where}:{line}", line) for number, text, line in _numbered(page, "Diagnosis"))
    mitigations = tuple(_mitigation(*one) for one in _numbered(page, "Mitigation"))
    book = Runbook(title[1], _summary(page[title.end() :]), steps, mitigations)
    _check_targets(book, where)
    return book


def _summary(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", re.sub(r"<!--.*?-->|<p class=.*?</p>", "", text, flags=re.DOTALL).strip())
    return _plain(paragraphs[0])


def _numbered(page: str, title: str) -> list[tuple[int, str, int]]:
    """The numbered steps of a section: number, text and line."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if section is None:
        return []
    starts = list(_STEP.finditer(section[1]))
    ends = [start.start() for start in starts[1:]] + [len(section[1])] * bool(starts)
    return [
        (int(start[1]), section[1][start.end() : end], page.count("\n", 0, section.start(1) + start.start()) + 1)
        for start, end in zip(starts, ends, strict=True)
    ]


def _step(number: int, text: str, where: str, line: int) -> Step:
    question = re.match(r"\*\*(.+?)\*\*", text, re.DOTALL)
    if question is None:
        raise RunbookError(f"{where}: step {number} does not begin with its question in bold")
    queries = tuple(_blocks(text, "promql"))
    if not queries:
        raise RunbookError(f"{where}: step {number} has no promql block")
    without_blocks = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    starts = list(_BULLET.finditer(without_blocks))
    if not starts:
        raise RunbookError(f"{where}: step {number} has no list of what its answers mean")
    ends = [start.start() for start in starts[1:]] + [len(without_blocks)]
    readings = []
    for start, end in zip(starts, ends, strict=True):
        at = line + without_blocks.count("\n", 0, start.start())
        readings.append(_reading(without_blocks[start.end() : end], where.rpartition(":")[0], at))
    return Step(number, _plain(question[1]), queries, tuple(readings), line)


def _reading(text: str, where: str, line: int) -> Reading:
    # A bullet ends where its indent does: what is said below the list is about all of them.
    text = re.split(r"\n(?=\s*\n {0,4}\S)", text)[0]
    comments = _WHEN.findall(text)
    if len(comments) > 1:
        raise RunbookError(f"{where}:{line}: two conditions; a reading has one")
    words = _WHEN.sub("", text)
    try:
        condition = parse(" ".join(comments[0].split())) if comments else None
    except ConditionError as error:
        raise RunbookError(f"{where}:{line}: {error}") from None
    return Reading(_plain(words), condition, _target(words), line)


def _target(words: str) -> Target | None:
    leads = _LEADS.search(words)
    if leads is None:
        return None
    if leads["page"]:
        return Target(page=leads["page"], step=int(leads["page_step"]) if leads["page_step"] else None)
    if leads["step"]:
        return Target(step=int(leads["step"]))
    return Target(mitigation=int(leads["mitigation"]))


def _mitigation(number: int, text: str, line: int) -> Mitigation:
    prose = re.split(r"\n\s*\n", text)[0]
    in_demo = [block for _, body in _DEMO.findall(text) for block in _blocks(body, "sh")]
    blocks = in_demo + _blocks(_DEMO.sub("", text), "sh")
    return Mitigation(number, _plain(prose), tuple(tuple(filter(None, block.splitlines())) for block in blocks), line)


def _blocks(text: str, language: str) -> list[str]:
    return [textwrap.dedent(one["body"]).strip() for one in _FENCE.finditer(text) if one["language"] == language]


def _plain(text: str) -> str:
    """Markdown as a terminal shows it: one line, without emphasis and links."""
    return " ".join(_LINK.sub(r"\1", text).replace("**", "").replace("`", "").split())


def _check_targets(book: Runbook, where: str) -> None:
    for step in book.steps:
        for reading in step.readings:
            to = reading.target
            if to is None or to.page:
                continue
            if to.step is not None and book.step(to.step) is None:
                raise RunbookError(f"{where}:{reading.line}: leads to step {to.step}, which the page does not have")
            if to.mitigation is not None and book.mitigation(to.mitigation) is None:
                raise RunbookError(f"{where}:{reading.line}: leads to Mitigation {to.mitigation}, which is not there")
