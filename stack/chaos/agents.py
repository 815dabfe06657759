"""Agents that are ended, killed or replaced while people decide."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import requests

from sample_agent.assembly import build_autonomy
from stack import causes
from stack.chaos.stage import LostError, Stage
from stack.chaos.witness import Deed, RefusedError, notes_in
from stack.killed_agent import NOTE
from stack.layout import ROOT, Ports
from stack.services import environment

WRITER = "update_crm"
"""The tool that writes what people ask for."""
UNRESOLVED = "AgentActionUnresolved"
"""What pages when nobody knows whether an action happened."""
ENDS, AT_ONCE = 3, 3
"""So often the agent is ended, each time with so many approvals under way."""
END_SECONDS = 120.0
AGENT = ("-m", "sample_agent")
NEWER_AGENT = ("-m", "stack.chaos.newer_agent")


@dataclass(frozen=True)
class Replica:
    """One more process of the agent."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def replica(
    stage: Stage, name: str, program: tuple[str, ...] = AGENT, env: Mapping[str, str] = {}
) -> Iterator[Replica]:
    """Run one more process of the agent on the same ledger; ended with the block. LostError if it does not start."""
    ports = Ports.free()
    command = [sys.executable, *program, "serve", f"--port={ports.agent}", f"--metrics-port={ports.metrics}"]
    log = stage.layout.logs / f"{name}.log"
    everything = {**environment(stage.layout), "AGENTGAUGE_LEDGER": stage.url, **env}
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=ROOT, env=everything, stdout=written, stderr=subprocess.STDOUT) as process,
    ):
        made = Replica(f"http://127.0.0.1:{ports.agent}", process)

        def answers_or_ended() -> bool:
            return process.poll() is not None or _is_healthy(made.url)

        try:
            stage.wait_until(answers_or_ended, f"{name} answers")
            if process.poll() is not None:
                last = log.read_text(encoding="utf-8").strip().rpartition("\n")[2]
                raise LostError(f"{name} did not start: {last}")
            yield made
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL if that is not heeded."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def ended_amid_approvals(stage: Stage) -> Iterator[None]:
    """SIGTERM, some times, while the agent does what people have just approved, which takes it some seconds."""
    deeds: list[Deed] = []
    with causes.fault("slow-tool", WRITER)(stage.layout):
        for number in range(ENDS):
            stage.wait_until(lambda: _is_healthy(stage.layout.agent), "the agent answers")
            asked = [stage.witness.request() for _ in range(AT_ONCE)]
            for deed in asked:
                stage.witness.decide(deed)
            deeds += asked
            stage.pass_time(stage.rng.uniform(0, 3), f"{AT_ONCE} approvals are under way")
            before = stage.pid("agent")
            os.kill(before, signal.SIGTERM)
            stage.wait_until(lambda: stage.pid("agent") != before, f"the agent is started again ({number + 1})")  # noqa: B023 - waited for here
        stage.wait_until(lambda: _is_healthy(stage.layout.agent), "the agent answers")
    stage.note(f"{ENDS} times SIGTERM, with {AT_ONCE} approvals under way each time")
    yield


def nothing_is_unresolved(stage: Stage) -> None:
    """What was approved has been done, and nobody has to look whether it was."""
    approved = {deed.action for deed in stage.witness.deeds if deed.decided == "approved"}
    actions = build_autonomy(stage.ledger, state=stage.layout.state).actions

    def all_have_ended() -> bool:
        return all(actions.get(action).finished_at is not None for action in approved)

    stage.wait_until(all_have_ended, "what was approved has been done", END_SECONDS)


@contextmanager
def killed_between_effect_and_record(stage: Stage) -> Iterator[None]:
    """An agent is killed when a note is in the CRM, and before it could say so; a person looks, and settles it."""
    with causes.killed_agent(stage.layout):
        yield


def a_person_is_asked(stage: Stage) -> None:
    """Somebody is paged to look whether it happened; nobody carries it out again meanwhile."""
    before = notes_in(stage.layout)[NOTE]
    stage.wait_for_page(UNRESOLVED, stage.began)
    stage.expect(notes_in(stage.layout)[NOTE] == before, "the note was written again")


@contextmanager
def rolling_update(stage: Stage) -> Iterator[None]:
    """An agent is replaced by another while requests wait for their approvals."""
    with replica(stage, "old-agent") as old, talking_to(stage, lambda: old.url):
        waiting = [stage.witness.request() for _ in range(AT_ONCE)]
        with replica(stage, "new-agent") as new, talking_to(stage, lambda: new.url):
            stage.witness.start_afresh()  # as whatever spreads the users over the agents does before it ends one
            end(old.process)
            stage.note(f"the old agent ended with {AT_ONCE} requests waiting")
            _decide_and_hear(stage, waiting, new.url)
            yield


@contextmanager
def newer_schema(stage: Stage) -> Iterator[None]:
    """A later version of the agent changes the ledger's schema while an agent of this version works on it."""
    with replica(stage, "this-version") as old, talking_to(stage, lambda: old.url):
        waiting = [stage.witness.request() for _ in range(AT_ONCE)]
        with (
            replica(stage, "later-version", NEWER_AGENT) as new,
            talking_to(stage, lambda: stage.rng.choice((old.url, new.url))),
        ):
            _decide_and_hear(stage, waiting, new.url)
            yield


def both_versions_work(stage: Stage) -> None:
    """People get through at either version, and at an agent of this version that starts on the later schema."""
    stage.people_get_through()
    with replica(stage, "this-version-again") as again, talking_to(stage, lambda: again.url):
        took = stage.people_get_through()
    stage.note(f"an agent of this version that starts afterwards works, too: people got through after {took:.0f} s")


def _decide_and_hear(stage: Stage, deeds: list[Deed], url: str) -> None:
    """Go on with requests at another agent than the one that was asked."""
    for deed in deeds:
        deed.agent = url
        try:
            stage.witness.decide(deed)
        except RefusedError as refused:
            if refused.status != HTTPStatus.CONFLICT:  # one of the simulated colleagues was quicker
                raise
    for deed in deeds:
        stage.witness.hear(deed)
        stage.expect(deed.answered, f"{deed.user} had no answer after the approval")


@contextmanager
def talking_to(stage: Stage, agent: Callable[[], str]) -> Iterator[None]:
    """People turn to the agent that this returns, and after the block to the stack's own, once they were answered."""
    stage.witness.agent = agent
    try:
        yield
    finally:
        stage.witness.agent = lambda: stage.layout.agent
        stage.witness.start_afresh()


def _is_healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False
