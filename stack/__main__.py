"""``python -m stack up | down | status | link | pause | resume | reload | page | drill | chaos …``."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlencode

import typer
from rich.console import Console

from agentgauge.autonomy.people import TokenError
from alerts.pager.login import token_beside
from alerts.thresholds import ThresholdError
from stack import compose, config, native, story
from stack.errors import StackError
from stack.layout import HOME, STATE_FILE, Layout, Ports, default_layout
from stack.preview import commands
from stack.services import grafana, services
from stack.welcome import Progress, welcome

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Start, look at and stop the whole stack.")
app.command()(commands.preview)
app.command()(commands.pictures)
app.command()(commands.cost)

PAGE_SPEED = 10.0
"""How much faster than real the clocks of a stack run that exists for one story only."""


@app.command()
def up(
    native_only: Annotated[bool, typer.Option("--native", help="Processes even where Docker answers.")] = False,
    offset: Annotated[int, typer.Option(help="Move all ports by this.")] = 0,
    reps: Annotated[int, typer.Option(help="Simulated people.")] = 50,
    pace: Annotated[float, typer.Option(help="2 is twice as busy.")] = 1.0,
    speed: Annotated[float, typer.Option(help="Shorten windows and `for` by this factor.")] = 1.0,
    history: Annotated[str | None, typer.Option(help="Three made-up weeks first: healthy, cost-spike …")] = None,
    snapshots: Annotated[
        bool,
        typer.Option("--snapshots", help="Let it be backed up while it runs; any page can delete series then."),
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Folder for data and logs.")] = None,
    ports: Annotated[str | None, typer.Option(hidden=True, help="All ports, as JSON.")] = None,
    parent: Annotated[int | None, typer.Option(hidden=True, help="End with this process, however it ends.")] = None,
) -> None:
    """Start everything, wait until it is ready, run until Ctrl-C."""
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    layout = default_layout(offset, speed)
    layout = Layout(Ports(**json.loads(ports)) if ports else layout.ports, (folder or layout.folder).absolute(), speed)
    try:
        if (state := _state(layout.folder)) is not None:
            raise StackError(f"a stack runs already (pid {state['pid']}); `python -m stack down` ends it")
        if not native_only and compose.engine_answers():
            if history is not None:
                raise StackError("a made-up history needs the native stack; add NATIVE=1 (or --native)")
            if snapshots:
                raise StackError("snapshots need the native stack; add NATIVE=1 (or --native)")
            _up_in_containers(layout, reps, pace)
        else:
            _up_native(layout, reps, pace, history, snapshots)
    except (StackError, ThresholdError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _say("stopped before everything was up; nothing is left running")
        raise typer.Exit(130) from None


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _up_in_containers(layout: Layout, reps: int, pace: float) -> None:
    progress = Progress(_say)
    with progress.reminding() as ready:

        def announce() -> None:
            ready()
            _say(welcome(layout, "Grafana", progress.seconds, alertmanager_has_pages=True))

        status = compose.run(layout, reps, pace, progress.say, when_ready=announce)
    _say("all stopped")
    raise typer.Exit(status)


def _up_native(layout: Layout, reps: int, pace: float, history: str | None, snapshots: bool) -> None:
    progress = Progress(_say)
    with progress.reminding() as ready:
        progress.say("no Docker engine in use: running as processes")
        programs = native.prepare(layout, progress.say)
        if history is not None:
            from stack import history as past  # loads the agent and its SDK, which nothing else here needs

            past.write(layout, programs, history, progress.say)
        board = "Grafana" if grafana() else "preview of the Grafana dashboards (Grafana is not installed)"
        wanted = services(layout, programs, reps, pace, snapshots=snapshots)
        progress.say("starting " + ", ".join(service.name for service in wanted))

        def announce() -> None:
            ready()
            _say(welcome(layout, board, progress.seconds))

        status = native.run(layout, wanted, progress.say, when_ready=announce)
    _say("all stopped")
    raise typer.Exit(status)


@app.command()
def down() -> None:
    """End the stack that `up` started."""
    state = _state(HOME)
    if state is None:
        if compose.statuses():  # left by an `up` that was killed, or started without it
            compose.down()
        else:
            _say("no stack is running")
        return
    os.kill(state["pid"], signal.SIGTERM)
    while _state(HOME) is not None:
        time.sleep(0.1)
    _say("stopped")


@app.command()
def status() -> None:
    """Say of each service whether it answers."""
    layout, state = _running()
    if state.get("containers"):
        for name, said in compose.statuses().items():
            _say(f"{name:13} {said}")
        return
    for service in services(layout, _programs()):
        answers = "running" if service.url is None else "answers" if native.answers(service) else "DOES NOT ANSWER"
        _say(f"{service.name:13} {answers:16} {service.url or ''}")


@app.command()
def link() -> None:
    """Print the link that logs in to the pager; who has it can run what a runbook says."""
    layout, _ = _running()
    try:
        token = token_beside(layout.pager_state)
    except TokenError as error:
        _fail(str(error))
    _say(f"{layout.pager}/login?{urlencode({'token': token})}")


@app.command()
def pause(service: str) -> None:
    """Freeze a service, as if it hung: it keeps its port and answers nothing."""
    if _running()[1].get("containers"):
        _in_container(compose.pause, service)
    else:
        _signal(service, signal.SIGSTOP)
    _say(f"{service} is frozen; `python -m stack resume {service}` thaws it")


@app.command()
def resume(service: str) -> None:
    """Thaw a service that `pause` froze."""
    if _running()[1].get("containers"):
        _in_container(compose.resume, service)
    else:
        _signal(service, signal.SIGCONT)
    _say(f"{service} goes on")


@app.command()
def reload() -> None:
    """Take back what was changed in the configuration, and let Prometheus and Alertmanager read it again."""
    layout, state = _running()
    try:
        if state.get("containers"):
            compose.reload()
        else:
            config.write(layout)
            for service in config.READERS:
                _signal(service, signal.SIGHUP)
    except (StackError, ThresholdError) as error:
        _fail(str(error))
    _say(f"{' and '.join(config.READERS)} read their configuration again, as it was generated")


@app.command()
def backup(file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; only you can read it.")]) -> None:
    """Write the ledger, what else the agent and the pager keep, and Prometheus' data into one file."""
    from stack import backup as backups  # loads the ledger's database, which nothing else here needs

    running = _state(HOME) is not None
    layout, state = _running() if running else (default_layout(), {})
    if state.get("containers"):
        _fail("this is for the native stack; in containers, back up the volumes and `agentgauge ledger backup`")
    try:
        backups.back_up(layout, file, _say, running=running)
    except StackError as error:
        _fail(str(error))
    _say(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB); it holds user ids, what users wrote, and tokens")


