"""The stack as processes of this machine: what each needs, when all are ready, and what is said meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import requests

from bundle.holes import TemplateError
from bundle.site import SiteError
from stack import binaries, config
from stack.errors import StackError
from stack.layout import HOME, ROOT, STATE_FILE, Layout, check_free
from stack.services import StackService, environment
from stack.supervision import Supervisor

READY_SECONDS = 180.0
"""By when a service answers: on a busy machine, Python alone takes long to start."""

Say = Callable[[str], None]


def prepare(layout: Layout, say: Say) -> dict[str, Path]:
    """Everything that must be there before the first process starts; returns the programs."""
    say("looking for Prometheus and Alertmanager")
    programs = binaries.ensure(HOME, say)
    say("rendering rules and configuration")
    config.write(layout)
    say("building the runbook site")
    build_site(layout)
    return programs


def build_site(layout: Layout) -> None:
    """Render the runbooks to HTML; StackError if a page is broken."""
    try:
        config.write_site(layout)
    except (SiteError, TemplateError) as error:
        raise StackError(str(error)) from None


def check_ports(wanted: list[StackService], layout: Layout) -> None:
    """StackError, naming the port and its service, if something listens there already."""
    check_free({service.name: service.port for service in wanted if service.port} | {"metrics": layout.ports.metrics})


def run(layout: Layout, wanted: list[StackService], say: Say, when_ready: Callable[[], None]) -> int:
    """Run the services until a signal comes, or until one dies at the start; returns the exit status, 0 after Ctrl-C.

    What dies later is started again. Must be called from the main thread. ``when_ready`` runs, in a thread, once every
    service answers.
    """
    check_ports(wanted, layout)
    supervisor = Supervisor(wanted, environment(layout), layout.logs, say, heard=("pager",))
    state = layout.folder / STATE_FILE

    def write_state() -> None:
        """What `pause`, `status` and the drill read; renewed when a service has another pid."""
        if supervisor.is_ending.is_set():
            return
        said = {"pid": os.getpid(), "ports": vars(layout.ports), "speed": layout.speed, "services": supervisor.pids}
        new = state.with_suffix(".new")
        new.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        new.replace(state)

    def announce() -> None:
        for service in wanted:
            if not _comes_up(service, supervisor):
                if not supervisor.is_ending.is_set():
                    log = layout.logs / f"{service.name}.log"
                    supervisor.give_up(f"{service.name} did not answer within {READY_SECONDS:.0f} s; see {log}")
                return
            say(f"  ready: {service.name}")
        supervisor.are_all_ready = True
        write_state()
        when_ready()

    def restarted(service: StackService) -> None:
        write_state()
        threading.Thread(target=announce_again, args=(service, supervisor.pids[service.name]), daemon=True).start()

    def announce_again(service: StackService, pid: int) -> None:
        if service.url and _comes_up(service, supervisor) and supervisor.pids[service.name] == pid:
            say(f"  ready again: {service.name}")

    supervisor.on_restart = restarted
    threading.Thread(target=announce, daemon=True).start()
    try:
        return supervisor.run()
    finally:
        state.unlink(missing_ok=True)


def _comes_up(service: StackService, supervisor: Supervisor) -> bool:
    """Wait until the service answers; False if it does not in time, or everything ends."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(service):
        if supervisor.is_ending.is_set() or time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def answers(service: StackService) -> bool:
    """Whether the service is ready."""
    if service.url is None:
        return True
    try:
        return requests.get(service.url, timeout=2).ok
    except requests.RequestException:
        return False


@contextlib.contextmanager
def temporary(
    layout: Layout,
    say: Say,
    reps: int = 50,
    pace: float = 1.0,
    history: str | None = None,
    env: Mapping[str, str] = {},
) -> Iterator[Path]:
    """A separate stack, in a child process, for as long as the block runs; yields its state file's path.

    ``env`` are further variables of its services' environment.
    """
    command = [sys.executable, "-m", "stack", "up", "--native", "--folder", str(layout.folder)]
    command += [
        "--ports",
        json.dumps(vars(layout.ports)),
        f"--speed={layout.speed}",
        f"--reps={reps}",
        f"--pace={pace}",
        f"--parent={os.getpid()}",
        *([] if history is None else [f"--history={history}"]),
    ]
    state = layout.folder / STATE_FILE
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said: list[str] = []
        reader = threading.Thread(target=_relay, args=(process.stdout, said, say), daemon=True)
        reader.start()
        try:
            while not state.exists():
                if process.poll() is not None:
                    reader.join(timeout=5)
                    raise StackError("the stack did not start:\n" + "\n".join(said[-12:]))
                time.sleep(0.1)
            yield state
        finally:
            process.terminate()
            process.wait(timeout=READY_SECONDS)


def _relay(lines: IO[str] | None, said: list[str], say: Say) -> None:
    for line in lines or ():
        said.append(line.rstrip("\n"))
        say(said[-1])
