"""``python -m sample_agent chat | simulate | serve | fake-api | fault | ops``."""

from sample_agent.cli import app

app(prog_name="python -m sample_agent")
