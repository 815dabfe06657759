"""Every scenario on every engine that loads the rules: ``python -m tests.alerts.engines`` (``make test-engines``).

Prometheus 2 and 3 and VictoriaMetrics see the edges of a window differently: the first counts a sample on its left
edge, the second does not, the third takes the last one before it, too. A rule that is right on one of them by the luck
of an edge is found here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from stack import binaries
from stack.errors import StackError
from stack.layout import HOME
from tests.alerts import promtool
from tests.alerts.promtool import RENDERED, Scenario

AT_ONCE = 2
SAY_EVERY = 8.0
"""Seconds after which it says again how far it is."""


@dataclass(frozen=True)
class Engine:
    """A program that judges scenarios; ``metricsql`` where it is VictoriaMetrics'."""

    name: str
    program: Path
    metricsql: bool = False


@dataclass(frozen=True)
class Judged:
    """What one engine says of one scenario; ``wrong`` is empty when they agree."""

    engine: str
    scenario: Scenario
    wrong: str
    seconds: float


def engines(home: Path, say: binaries.Say) -> tuple[list[Engine], list[str]]:
    """The engines that can be had on this machine, and why the others cannot."""
    found, lacking = [], []
    for fetch, program, metricsql in (
        (binaries.distributions, "promtool", False),
        (binaries.newer, "promtool", False),
        (binaries.newer, "vmalert-tool", True),
    ):
        try:
            path = fetch(program, home, say)
        except StackError as error:
            lacking.append(f"{program}: {error}")
        else:
            found.append(Engine("vmalert-tool" if metricsql else version(path), path, metricsql))
    return found, lacking


def version(program: Path) -> str:
    """Name and version as the program says them."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    match = re.match(r"(\w+), version ([\d.]+)", said.stdout + said.stderr)
    return " ".join(match.groups()) if match else program.name


def judge(engine: Engine, scenario: Scenario) -> Judged:
    """Let the engine play one scenario on the committed rules that its alert consists of."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        group = promtool.rules_of(scenario.alert)
        groups = in_layers(group) if engine.metricsql else [group]
        (Path(folder) / "rules.yml").write_text(yaml.safe_dump({"groups": groups}, sort_keys=False), encoding="utf-8")
        test = promtool.unit_test(scenario)
        content = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": scenario.interval,
            "group_eval_order": [one["name"] for one in groups],
            "tests": [in_metricsql(test, group["name"]) if engine.metricsql else test],
        }
        file = Path(folder) / "scenario.yml"  # JSON is YAML, and quicker to write
        file.write_text(json.dumps(content), encoding="utf-8")
        command = ["unittest", f"--files={file}"] if engine.metricsql else ["test", "rules", str(file)]
        one_core = os.environ | {"GOMAXPROCS": "1"}  # several run at once
        ran = subprocess.run(
            [engine.program, *command], cwd=folder, capture_output=True, text=True, check=False, env=one_core
        )
    wrong = "" if ran.returncode == 0 else (ran.stdout + ran.stderr).strip() or f"exit status {ran.returncode}"
    return Judged(engine.name, scenario, wrong, time.monotonic() - started)


def in_layers(group: dict[str, Any]) -> list[dict[str, Any]]:
    """The group with its records in groups of their own before it: each after those that it reads.

    vmalert shows the result of a record to the rules of the same group at the next evaluation. That is half a minute in
    production; scenarios are evaluated every few minutes, where it would be longer than a sample is valid.
    """
    *records, alert = group["rules"]
    layers: list[list[dict[str, Any]]] = []
    for record in records:
        reads = [
            at for at, layer in enumerate(layers) if any(promtool.names(record["expr"], one["record"]) for one in layer)
        ]
        place = max(reads, default=-1) + 1
        layers[place : place + 1] = [[*(layers[place] if place < len(layers) else []), record]]
    before = [group | {"name": f"{group['name']} {place}", "rules": rules} for place, rules in enumerate(layers)]
    return [*before, group | {"rules": [alert]}]


def in_metricsql(test: dict[str, Any], group: str) -> dict[str, Any]:
    """promtool's test in vmalert-tool's words: it knows an alert by its group as well."""
    return {
        **{name: value for name, value in test.items() if name not in ("promql_expr_test", "alert_rule_test")},
        "metricsql_expr_test": [
            one | {"exp_samples": [_of_group(sample, group) for sample in one["exp_samples"]]}
            for one in test["promql_expr_test"]
        ],
        "alert_rule_test": [
            one
            | {
                "groupname": group,
                "exp_alerts": [
                    alert | {"exp_labels": alert["exp_labels"] | {"alertgroup": group}} for alert in one["exp_alerts"]
                ],
            }
            for one in test["alert_rule_test"]
        ],
    }


def _of_group(sample: dict[str, Any], group: str) -> dict[str, Any]:
    return sample | {"labels": f'{sample["labels"].removesuffix("}")},alertgroup="{group}"}}'}


def all_judged(found: list[Engine], scenarios: list[Scenario], say: binaries.Say) -> Iterator[Judged]:
    """Every scenario on every engine, as they are done; says now and then how far it is."""
    said = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(judge, engine, scenario) for scenario in scenarios for engine in found}
        total = len(running)
        while running:
            done, running = wait(running, timeout=SAY_EVERY, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                say(f"{total - len(running)} of {total} done")


def table(found: list[Engine], judged: list[Judged]) -> Table:
    """Engine × alert: how many scenarios it agrees with."""
    drawn = Table("alert", *(engine.name for engine in found))
    for alert in dict.fromkeys(one.scenario.alert for one in judged):
        cells = []
        for engine in found:
            here = [one for one in judged if one.scenario.alert == alert and one.engine == engine.name]
            wrong = sum(1 for one in here if one.wrong)
            cells.append(f"[red]{wrong} of {len(here)} wrong[/red]" if wrong else f"all {len(here)}")
        drawn.add_row(alert, *cells)
    return drawn


def main(
    alerts: Annotated[list[str] | None, typer.Argument(help="Only these; default: every alert.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="One alert of so many.")] = 1,
    start: Annotated[int, typer.Option(help="Which one of them, counted in a circle.")] = 0,
) -> None:
    """Play every scenario on every engine; a table of who agrees, and exit code 1 if anybody does not."""
    started = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:6.0f} s  {text}\n")
        sys.stdout.flush()

    unknown = sorted(set(alerts or ()) - RENDERED.keys())
    if unknown:
        raise SystemExit(f"error: there is no alert {', '.join(unknown)}")
    found, lacking = engines(HOME, say)
    wanted = set(alerts or list(RENDERED)[start % sample :: sample])
    scenarios = [one for one in promtool.scenarios() if one.alert in wanted]
    say(f"{len(scenarios)} scenarios on {', '.join(engine.name for engine in found) or 'nothing'}")
    order = {scenario: place for place, scenario in enumerate(map(str, scenarios))}
    judged = sorted(all_judged(found, scenarios, say), key=lambda one: order[str(one.scenario)])
    Console(width=None if sys.stdout.isatty() else 120).print(table(found, judged))
    wrong = [one for one in judged if one.wrong]
    for one in wrong:
        sys.stdout.write(f"\n{one.engine}: {one.scenario}\n{one.wrong}\n")
    for reason in lacking:
        sys.stderr.write(f"error: could not be judged on {reason}\n")
    say(f"{len(wrong)} of {len(judged)} verdicts disagree" if wrong else f"all {len(judged)} agree")
    raise SystemExit(1 if wrong or lacking else 0)


if __name__ == "__main__":
    typer.run(main)
