"""How a row is played, under load, and judged."""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from agentgauge.ledger import Ledger
from stack import native, story
from stack.chaos.results import Result, machine
from stack.chaos.rows import Row, Scene
from stack.chaos.stage import LostError, Say, Setting, Stage, now, saying
from stack.chaos.witness import Deed, Witness, losses, unfinished
from stack.errors import StackError
from stack.layout import Layout, Ports

SPEED = 20.0
"""How much faster than real the clocks of rules and Alertmanager run."""
PACE = 1.0
KILLS, KILLS_IN_SHORT = 100, 12
INTERNAL = 500
"""A status that says nothing."""
SETTLED_SECONDS = 300.0
"""By when everything approved has an end, or is shown as unresolved: leases run on real clocks."""


def run(scenes: Sequence[Scene], seed: int, kills: int, say: Say) -> Iterator[Result]:
    """Play the rows of these scenes, one stack after the other; each result as soon as it is there."""
    for scene in scenes:
        if why := scene.not_here():
            yield from (_result(row, seed, 0.0, not_run=why) for row in scene.rows)
        else:
            yield from _play(scene, seed, kills, say)


def _play(scene: Scene, seed: int, kills: int, say: Say) -> Iterator[Result]:
    """Where the stack breaks, those that were not played are lost."""
    left = list(scene.rows)
    try:
        with _stack(scene, say) as (layout, setting):
            for row in scene.rows:
                result = _play_row(layout, setting, row, seed, kills, say)
                left.remove(row)
                yield result
    except Exception as error:  # the results of the other stacks are not lost for it
        say(f"the stack BROKE OFF: {type(error).__name__}: {error}")
        why = f"the stack broke off: {_first_line(error)}"
        yield from (_result(row, seed, 0.0, lost=(why,)) for row in left)


@contextmanager
def _stack(scene: Scene, say: Say) -> Iterator[tuple[Layout, Setting]]:
    """The scene's stack, once the agent works."""
    with tempfile.TemporaryDirectory(prefix="agentgauge-chaos-", ignore_cleanup_errors=True) as folder:
        layout = Layout(Ports.free(), Path(folder), SPEED)
        with scene.setting(layout) as setting, ExitStack() as running:
            with saying(say, "starting a stack"):
                running.enter_context(native.temporary(layout, lambda _line: None, pace=PACE, env=setting.env))
            with saying(say, "waiting until the agent works"):
                story.wait_until_working(layout)
            yield layout, setting


def _play_row(layout: Layout, setting: Setting, row: Row, seed: int, kills: int, say: Say) -> Result:
    rng = Random(f"{seed} {row.name}")  # noqa: S311 - dice, not secrets
    witness = Witness(layout, row.name.replace(" ", "-").replace(":", ""), rng)
    began = time.monotonic()
    say(f"{row.name}: {row.what}")
    # Opened before anything breaks: what happens to the ledger's schema does not keep us from looking.
    with closing(Ledger.open(setting.url)) as ledger:
        stage = Stage(layout, setting, ledger, witness, rng, say, kills)
        _break(stage, row)
        _judge(stage, row)
    result = _result(row, seed, time.monotonic() - began, tuple(stage.seen), tuple(stage.lost))
    say(f"{row.name}: {result.verdict}")
    return result


def _break(stage: Stage, row: Row) -> None:
    """Let people work while the row's cause is there, and see whether they can again once it is gone."""
    stage.witness.start()
    try:
        stage.wait_until(lambda: all(stage.is_quiet(alert) for alert in row.quiet), "all is quiet")
        stage.began = now()
        with row.cause(stage):
            row.check(stage)
        stage.note(f"works again {stage.people_get_through():.0f} s after the cause was gone")
    except LostError as lost:
        stage.expect(False, str(lost))
    except Exception as error:  # whatever it is, the other rows are played
        stage.say(f"    {error}")
        stage.expect(False, f"it broke off: {_first_line(error)}")
    finally:
        with saying(stage.say, "letting everybody hear what became of their request"):
            stage.witness.stop()


def _judge(stage: Stage, row: Row) -> None:
    deeds = stage.witness.deeds
    stage.note(in_words(deeds))
    hung, broken = [deed for deed in deeds if deed.hung], [deed for deed in deeds if deed.broken]
    stage.expect(not hung, f"{len(hung)} people had neither an answer nor a refusal")
    stage.expect(row.breaks or not broken, f"the connections of {len(broken)} people broke")
    errors = Counter(deed.refused[1] for deed in deeds if deed.refused is not None and deed.refused[0] == INTERNAL)
    for error, times in errors.items():
        stage.expect(False, f"{times} people were refused with status {INTERNAL}: {error}")

    def all_have_ended() -> bool:
        return not unfinished(deeds, stage.ledger, stage.layout)

    try:
        stage.wait_until(all_have_ended, "what was approved has an end", SETTLED_SECONDS)
    except LostError as lost:
        stage.expect(False, str(lost))
    for loss in losses(deeds, stage.ledger, stage.layout):
        stage.expect(False, loss)


_ID = re.compile(r"\b[0-9a-f]{12,32}\b")
"""Of an action: which it was says nothing to a reader, and would make each refusal the only one of its kind."""


def _first_line(error: Exception) -> str:
    """What an error says, without the logs and commands that some have in their further lines, or at all."""
    return str(error).partition("\n")[0] if isinstance(error, StackError) else type(error).__name__


def in_words(deeds: Sequence[Deed]) -> str:
    """How many people got through, and why the others did not."""
    refusals = Counter(_ID.sub("an action", deed.refused[1]) for deed in deeds if deed.refused is not None)
    parts = [f"{len(deeds)} people", f"{sum(deed.rated for deed in deeds)} got through"]
    parts += [f'{times} read "{error}"' for error, times in refusals.most_common()]
    if broken := sum(bool(deed.broken) for deed in deeds):
        parts.append(f"{broken} lost the connection")
    return ", ".join(parts)


def _result(
    row: Row, seed: int, seconds: float, seen: tuple[str, ...] = (), lost: tuple[str, ...] = (), not_run: str = ""
) -> Result:
    on = datetime.now(UTC).date().isoformat()
    return Result(row.name, seen, lost, round(seconds), seed, on, machine(), not_run)
