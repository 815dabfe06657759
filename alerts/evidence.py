"""When is a share, or a mean, worse than promised, rather than unlucky? One test for all alerts, in plain PromQL.

A share over a window is a sample. Of ``n`` events of which the promise allows the share ``p`` to be bad, more than

    n·p + z·sqrt(n·p·(1 - p))

bad ones are a surprise; ``z`` says how great a one. Several windows ("looks") are judged side by side: a short one that
finds a total failure in minutes, a long one for what only many events can show. An alert begins when one of them is
surprised and the last minutes are bad as well; it goes on until the last minutes are fine. Windows and ``z`` of each
alert are in ``thresholds.yml``; how often that is wrong, and how soon it is right, is what ``truth`` measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import indent
from typing import Literal

from alerts.counting import while_scraped
from alerts.model import Record

LATELY = "lately"
"""The last minutes, which show whether it is still so."""


@dataclass(frozen=True)
class Judged:
    """What an alert judges: ``part`` of ``whole``, both templates with ``<window>``, kept by the labels ``by``.

    ``record`` names the recording rules: ``<record>:slow`` is the part in the slow window, ``<record>_of:slow`` the
    whole, ``<record>_share:slow`` the one by the other (``_mean`` where the part is a sum and the whole its count).
    ``long_part`` and ``long_whole`` are written instead for a slow window that is too long to be counted from the
    scrapes each time. What is a habit, and nothing that is mended, is not ``watched`` over the last minutes.
    """

    alert: str
    record: str
    by: str
    part: str
    whole: str
    looks: tuple[str, ...] = ("fast", "middle", "slow")
    ratio: Literal["share", "mean"] = "share"
    long_part: str = ""
    long_whole: str = ""
    watched: bool = True

    def records(self, area: str) -> tuple[Record, ...]:
        """The counts of each look: rules, panels and pages read these."""
        records = []
        for look in (*self.looks, *([LATELY] if self.watched else [])):
            long = look == "slow" and self.long_part
            part, whole, share = self.part_in(look), self.whole_in(look), self.share_in(look)
            counted = {
                part: (self.long_part if long else self.part).replace("<window>", f"<{look}.window>"),
                whole: (self.long_whole if long else self.whole).replace("<window>", f"<{look}.window>"),
            }
            if look in ("slow", LATELY):
                counted[share] = f"{part} / {whole}"
            records += [Record(name, query, area, self.alert) for name, query in counted.items()]
        return tuple(records)

    def part_in(self, look: str) -> str:
        """The record of the part in that window."""
        return f"{self.record}:{look}"

    def whole_in(self, look: str) -> str:
        """The record of the whole in that window."""
        return f"{self.record}_of:{look}"

    def share_in(self, look: str) -> str:
        """The record of the one by the other in that window: slow, or lately."""
        return f"{self.record}_{self.ratio}:{look}"

    def worst_first(self, what: str) -> str:
        """How bad it is in the words of a page: ``52% of the calls failed: 12 of 23 in the last 5m, 40 of 440 in …``.

        ``what`` follows the share. It is that of the slow window, unless the fast one is ``CLEARLY`` worse: who reads
        the page of an outage must not find its first minutes in the mean of an hour.
        """
        fast, slow = (f"{self.counts(look)} in the last <{look}.window>" for look in ("fast", "slow"))
        worse = f"{self.part_in('fast')}{{}} / {self.whole_in('fast')}{{}} > {CLEARLY} * {self.share_in('slow')}{{}}"
        return (
            f"{{{{ with {self._asked(worse)} }}}}"
            f"{{{{ . | first | value | humanizePercentage }}}} {what}: {fast}, {slow}"
            f"{{{{ else }}}}{{{{ $value | humanizePercentage }}}} {what}: {slow}, {fast}{{{{ end }}}}"
        )

    def counts(self, look: str) -> str:
        """The counts of a look in the words of a page, as Prometheus fills them in: ``12 of 100``."""
        return f"{self._number(self.part_in(look))} of {self._number(self.whole_in(look))}"

    def _number(self, record: str) -> str:
        return f'{{{{ with {self._asked(f"{record}{{}}")} }}}}{{{{ . | first | value | printf "%.0f" }}}}{{{{ end }}}}'

    def _asked(self, expr: str) -> str:
        """The query of a page for what is judged; ``{}`` in it is where its labels belong."""
        labels = self.by.split(", ")
        selector = "{" + ", ".join(f"{label}=%q" for label in labels) + "}"
        values = " ".join(f"$labels.{label}" for label in labels)
        return f"printf `{expr.replace('{}', selector)}` {' '.join([values] * expr.count('{}'))} | query"


CLEARLY = 1.2
"""So many times the share of the slow window is that of the fast one before a page leads with it."""

AT_LEAST_LATELY = 2
"""A single failure after the mending does not count as a relapse."""


def share_above(
    judged: Judged,
    promised: str,
    rest: str,
    *,
    of_all: bool = False,
    roots: tuple[str, ...] = (),
    explained_by: tuple[str, ...] = (),
) -> str:
    """True while more of the whole is bad than ``promised`` (PromQL, as is the ``rest``), beyond what chance explains.

    The evidence is so many bad ones, or ``of_all`` so many of the whole. It does not begin while one of ``roots``,
    alerts of the same agent that explain it, is pending or firing: a tool that is not called after the outage would go
    on. Nor is a window evidence in which one of them fired: what it explains is known, and two failures an hour after
    an outage are nothing to be woken for. Each of ``explained_by`` is a condition by
    agent on ``<window>`` and the ``<part>`` in it, under which something with a page explains what is bad there.
    """
    share = judged.share_in

    def explained(look: str) -> str:
        return "".join(
            _unless(condition.replace("<window>", f"<{look}.window>").replace("<part>", judged.part_in(look)))
            for condition in explained_by
        )

    return _judgement(
        judged,
        surprised=lambda look: f"""
    {judged.part_in(look)}
      > {promised} * {judged.whole_in(look)}
        + <{look}.z> * sqrt({promised} * {rest} * {judged.whole_in(look)})
    and {(judged.whole_in if of_all else judged.part_in)(look)} >= <evidence>
{indent(_unless(_fired_within(roots, look)) + explained(look), "    ")}
""".rstrip(),
        still=f"""
  and {judged.part_in(LATELY)} >= {AT_LEAST_LATELY}
  and {share(LATELY)} > {promised}
  and {share(LATELY)} > {share("slow")} / 2
{indent(_unless(_in_force(roots)) + explained(LATELY), "  ")}
""".rstrip(),
        above=f"{share('slow')} > {promised}",
        mended=f"""
  unless {share(LATELY)} <= {share("slow")} / 3
  unless {share(LATELY)} <= {promised} / 3
