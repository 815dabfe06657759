"""``python -m truth``: print how the alerts do on made-up traffic."""

from __future__ import annotations

import argparse
import sys

from truth.table import lines


def main() -> None:
    """Print the table for scrapes of 15 and of 60 seconds."""
    parser = argparse.ArgumentParser(prog="python -m truth", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other histories")
    parser.add_argument("--short", action="store_true", help="a sixth of the histories")
    arguments = parser.parse_args()
    for scrape in (15, 60):
        sys.stdout.write(f"\nscrapes every {scrape} s, seed {arguments.seed}\n\n")
        for line in lines(arguments.seed, scrape, short=arguments.short):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
