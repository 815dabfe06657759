"""What pages say about alerts that is generated: the runbooks' fact boxes, and the tables of alerts."""

from __future__ import annotations

from alerts.rules import RenderedAlert


class MissingBlockError(ValueError):
    """A page lacks the markers between which its generated block goes."""


def replace_block(page: str, name: str, content: str, *, where: str, comment: tuple[str, str] = ("<!--", "-->")) -> str:
    """The page with the text between its ``generated: name`` markers replaced; MissingBlockError without markers."""
    opening, closing = (" ".join(filter(None, part)) for part in _markers(name, comment))
    start, end = page.find(opening), page.find(closing)
    if start < 0 or end < start:
        raise MissingBlockError(f"{where} needs the lines\n{opening}\n{closing}\nto put the generated block between")
    return f"{page[: start + len(opening)]}\n{content.rstrip()}\n{page[end:]}"


def resolves(item: RenderedAlert) -> str:
    """How long the alert goes on after the trouble has ended, as the end of a sentence: "The alert resolves …"."""
    numbers = item.numbers
    if numbers.keep_firing_for:
        return f"{numbers.keep_firing_for} after the condition no longer holds"
    if lately := numbers.looks.get("lately"):
        return f"when the last {lately.window} are fine ({lately.why})"
    if numbers.window:
        return f"when the condition no longer holds: at the latest {numbers.window} after the trouble has ended"
    return "as soon as the condition no longer holds"


def fact_box(item: RenderedAlert, others: list[RenderedAlert]) -> str:
    """The facts of an alert as a Markdown table for the head of its runbook; ``others`` are its rules for one agent."""
    numbers = item.numbers
    rows = [
        ("Fires when", item.fires_when),
        ("Window, for", f"{numbers.window or 'none'}, {numbers.for_ or 'at once'}"),
        ("Needs at least", f"{numbers.evidence} ({numbers.evidence.why})" if numbers.evidence else "no minimum"),
        ("Severity", numbers.severity),
        ("Labels", ", ".join(f"`{label}`" for label in item.alert.labels) or "none"),
        ("Mutes while it fires", ", ".join(f"[{name}]({name}.md)" for name in item.alert.inhibits) or "nothing"),
    ]
    judged = [f"{look.window} with z = {look.z:g} ({look.why})" for look in numbers.looks.values() if look.z]
    if judged:
        rows.insert(2, ("Judged over", "; ".join(judged)))
    if numbers.z:
        rows.insert(2, ("Judged with", f"z = {numbers.z.value:g} ({numbers.z.why})"))
    if numbers.severity != "none":  # the dead-man switch never resolves
        rows.insert(3 if judged else 2, ("Resolves", resolves(item)))
    if item.alert.baseline:
        rows.insert(1, ("Baseline", item.alert.baseline))
    if numbers.threshold:
        rows.insert(1, ("Why this threshold", f"{numbers.threshold}: {numbers.threshold.why}"))
    if numbers.hour and numbers.day:
        budgets = f"{numbers.hour} an hour: {numbers.hour.why}; {numbers.day} a day: {numbers.day.why}"
        rows.insert(1, ("Why these budgets", budgets))
    rows += [(f"For `{other.only_agent}`", _of_one_agent(other)) for other in others]
    lines = ["| | |", "|---|---|", *(f"| **{fact}** | {value} |" for fact, value in rows)]
    return "\n".join(lines)


def _of_one_agent(item: RenderedAlert) -> str:
    numbers = item.numbers
    least = f", at least {numbers.evidence}" if numbers.evidence else ""
    times = f"window {numbers.window or 'none'}, for {numbers.for_ or 'at once'}"
    return f"{item.fires_when} ({times}{least}; {numbers.severity})"


def alert_table(rendered: list[RenderedAlert], runbooks: str) -> str:
    """All alerts as a Markdown table; ``runbooks`` is the path from the page to the runbooks' folder."""
    lines = ["| alert | fires when | window | for | needs at least | severity |", "|---|---|---|---|---|---|"]
    for item in rendered:
        numbers = item.numbers
        cells = (
            f"[`{item.alert.name}`]({runbooks}{item.alert.name}.md)",
            item.fires_when,
            str(numbers.window or "–"),
            str(numbers.for_ or "–"),
            str(numbers.evidence or "–"),
            numbers.severity,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _markers(name: str, comment: tuple[str, str]) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    return (comment[0], f"generated: {name}", comment[1]), (comment[0], f"end: {name}", comment[1])