""",
    )


def _unless(condition: str) -> str:
    return f"unless on (agent) {condition}\n" if condition else ""


def _in_force(roots: tuple[str, ...]) -> str:
    """Alerts of these names that are pending or firing."""
    return f'ALERTS{{alertname=~"{"|".join(roots)}"}}' if roots else ""


def _fired_within(roots: tuple[str, ...], look: str) -> str:
    """Alerts of these names that fired in the window of the look."""
    names = "|".join(roots)
    return f'max_over_time(ALERTS{{alertname=~"{names}", alertstate="firing"}}[<{look}.window>])' if roots else ""


def mean_above(judged: Judged, promised: str, roots: tuple[str, ...] = ()) -> str:
    """True while the mean is above ``promised``, beyond what chance explains, and ``roots`` do not, as in a share.

    The standard error is bounded by how much single values may scatter: ``<scatter>``.
    """
    return _mean(judged, promised, ">", "+", "<=", roots)


def mean_below(judged: Judged, promised: str) -> str:
    """As ``mean_above``, the other way round."""
    return _mean(judged, promised, "<", "-", ">=", ())


def _mean(judged: Judged, promised: str, worse: str, plus: str, better: str, roots: tuple[str, ...]) -> str:
    mean = judged.share_in
    return _judgement(
        judged,
        surprised=lambda look: f"""
    {judged.part_in(look)}
      {worse} {promised} * {judged.whole_in(look)}
        {plus} <{look}.z> * <scatter> * sqrt({judged.whole_in(look)})
    and {judged.whole_in(look)} >= <evidence>
{indent(_unless(_fired_within(roots, look)), "    ")}
""".rstrip(),
        still=f"""
  and {mean(LATELY)} {worse} {promised}
{indent(_unless(_in_force(roots)), "  ")}
""".rstrip(),
        above=f"{mean('slow')} {worse} {promised}",
        mended=f"""
  unless {mean(LATELY)} {better} {promised}
""",
    )


def _judgement(judged: Judged, *, surprised: Callable[[str], str], still: str, above: str, mended: str) -> str:
    looks = "\n    or\n".join(surprised(look).strip("\n") for look in judged.looks)
    if not judged.watched:
        return while_scraped(f"""
{judged.share_in("slow")}
and
(
{looks}
)
""")
    firing = f'ALERTS{{alertname="{judged.alert}", alertstate="firing"}}'
    return while_scraped(f"""
{judged.share_in("slow")}
and
(
  (
{looks}
  )
{still.strip(chr(10))}
  or
  {above}
  and on ({judged.by}) {firing}
{mended.strip(chr(10))}
)
""")
