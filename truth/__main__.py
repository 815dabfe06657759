"""``python -m truth``: print how the alerts do on made-up traffic, or write it to the docs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from truth.table import lines

PAGE = Path(__file__).resolve().parent.parent / "docs" / "truth.md"
HEAD = """<!-- Written by `python -m truth --write`; do not edit. -->

# What the alerts can tell

A share over a window is a sample: with few events, a healthy agent looks bad now and then. The alerts on shares and
means therefore judge by how surprising the numbers are. This page says what that costs and brings for two of them, on
made-up traffic (Poisson arrivals, binomial outcomes), with the numbers of `alerts/thresholds.yml`.

It is a model of the rules, not the rules themselves; that the rules do the same is what the scenarios in
`tests/alerts/scenarios` prove, on the real Prometheus. "Found" is the share of incidents for which the alert began
while they lasted; the minutes are medians, from the beginning of the incident, and from its end.

`make truth SEED=7` draws other histories.
"""


def page(seed: int, *, short: bool = False) -> Iterator[str]:
    """The tables for scrapes of 15 and of 60 seconds, line by line."""
    for scrape in (15, 60):
        yield from ("", f"## Scrapes every {scrape} s", "", *lines(seed, scrape, short=short))


def main() -> None:
    """Print the tables, or write them to the docs."""
    parser = argparse.ArgumentParser(prog="python -m truth", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other histories")
    parser.add_argument("--short", action="store_true", help="a sixth of the histories")
    parser.add_argument("--write", action="store_true", help="write docs/truth.md")
    arguments = parser.parse_args()
    shown = []
    for line in page(arguments.seed, short=arguments.short):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        shown.append(line)
    if arguments.write:
        PAGE.write_text("\n".join([HEAD.rstrip(), *shown]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
