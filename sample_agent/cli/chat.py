"""Talk to the Sales Companion, and decide in the conversation on what it wants to do."""

from __future__ import annotations

from agentgauge.cli.common import AGENT_URL, AgentUrl, out, stop


def chat(url: AgentUrl = AGENT_URL) -> None:
    """Talk to the Sales Companion; starts one in this process if none is running."""
    import httpx2

    from sample_agent.cli.talk import Talk
    from sample_agent.local import agent_url
    from sample_agent.me import my_token

    me = {"Authorization": f"Bearer {my_token()}"}
    with agent_url(url) as base, httpx2.Client(base_url=base, timeout=180, headers=me) as client:
        opened = client.post("/sessions", json={})
        if not opened.is_success:
            stop(opened.json()["error"])
        session = opened.json()["session_id"]
        out.print('[bold]Sales Companion[/bold]. Try "Tell me about the Globex account". An empty line ends it.')
        talk = Talk(client, f"/sessions/{session}")
        try:
            while text := out.input("[bold cyan]you[/bold cyan] ").strip():
                talk.say(text)
        except (EOFError, KeyboardInterrupt):
            out.print()
        finally:
            client.delete(f"/sessions/{session}")