@app.command()
def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.")]) -> None:
    """Put a backup into the folder of a stack that has no data and does not run."""
    from stack import backup as backups

    if _state(HOME) is not None:
        _fail("a stack runs; `python -m stack down` ends it")
    try:
        backups.restore(default_layout(), file)
    except StackError as error:
        _fail(str(error))
    _say(f"restored {file}; `make up` starts on it, `agentgauge approvals verify` checks what people decided")


@app.command()
def page(
    fault: Annotated[str, typer.Argument(help=f"One of {', '.join(story.ALERT_OF_FAULT)}.")] = "crm-outage",
    tool: Annotated[str | None, typer.Option(help="Only this tool.")] = None,
) -> None:
    """Break it, wait for the page, follow its links, mend it: on the running stack, or on one started for it."""
    try:
        if _state(HOME) is not None:
            _say("using the running stack, on real clocks")
            _report(story.tell(_running()[0], fault, _say, tool))
            return
        with tempfile.TemporaryDirectory(prefix="agentgauge-") as folder:
            layout = Layout(Ports.free(), Path(folder), PAGE_SPEED)
            _say(f"no stack is running: starting one for this, with all windows {PAGE_SPEED:g} times shorter")
            with native.temporary(layout, lambda _line: None, pace=8.0):
                _say(f"it is up; waiting until {story.WARM_TASKS} tasks are done")
                story.wait_until_working(layout)
                _report(story.tell(layout, fault, _say, tool))
    except StackError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def drill(
    alerts: Annotated[list[str] | None, typer.Argument(help="Only these; default: every alert there is.")] = None,
    sample: Annotated[int, typer.Option(help="Only one of so many.", min=1)] = 1,
    start: Annotated[int, typer.Option(help="Which of the sample is the first.", min=0)] = 0,
    write: Annotated[bool, typer.Option("--write", help="Keep the results: the docs show them.")] = False,
) -> None:
    """Cause every alert on the real programs; table of who was paged, how soon, and for what else."""
    from stack import drill as matrix  # loads the agent and its SDK, which nothing else here needs
    from stack import drill_results

    known = [one.alert for scene in matrix.SCENES for one in scene.drills]
    for name in alerts or ():
        if name not in known:
            _fail(f"there is no drill for {name!r}; there is one for {', '.join(known)}")
    started = time.monotonic()

    def say(text: str) -> None:
        _say(f"{time.monotonic() - started:6.0f} s  {text}")

    try:
        outcomes = matrix.run(matrix.chosen(alerts or (), sample, start), say)
    except StackError as error:
        _fail(str(error))
    if write:
        drill_results.keep(outcomes, known)
    Console(width=None if sys.stdout.isatty() else 160).print(drill_results.table(outcomes))
    for one in outcomes:
        if one.first_try:
            _say(f"{one.alert}: {'passed' if one.passed else 'failed'} in its second try; the first: {one.first_try}")
    wrong = [one.alert for one in outcomes if not one.passed]
    if wrong:
        _fail(f"{len(wrong)} of {len(outcomes)} drills went wrong: {', '.join(wrong)}")
    _say(f"all {len(outcomes)} alerts paged and ended with their cause, nothing else did, and their runbooks answer")


