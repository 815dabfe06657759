"""Conversations that went wrong, for the people who mend the agent: what was said, and on what data it rests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgauge.cli.common import AsJson, agent, group, opened_ledger, refuse, say, stop
from agentgauge.cli.tables import Column, print_json, print_rows
from agentgauge.incident.words import age
from agentgauge.vocabulary import REASONS, TRANSCRIPT_CAUSES

if TYPE_CHECKING:
    from agentgauge.transcripts.transcript import LookUp, Occasion, Transcript

app = group("transcripts")

Session = Annotated[str, typer.Argument(metavar="SESSION", help="As `transcripts list` shows it.")]
Newest = Annotated[int, typer.Option(min=1, help="Show so many.")]

LONGEST_RESULT = 300
"""Characters shown of what a tool returned."""
NOTHING = (
    "no conversation is kept: none went wrong, or the agent has no ledger, or its TranscriptPolicy keeps none; "
    "`agentgauge ops sessions` shows those that are live"
)


@app.command("list")
def list_(
    cause: Annotated[str | None, typer.Option(help=f"Only this one: {', '.join(TRANSCRIPT_CAUSES)}.")] = None,
    newest: Newest = 20,
    as_json: AsJson = False,
) -> None:
    """List the sessions that went wrong, newest first, without what was said."""
    from agentgauge.transcripts.store import Transcripts

    if cause is not None and cause not in TRANSCRIPT_CAUSES:
        stop(f"there is no cause {cause!r}; the causes are {', '.join(TRANSCRIPT_CAUSES)}")
    named = next((one for one in TRANSCRIPT_CAUSES if one == cause), None)
    app = agent()
    with opened_ledger(app) as ledger:
        transcripts = Transcripts(ledger, app.name).newest(named, limit=newest)
    rows = [
        {
            "session": one.session,
            "at": one.at,
            "why": [why(occasion) for occasion in one.occasions],
            "user": one.user,
            "version": one.version,
            "prompt_version": one.prompt_version,
            "turns": one.turns,
            "tool_calls": one.tool_calls,
            "cost_usd": one.cost_usd,
            "text": one.text,
        }
        for one in transcripts
    ]
    columns = [
        Column("session", "session"),
        Column("at", "at (UTC)"),
        Column("why", "why", lambda why: ", ".join(dict.fromkeys(why)), wraps=True),
        Column("prompt_version", "prompts"),
        Column("tool_calls", "tool calls", right=True),
        Column("cost_usd", "cost", lambda usd: f"${usd:.4f}", right=True),
    ]
    print_rows(columns, rows, as_json=as_json, nothing=NOTHING)


@app.command()
def show(
    session: Annotated[
        str, typer.Argument(metavar="ID", help="A session, as `transcripts list` shows it, or an action.")
    ],
    as_json: AsJson = False,
) -> None:
    """Print one conversation: it holds what a user wrote, so not for tickets."""
    from agentgauge.transcripts.store import Transcripts, UnknownTranscriptError

    app = agent()
    with opened_ledger(app) as ledger:
        kept = Transcripts(ledger, app.name)
        try:
            one = kept.get(kept.session_of_action(session) or session)
        except UnknownTranscriptError as error:
            refuse(str(error))
    if as_json:
        print_json(one)
        return
    say(
        f"session {one.session}, as of {one.at:%Y-%m-%d %H:%M} UTC, text {one.text}",
        f"user {one.user or 'unknown'}, version {one.version}, prompts {one.prompt_version}; {one.turns} turns, "
        f"{one.tool_calls} tool calls, ${one.cost_usd:.4f}",
        *(f"{occasion.at:%Y-%m-%d %H:%M}  {why(occasion)}" for occasion in one.occasions),
        "",
        *_conversation(one),
    )


@app.command()
def answers(
    reason: Annotated[str | None, typer.Option(help=f"Only thumbs for this: {', '.join(REASONS)}.")] = None,
    newest: Newest = 3,
    as_json: AsJson = False,
) -> None:
    """Print the newest answers that users rated down, and how old the data behind each were.

    They hold what users wrote, so not for tickets.
    """
    if reason is not None and reason not in REASONS:
        stop(f"there is no reason {reason!r}; the reasons are {', '.join(REASONS)}")
    from agentgauge.transcripts.store import Transcripts

    app = agent()
    with opened_ledger(app) as ledger:
        occasions = rated_down(Transcripts(ledger, app.name).newest("thumbs_down", limit=1_000), reason)[:newest]
    if as_json:
        print_json([{"session": session, **asdict(occasion)} for session, occasion in occasions])
    elif not occasions:
        say(f"no answer of {app.name} that users rated down is kept; `agentgauge transcripts list` shows what is")
    for session, occasion in [] if as_json else occasions:
        say(*answer_lines(session, occasion), "")


@app.command()
def delete(session: Session) -> None:
    """Delete what is kept of one session, because its user asks for it, say."""
    from agentgauge.transcripts.store import Transcripts, UnknownTranscriptError

    app = agent()
    with opened_ledger(app) as ledger:
        try:
            Transcripts(ledger, app.name).delete(session)
        except UnknownTranscriptError as error:
            refuse(str(error))
    say(f"what was kept of session {session} is deleted")


def rated_down(transcripts: Iterable[Transcript], reason: str | None) -> list[tuple[str, Occasion]]:
    """Their thumbs down with the session of each, newest first, of one reason or of all."""
    thumbs = [
        (one.session, occasion)
        for one in transcripts
        for occasion in one.occasions
        if occasion.cause == "thumbs_down" and reason in (None, occasion.detail)
    ]
    return sorted(thumbs, key=lambda one: one[1].at, reverse=True)


def answer_lines(session: str, occasion: Occasion) -> list[str]:
    """A question, the answer that was rated, and what it rests on."""
    said = [f"  user: {occasion.question}", f"  agent: {occasion.answer}"] if occasion.question else []
    return [
        f"{occasion.at:%Y-%m-%d %H:%M} UTC  {why(occasion)}  session {session}",
        *(said or ["  what was said is not kept"]),
        *(
            [f"  data: {', '.join(map(_rests_on, occasion.look_ups))}"]
            if occasion.look_ups
            else ["  data: no look-ups"]
        ),
    ]


def _rests_on(one: LookUp) -> str:
    if one.cached_seconds is None:
        return f"{one.tool} from its source"
    return f"{one.tool} from the cache, {age(one.cached_seconds)} old"


def why(occasion: Occasion) -> str:
    """The cause, with its detail if there is one."""
    name = occasion.cause.replace("_", " ")
    return f"{name} ({occasion.detail})" if occasion.detail and occasion.detail != "none" else name


def _conversation(one: Transcript) -> Iterator[str]:
    if one.messages is None:
        yield "what was said is not kept"
        return
    for message in one.messages:
        for block in message["content"]:
            yield _line(message["role"], block)


def _line(role: str, block: dict[str, Any]) -> str:
    match block["type"]:
        case "text":
            return f"{role}: {block['text']}"
        case "tool_use":
            return f"  call    {block['name']} {json.dumps(block['input'], ensure_ascii=False)}"
        case "tool_result":
            return f"  {'failed' if block.get('is_error') else 'result'}  {_short(block['content'])}"
    return f"{role}: [{block['type']}]"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_RESULT else f"{text[:LONGEST_RESULT]}… ({len(text)} characters)"
