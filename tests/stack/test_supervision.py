"""What dies is started again, with a pause and a word about it; what is to end ends, all of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import supervision
from stack.services import StackService
from stack.supervision import Supervisor


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a death is over in a moment."""
    monkeypatch.setattr(supervision, "FIRST_PAUSE_SECONDS", 0.02)


def shell(name: str, script: str) -> StackService:
    """A service that is a line of shell."""
    return StackService(name, ["sh", "-c", script], None, None)


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once it holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process runs: one that ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Run:
    """A supervisor on these services, and all that it says; ``when`` sees each line and ends it by a signal."""

    def __init__(self, folder: Path, *services: StackService, heard: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.when: Callable[[str], bool] = lambda _line: False
        self.supervisor = Supervisor(list(services), os.environ, folder, self._say, heard)
        self.supervisor.are_all_ready = True

    def _say(self, line: str) -> None:
        self.said.append(line)
        if self.when(line):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_service_that_dies_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    """Its log goes on, too, and who has to know its new pid is told."""
    runs = Run(tmp_path, shell("good", "echo once; exec sleep 60"), shell("bad", "echo here; exec sleep 60"))
    pids: list[dict[str, int]] = []

    def restarted(service: StackService) -> None:
        pids.append(runs.supervisor.pids)
        assert service.name == "bad"
        os.kill(os.getpid(), signal.SIGTERM)

    def kill() -> None:
        wait_for(lambda: "bad" in runs.supervisor.pids)
        pids.append(runs.supervisor.pids)
        os.kill(pids[0]["bad"], signal.SIGKILL)

    runs.supervisor.on_restart = restarted
    threading.Thread(target=kill).start()
    assert runs.supervisor.run() == 0
    assert runs.said == ["bad was killed by SIGKILL; it is started again in 0 s"]
    assert pids[0]["good"] == pids[1]["good"]
    assert pids[0]["bad"] != pids[1]["bad"]
    assert (tmp_path / "good.log").read_text() == "once\n"


def test_pauses_grow_and_the_right_end_of_the_log_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what keeps dying: the lines of its latest process, not of the first."""
    monkeypatch.setattr(supervision, "FIRST_PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE_SECONDS", 0.6)
    count = tmp_path / "count"
    runs = Run(tmp_path, shell("bad", f"echo x >> {count}; echo life $(wc -l < {count}); exit 7"))
    runs.when = lambda line: line.startswith("  life")
    assert runs.supervisor.run() == 0
    assert runs.said[0] == "bad ended with status 7; it is started again in 0 s"
    assert runs.said[1] == runs.said[2] == "bad ended with status 7; it is started again in 1 s"
    assert runs.said[3:] == [f"bad has died 3 times in a row; the end of {tmp_path / 'bad.log'}:", "  life 3"]


def test_a_service_that_has_lived_for_a_while_dies_for_the_first_time_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One death a day is not a reason to wait longer each time."""
    monkeypatch.setattr(supervision, "SETTLED_SECONDS", 0.0)
    runs = Run(tmp_path, shell("bad", "exit 1"))
    runs.when = lambda _line: len(runs.said) == 6
    assert runs.supervisor.run() == 0
    assert runs.said == ["bad ended with status 1; it is started again in 0 s"] * 6


def test_a_death_before_all_are_ready_ends_everything(tmp_path: Path) -> None:
    """What cannot start will not start the next time: the reason is shown instead."""
    runs = Run(tmp_path, shell("good", "exec sleep 60"), shell("bad", "echo no key; exit 3"))
    runs.supervisor.are_all_ready = False
    assert runs.supervisor.run() == 3
    assert runs.said == ["bad ended with status 3, so everything was stopped; the end of its log:", "  no key"]


def test_nothing_is_left_of_what_ignores_the_end_or_had_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that hears no SIGTERM, one that is frozen, and the child of one that ended."""
    monkeypatch.setattr(supervision, "END_SECONDS", 0.3)
    pids = tmp_path / "pids"
    deaf = shell("deaf", f"trap '' TERM; echo $$ >> {pids}; while :; do sleep 0.05; done")
    frozen = shell("frozen", f"echo $$ >> {pids}; kill -STOP $$")
    parent = shell("parent", f"(trap '' TERM; exec sleep 60) & echo $! >> {pids}; wait")
    runs = Run(tmp_path, deaf, frozen, parent)

    def end() -> None:
        wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=end).start()
    assert runs.supervisor.run() == 0
    for pid in map(int, pids.read_text().split()):
        wait_for(lambda: not is_alive(pid))  # noqa: B023 - called before the next one


def test_what_the_pager_says_is_on_the_terminal_and_in_its_log(tmp_path: Path) -> None:
    """The lines of the others are in their logs alone."""
    pager, other = shell("pager", "echo PAGE; exec sleep 60"), shell("other", "echo noise; exec sleep 60")
    runs = Run(tmp_path, other, pager, heard=("pager",))
    runs.when = lambda line: line == "PAGE"
    assert runs.supervisor.run() == 0
    assert runs.said == ["PAGE"]
    assert (tmp_path / "pager.log").read_text() == "PAGE\n"


def test_the_handlers_of_signals_are_given_back(tmp_path: Path) -> None:
    """Whoever runs a stack keeps their own Ctrl-C afterwards."""
    before = signal.getsignal(signal.SIGINT)
    runs = Run(tmp_path, shell("one", "exec sleep 60"))
    threading.Timer(0.05, lambda: runs.supervisor.give_up("enough")).start()
    assert runs.supervisor.run() == 1
    assert runs.said == ["enough"]
    assert signal.getsignal(signal.SIGINT) == before