@app.command()
def chaos(
    only: Annotated[str, typer.Option(help="Only rows whose name has this word.")] = "",
    seed: Annotated[int | None, typer.Option(help="That of an earlier run, to throw the same dice.")] = None,
    short: Annotated[bool, typer.Option("--short", help="A few rows, in some minutes.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Keep the results: the docs show them.")] = False,
) -> None:
    """Break what the agent stands on, under load; table of what survived and what was lost."""
    from stack.chaos import play, results, rows  # load the agent and its SDK, which nothing else here needs

    scenes = rows.chosen(only, short)
    if not scenes:
        _fail(f"no row has {only!r} in its name; the rows are {', '.join(row.name for row in rows.ROWS)}")
    seed = secrets.randbelow(10_000) if seed is None else seed
    started = time.monotonic()

    def say(text: str) -> None:
        _say(f"{time.monotonic() - started:6.0f} s  {text}")

    say(f"seed {seed} (SEED={seed} throws the same dice)")
    played = []
    try:
        for one in play.run(scenes, seed, play.KILLS_IN_SHORT if short else play.KILLS, say):
            played.append(one)
            if write:
                results.keep([one], [row.name for row in rows.ROWS])
    except StackError as error:
        _fail(str(error))
    Console(width=None if sys.stdout.isatty() else 160).print(results.table(played))
    lost = [one.name for one in played if one.lost]
    if lost:
        _fail(f"{len(lost)} of {len(played)} rows lost something: {', '.join(lost)}; SEED={seed} throws the same dice")
    _say(f"{sum(one.survived for one in played)} of {len(played)} rows survived, none lost anything")


def _report(outcome: story.Outcome) -> None:
    page = outcome.page
    _say(f"\nPAGE {page['alert']} ({page['severity']}): {page['summary']}\n  {page['description']}")
    _say(f"  runbook  {page['runbook_url']}  → {outcome.runbook_status}")
    _say(f"  panel    {page['dashboard_url']}  → “{outcome.panel_title}”")
    _say(
        f"\npaged {outcome.seconds_to_page:.1f} s after the fault, "
        f"resolved {outcome.seconds_to_resolved:.1f} s after mending"
    )


def _state(folder: Path) -> dict[str, Any] | None:
    """What the running stack wrote about itself; None if none is running."""
    try:
        state: dict[str, Any] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        os.kill(state["pid"], 0)
    except (OSError, ValueError):
        return None
    return state


def _running() -> tuple[Layout, dict[str, Any]]:
    state = _state(HOME)
    if state is None:
        _fail("no stack is running; start one with `make up`")
    return Layout(Ports(**state["ports"]), HOME, state["speed"]), state


def _programs() -> dict[str, Path]:
    return {link.name: link for link in (HOME / "bin").iterdir()}


def _signal(service: str, number: int) -> None:
    pids = _running()[1]["services"]
    if service not in pids:
        _fail(f"there is no service {service!r}; the services are {', '.join(pids)}")
    os.killpg(pids[service], number)


def _in_container(change: Callable[[str], None], service: str) -> None:
    try:
        change(service)
    except StackError as error:
        _fail(str(error))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m stack")
