"""Talk to the Sales Companion, and decide in the conversation on what it wants to do."""

from __future__ import annotations

import os

from agentgauge.cli.common import AGENT_URL, AgentUrl, out


def chat(url: AgentUrl = AGENT_URL) -> None:
    """Talk to the Sales Companion; starts one in this process if none is running."""
    import httpx2

    from sample_agent.cli.talk import Talk
    from sample_agent.local import agent_url

    with agent_url(url) as base, httpx2.Client(base_url=base, timeout=180) as client:
        session = client.post("/sessions", json={"user_id": os.environ.get("USER", "you")}).json()["session_id"]
        out.print('[bold]Sales Companion[/bold]. Try "Tell me about the Globex account". An empty line ends it.')
        talk = Talk(client, f"/sessions/{session}")
        try:
            while text := out.input("[bold cyan]you[/bold cyan] ").strip():
                talk.say(text)
        except (EOFError, KeyboardInterrupt):
            out.print()
        finally:
            client.delete(f"/sessions/{session}")
