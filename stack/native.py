"""The stack as processes under honcho: started together, stopped together, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import requests
from honcho.manager import Manager

from bundle.holes import TemplateError
from bundle.site import SiteError
from stack import binaries, config
from stack.errors import StackError
from stack.layout import HOME, ROOT, STATE_FILE, Layout, check_free
from stack.services import StackService, environment

READY_SECONDS = 60.0

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


class Logs:
    """Honcho's printer: each service's output goes to its log, the pager's also to the terminal."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.width = 0  # honcho sets it to the longest service name
        self._folder = folder
        self._say = say
        self._files: dict[str, IO[str]] = {}

    def write(self, message: Any) -> None:
        """Take one line of output."""
        text = message.data if isinstance(message.data, str) else message.data.decode("utf-8", "replace")
        if message.name not in self._files:
            self._files[message.name] = (self._folder / f"{message.name}.log").open("w", encoding="utf-8")
        self._files[message.name].write(text)
        self._files[message.name].flush()
        if message.name == "pager":
            self._say(text.rstrip("\n"))

    def close(self) -> None:
        """Close the logs."""
        for file in self._files.values():
            file.close()


class Processes(Manager):  # type: ignore[misc]  # honcho ships no types
    """Honcho's manager, made safe for a Ctrl-C while the processes are still being started."""

    def __init__(self, printer: Logs) -> None:
        super().__init__(printer)
        self._starting = True
        self._interrupted = False
        self.first_stopped: tuple[str, int] | None = None
        self.gave_up = False

    @property
    def pids(self) -> dict[str, int]:
        """Service → pid of those started."""
        return {name: process["pid"] for name, process in self._processes.items() if "pid" in process}

    def end_what_is_left(self) -> None:
        """Kill the services that still run: none after an orderly end, some perhaps after an error of ours."""
        for process in self._processes.values():
            if "pid" in process and "returncode" not in process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process["pid"], signal.SIGKILL)

    def terminate(self) -> None:
        """End all services; while some have no pid yet, as soon as they have one."""
        if self._starting:
            self._interrupted = True
        else:
            super().terminate()

    def _system_print(self, data: str) -> None:
        # Honcho says only to its printer which service ended first; the others end because of it.
        ended = re.match(r"(\S+) stopped \(rc=(-?\d+)\)", data)
        if ended and self.first_stopped is None:
            self.first_stopped = ended[1], int(ended[2])
        super()._system_print(data)

    def _start(self) -> None:
        super()._start()
        held = []
        while not self._all_started():
            message = self.events.get()
            if message.type == "start":
                self._processes[message.name]["pid"] = message.data["pid"]
            else:
                held.append(message)
        for message in held:
            self.events.put(message)
        self._starting = False
        if self._interrupted:
            self.terminate()


def run(layout: Layout, wanted: list[StackService], say: Say, when_ready: Callable[[], None]) -> int:
    """Run the services until one ends or a signal comes; returns the exit status, 0 after Ctrl-C.

    Must be called from the main thread. ``when_ready`` runs, in a thread, once every service answers.
    """
    check_ports(wanted, layout)
    logs = Logs(layout.logs, say)
    supervisor = Processes(logs)
    for service in wanted:
        env = environment(layout) | service.env
        supervisor.add_process(service.name, service.shell_command, env=env, cwd=str(service.folder))
    # A closed terminal ends the stack like Ctrl-C does; the services have their own sessions.
    signal.signal(signal.SIGHUP, lambda _number, _frame: os.kill(os.getpid(), signal.SIGTERM))
    threading.Thread(target=_announce, args=(layout, wanted, supervisor, say, when_ready), daemon=True).start()
    try:
        supervisor.loop()
    finally:
        supervisor.end_what_is_left()
        logs.close()
        (layout.folder / STATE_FILE).unlink(missing_ok=True)
    by_signal = supervisor.returncode in (130, 143) and not supervisor.gave_up
    if not by_signal and not supervisor.gave_up and supervisor.first_stopped is not None:
        name, status = supervisor.first_stopped
        say(f"{name} ended with status {status}, so everything was stopped; the end of its log:")
        say(_tail(layout.logs / f"{name}.log"))
    return 0 if by_signal else supervisor.returncode or 1


def _announce(
    layout: Layout, wanted: list[StackService], supervisor: Processes, say: Say, when_ready: Callable[[], None]
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    for service in wanted:
        while not answers(service):
            if supervisor.returncode is not None:
                return
            if time.monotonic() > deadline:
                say(f"{service.name} did not answer within {READY_SECONDS:.0f} s; see {layout.logs / service.name}.log")
                supervisor.gave_up = True
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.1)
        say(f"  ready: {service.name}")
    state = {"pid": os.getpid(), "ports": vars(layout.ports), "speed": layout.speed, "services": supervisor.pids}
    (layout.folder / STATE_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    when_ready()


def answers(service: StackService) -> bool:
    """Whether the service is ready."""
    if service.url is None:
        return True
    try:
        return requests.get(service.url, timeout=2).ok
    except requests.RequestException:
        return False


def _tail(log: Path, lines: int = 8) -> str:
    return (
        "\n".join(f"  {line}" for line in log.read_text(encoding="utf-8").splitlines()[-lines:]) if log.exists() else ""
    )


@contextlib.contextmanager
def temporary(
    layout: Layout, say: Say, reps: int = 50, pace: float = 1.0, history: str | None = None
) -> Iterator[Path]:
    """A separate stack, in a child process, for as long as the block runs; yields its state file's path."""
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
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
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
            process.wait(timeout=30)


def _relay(lines: IO[str] | None, said: list[str], say: Say) -> None:
    for line in lines or ():
        said.append(line.rstrip("\n"))
        say(said[-1])
